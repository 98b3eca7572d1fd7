"""Models, data and loaders of PyTorch Geometric work as they are."""

import pytest
import torch
import torch_geometric.nn as pyg
from distiller_problems import Recorder
from torch.nn import functional
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

import gkd
from gkd.cache.teacher_cache import TeacherCache
from gkd.distillation.taps import taps
from gkd.errors import DataError, ParameterError, TapError

MODELS = [pyg.GCN, pyg.GAT, pyg.GraphSAGE, pyg.GIN, pyg.PNA, pyg.EdgeCNN]
EDGES = torch.stack([torch.arange(8), torch.arange(8).roll(1)])


def graph(nodes: int = 8, seed: int = 0, **attributes) -> Data:
    random = torch.Generator().manual_seed(seed)
    return Data(
        x=torch.randn(nodes, 5, generator=random),
        y=torch.randint(3, (nodes,), generator=random),
        edge_index=torch.randint(nodes, (2, 3 * nodes), generator=random),
        **attributes,
    )


def model(kind=pyg.GCN, width: int = 6, layers: int = 2, **options) -> torch.nn.Module:
    if kind is pyg.PNA:
        options = {"aggregators": ["mean"], "scalers": ["identity"], "deg": torch.tensor([0, 8])}
    return kind(5, width, layers, out_channels=3, **options)


def distiller(teacher, student, *terms: gkd.Term, **options) -> gkd.Distiller:
    settings = {"task": "single-label", "inputs": ["x", "edge_index"], **options}
    return gkd.Distiller(teacher, student, list(terms), **settings)


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
def test_models_are_students_and_teachers(kind) -> None:
    teacher, student, loss = model(kind, 8, 3), model(kind), Recorder()
    term = gkd.Term(loss, student="convs.0", teacher="convs.1")
    report = distiller(teacher, student, term)(graph())
    report.total.backward()
    assert loss.student.features.shape == (8, 6)
    assert loss.teacher.features.shape == (8, 8)
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert any(parameter.grad is not None for parameter in student.parameters())


def test_the_shipped_losses_between_a_gat_and_a_gcn() -> None:
    torch.manual_seed(0)
    teacher, student = model(pyg.GAT, 16, 3, heads=4), model()
    hidden = {"student": "convs.0", "teacher": "convs.1"}
    terms = [gkd.Term(name, **hidden) for name in ("lsp", "fitnet", "at", "nst")]
    engine = distiller(teacher, student, gkd.Term("kd"), *terms)
    batch = Batch.from_data_list([graph(8, 1), graph(5, 2)])
    engine.prepare(batch)
    optimiser = torch.optim.Adam(engine.parameters(), lr=0.01)
    totals = []
    for _ in range(20):
        optimiser.zero_grad()
        report = engine(batch)
        report.total.backward()
        optimiser.step()
        totals.append(float(report.total.detach()))
    assert report.terms.keys() == {"kd", "lsp", "fitnet", "at", "nst"}
    assert totals[-1] < totals[0]


def test_a_term_is_computed_from_the_models_own_outputs() -> None:
    teacher, student, data = model(pyg.GAT), model().eval(), graph()
    term = gkd.Term("lsp", student="convs.0", teacher="convs.0")
    report = distiller(teacher, student, term)(data)
    structure = gkd.Graph(data.edge_index, 8)
    views = [
        gkd.View(features=network.convs[0](data.x, data.edge_index), graph=structure)
        for network in (student, teacher)
    ]
    torch.testing.assert_close(report.terms["lsp"], gkd.create("loss", "lsp")(*views))
    expected = functional.cross_entropy(student(data.x, data.edge_index), data.y)
    torch.testing.assert_close(report.task, expected)


def test_batches_carry_their_samples() -> None:
    loss = Recorder()
    term = gkd.Term(loss, student="convs.0", teacher="convs.0")
    batch = Batch.from_data_list([graph(8, 1), graph(5, 2)])
    distiller(model(), model(), term)(batch)
    assert torch.equal(loss.student.batch, batch.batch)
    assert loss.student.graph == gkd.Graph(batch.edge_index, 13)


def test_one_graph_is_one_sample() -> None:
    loss = Recorder()
    distiller(model(), model(), gkd.Term(loss, student="convs.0"))(graph())
    assert loss.student.batch is None


def test_masks_of_transductive_data() -> None:
    data, student = graph(train_mask=torch.arange(8) < 3), model().eval()
    report = distiller({}, student, mask="train_mask")(data)
    logits = student(data.x, data.edge_index)
    torch.testing.assert_close(report.task, functional.cross_entropy(logits[:3], data.y[:3]))


def test_logits_of_nodes_and_labels_of_graphs_ask_for_pooling() -> None:
    batch = Batch.from_data_list([graph(8, 1), graph(5, 2)])
    batch.y = torch.tensor([0, 1])
    with pytest.raises(DataError, match=r"each of 13 nodes, .* each of 2 samples"):
        distiller({}, model())(batch)


def test_missing_attributes_are_named() -> None:
    data = graph()
    del data.edge_index
    with pytest.raises(DataError, match=r"\(Data\) has no 'edge_index'; available: .*x, y"):
        distiller({}, model())(data)


def test_optional_inputs_are_left_out_where_the_batch_has_none_and_arrive_where_it_has() -> None:
    student, data = pyg.GAT(5, 8, 2, 3, edge_dim=4).eval(), graph()
    called = distiller({}, student, inputs=["x", "edge_index", "edge_attr"])
    torch.testing.assert_close(called(data).logits, student(data.x, data.edge_index))
    data.edge_attr = torch.randn(data.edge_index.shape[1], 4)
    expected = student(data.x, data.edge_index, edge_attr=data.edge_attr)
    assert torch.equal(called(data).logits, expected)
    assert not torch.allclose(expected, student(data.x, data.edge_index))


def test_a_model_of_another_depth_names_its_paths() -> None:
    with pytest.raises(TapError, match=r"no sub-module 'convs\.5'; did you mean 'convs\.[01]'"):
        distiller(model(), model(), gkd.Term(Recorder(), student="convs.5"))


def test_the_listing_of_a_model() -> None:
    listed = {info.path: info for info in taps(model(pyg.GAT, heads=2), graph())}
    assert listed["convs.0"].type == "GATConv"
    assert listed["convs.0"].shape == (8, 6)
    assert listed["convs.0"].parameters == 5 * 6 + 3 * 6


def test_heads_before_they_are_joined_are_rows_of_nodes() -> None:
    torch.manual_seed(0)
    teacher, student = model(pyg.GAT, heads=2), model(pyg.GAT, heads=2)
    values = [
        distiller(teacher, student, gkd.Term("at", student=tap, teacher=tap))(graph()).terms["at"]
        for tap in ("convs.0", "convs.0.aggr_module")  # what the bias, 0, is added to
    ]
    torch.testing.assert_close(*values)


def test_sequential_models_with_their_generated_forward() -> None:
    student = pyg.Sequential(
        "x, edge_index",
        [(pyg.GCNConv(5, 6), "x, edge_index -> x"), (torch.nn.Linear(6, 3), "x -> x")],
    )
    loss = Recorder()
    distiller(model(), student, gkd.Term(loss, student="module_0"))(graph())
    assert loss.student.features.shape == (8, 6)


def test_pooled_models_compare_graphs_by_their_rows() -> None:
    class Pooled(torch.nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.net, self.pool = model(width=width), pyg.SumAggregation()

        def forward(self, x, edge_index, batch):
            return self.pool(self.net(x, edge_index), batch)

    batch = Batch.from_data_list([graph(8, 1), graph(5, 2)])
    batch.y = torch.tensor([0, 2])
    terms = [gkd.Term("kd"), gkd.Term("fitnet", student="pool", teacher="pool")]
    engine = distiller(Pooled(9), Pooled(6), *terms, inputs=["x", "edge_index", "batch"])
    report = engine.prepare(batch)(batch)
    assert report.logits.shape == (2, 3)
    with pytest.raises(ParameterError, match=r"term 'lsp': .*graph"):
        distiller(
            Pooled(9),
            Pooled(6),
            gkd.Term("lsp", student="pool", teacher="pool"),
            inputs=["x", "edge_index", "batch"],
        )(batch)


def test_the_cache_takes_batches_of_data_with_ids() -> None:
    torch.manual_seed(0)
    teacher, cache, loss = model(pyg.GAT, dropout=0.5), TeacherCache(), Recorder()
    term = gkd.Term(loss, student="convs.0", teacher="convs.0")
    engine = distiller(teacher, model(), term, teacher_cache=cache)
    loader = DataLoader([graph(4 + i, i, ids=f"g{i}") for i in range(5)], 2, shuffle=True)
    for _ in range(6):
        for batch in loader:
            engine(batch)
            expected = teacher.convs[0](batch.x, batch.edge_index)
            torch.testing.assert_close(loss.teacher.features, expected, rtol=0, atol=1e-6)
    assert cache.num_samples == 5
    assert cache.hits > cache.misses
