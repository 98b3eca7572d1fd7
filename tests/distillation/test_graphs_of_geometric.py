"""Graphs in the forms of PyTorch Geometric: EdgeIndex, types of edges, its own batches."""

import pytest
import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.nn import GCNConv

import gkd
from gkd.cache import TeacherCache
from gkd.data.batch_nodes import BatchNodes

EDGES = torch.tensor([[1, 0, 2, 1], [0, 1, 1, 2]])  # sorted by target


def edge_index() -> EdgeIndex:
    return EdgeIndex(EDGES, sparse_size=(3, 3), sort_order="col")


def test_the_graph_of_an_edge_index_is_made_of_plain_tensors() -> None:
    graph = gkd.Graph(edge_index(), 3)
    assert graph == gkd.Graph(EDGES, 3)
    assert type(graph.edge_index) is Tensor
    given = edge_index()
    assert gkd.Graph.of(given, 3) is gkd.Graph.of(given, 3)


def test_samples_forget_what_an_edge_index_knows_of_its_own_graph() -> None:
    samples = [gkd.Sample(id=id, x=torch.ones(3, 2), edge_index=edge_index()) for id in "ab"]
    batch = gkd.collate(samples)
    assert type(batch.edge_index) is Tensor
    assert batch.edge_index.max() == 5
    GCNConv(2, 2)(batch.x, batch.edge_index)  # an EdgeIndex says that there are three nodes


def test_terms_compare_along_an_edge_index() -> None:
    torch.manual_seed(0)
    sizes = {"in_channels": 2, "out_channels": 2, "hidden_channels": 4, "num_layers": 2}
    teacher, student = (gkd.create("model", "sage", **sizes) for _ in range(2))
    made = gkd.Distiller(
        teacher, student, [gkd.Term("lsp", student="layers.0", teacher="layers.0")],
        task="single-label", inputs=("x", "edge_index"),
    )  # fmt: skip
    x, y = torch.randn(3, 2), torch.tensor([0, 1, 1])
    totals = [made(Data(x=x, y=y, edge_index=each)).total for each in (EDGES, edge_index())]
    torch.testing.assert_close(*totals)


def test_neighbourhoods_are_sampled_from_its_data() -> None:
    x, weight = torch.arange(3.0)[:, None], torch.tensor([1.0, 0.0, 2.0, 1.0])
    data = Data(x=x, edge_index=edge_index(), edge_weight=weight, num_classes=2)
    batch = next(iter(gkd.NeighbourLoader(data, ["all", "all"], batch_size=1, shuffle=False)))
    assert batch.n_id.tolist() == [0, 1, 2]
    assert gkd.Graph(batch.edge_index, 3) == gkd.Graph(EDGES[:, :3], 3)
    assert batch.edge_weight.tolist() == batch.x[batch.edge_index[0], 0].tolist()


def test_edges_between_two_types_of_nodes_are_no_graph() -> None:
    data = HeteroData()
    data["paper"].x, data["author"].x = torch.ones(3, 2), torch.ones(3, 2)
    data["paper", "cites", "paper"].edge_index = EDGES
    data["author", "writes", "paper"].edge_index = EDGES
    nodes = BatchNodes(data)
    assert nodes.edges("paper__cites__paper.edge_index") is EDGES
    with pytest.raises(gkd.DataError, match=r"'author' with 'paper'.*name paper__cites__paper"):
        nodes.edges("author__writes__paper.edge_index")


def test_batches_of_geometric_are_cached_by_the_ids_of_their_graphs() -> None:
    generator = torch.Generator().manual_seed(0)
    graphs = [
        Data(
            x=torch.randn(count, 2, generator=generator),
            edge_index=torch.randint(count, (2, 3 * count), generator=generator),
            y=torch.randint(2, (count,), generator=generator),
            ids=f"graph-{count}",
        )
        for count in (3, 5, 4)
    ]
    sizes = {"in_channels": 2, "out_channels": 2, "hidden_channels": 4, "num_layers": 2}
    teacher, student = (gkd.create("model", "sage", **sizes) for _ in range(2))
    terms = [gkd.Term("lsp", student="layers.0", teacher="layers.0"), gkd.Term("kd")]
    made, plain = (
        gkd.Distiller(teacher, student, terms, task="single-label", inputs=("x", "edge_index"),
                      teacher_cache=cache)
        for cache in (TeacherCache(), None)
    )  # fmt: skip
    for order in ([0, 1, 2], [2, 0, 1], [1, 2]):
        batch = Batch.from_data_list([graphs[place] for place in order])
        torch.testing.assert_close(made(batch).total, plain(batch).total)
    assert (made.teacher_cache.misses, made.teacher_cache.hits) == (1, 2)
    assert made.teacher_cache.num_samples == 3
    unnamed = Batch.from_data_list([Data(x=g.x, edge_index=g.edge_index, y=g.y) for g in graphs])
    with pytest.raises(gkd.ParameterError, match="3 samples and 0 'ids'; name the samples"):
        made(unnamed)
