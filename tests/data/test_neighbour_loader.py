"""Sampled neighbourhoods: a part of the graph, drawn evenly, the same whenever it is drawn."""

import copy
import pickle
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gkd import DataError, NeighbourLoader, ParameterError, Sample, collate
from gkd.data.sampled_batch import SampledBatch
from gkd.functional.draws import distinct_draws


def graph(nodes: int = 30, edges: int = 120, seed: int = 0) -> Sample:
    """Nodes whose features are their own numbers, edges whose attributes are their ends."""
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(nodes, (2, edges), generator=generator)
    return Sample(
        id="graph",
        x=torch.arange(nodes).double()[:, None],
        edge_index=edge_index,
        edge_attr=edge_index.T.double(),
        y=torch.arange(nodes) % 3,
        train_mask=torch.arange(nodes) % 2 == 0,
    )


def in_edges(edge_index: Tensor, node: int) -> list[int]:
    """Sources of the edges to a node, each as often as there are edges, ascending."""
    return edge_index[0, edge_index[1] == node].sort().values.tolist()


def hops(batch: SampledBatch) -> Tensor:
    """Steps from each node to the nearest seed, along the batch's edges."""
    away = torch.full((batch.num_nodes,), 99)
    away[: batch.batch_size] = 0
    for _ in range(4):
        source, target = batch.edge_index
        away = away.scatter_reduce(0, source, away[target] + 1, "amin")
    return away


@given(
    nodes=st.integers(1, 20),
    edges=st.integers(0, 60),
    seed=st.integers(0, 99),
    fan_outs=st.lists(st.one_of(st.integers(1, 4), st.just("all")), min_size=1, max_size=3),
    size=st.integers(1, 7),
)
def test_a_batch_is_a_part_of_the_graph(
    nodes: int, edges: int, seed: int, fan_outs: list[object], size: int
) -> None:
    whole = graph(nodes, edges, seed)
    seen = []
    for batch in NeighbourLoader(whole, fan_outs, size, seed=seed):
        seen += batch.n_id[: batch.batch_size].tolist()
        assert len(batch.n_id.unique()) == batch.num_nodes == len(batch.x)
        for name in ("x", "y", "train_mask"):
            assert torch.equal(getattr(batch, name), getattr(whole, name)[batch.n_id])
        assert torch.equal(batch.n_id[batch.edge_index].T.double(), batch.edge_attr)
        distance = hops(batch)
        assert int(distance.max()) <= len(fan_outs)
        for node in range(batch.num_nodes):
            found = in_edges(batch.n_id[batch.edge_index], int(batch.n_id[node]))
            there = in_edges(whole.edge_index, int(batch.n_id[node]))
            hop = int(distance[node])
            most = 0 if hop == len(fan_outs) else fan_outs[hop]
            assert len(found) == (len(there) if most == "all" else min(most, len(there)))
            assert all(found.count(source) <= there.count(source) for source in found)
    assert sorted(seen) == list(range(nodes))


def test_every_set_of_in_edges_is_equally_likely() -> None:
    edges = torch.tensor([[1, 2, 3, 4], [0, 0, 0, 0]])
    star = Sample(id="star", x=torch.zeros(5, 1), edge_index=edges)
    counts: dict[tuple[int, ...], int] = {}
    loader = NeighbourLoader(star, [2], batch_size=1, shuffle=False)
    for epoch in range(1200):
        loader.set_epoch(epoch)
        drawn = tuple(next(iter(loader)).n_id[1:].tolist())
        counts[drawn] = counts.get(drawn, 0) + 1
    assert len(counts) == 6
    assert all(140 < count < 260 for count in counts.values())  # 200 each, 4.6 standard deviations


@given(sizes=st.lists(st.integers(3, 50), max_size=20), seed=st.integers(0, 99))
def test_distinct_draws_are_distinct_and_in_their_range(sizes: list[int], seed: int) -> None:
    limits = torch.tensor(sizes, dtype=torch.int64)
    drawn = distinct_draws(limits, 3, torch.Generator().manual_seed(seed))
    assert drawn.shape == (len(sizes), 3)
    assert bool((drawn.diff(dim=1) > 0).all())
    assert bool((drawn >= 0).all())
    assert bool((drawn < limits[:, None]).all())


def epoch_of(loader: NeighbourLoader, epoch: int) -> list[list[int]]:
    loader.set_epoch(epoch)
    return [batch.n_id.tolist() for batch in loader]


def test_batches_follow_from_seed_and_epoch_alone() -> None:
    def loader(**options: object) -> NeighbourLoader:
        return NeighbourLoader(graph(), [2, 2], 8, **{"seed": 3, **options})

    whole = epoch_of(loader(), 5)
    went_on = loader()
    epoch_of(went_on, 4)
    torch.manual_seed(77)
    assert epoch_of(went_on, 5) == whole
    assert epoch_of(loader(num_workers=2), 5) == whole
    assert epoch_of(loader(), 6) != whole
    assert epoch_of(loader(seed=4), 5) != whole
    orders = [[ids[:8] for ids in epoch_of(loader(shuffle=False), epoch)] for epoch in (0, 1)]
    assert orders[0] == orders[1]


def test_loading_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(NeighbourLoader(graph(), [2], 8))
    assert torch.equal(torch.get_rng_state(), before)


def test_seeds_are_the_rows_that_are_asked_for() -> None:
    loader = NeighbourLoader(graph(), [1], 4, rows="train_mask")
    assert len(loader) == 4
    seeds = [n for batch in loader for n in batch.n_id[: batch.batch_size].tolist()]
    assert sorted(seeds) == list(range(0, 30, 2))
    left = NeighbourLoader(graph(), [1], 4, rows="~train_mask", drop_last=True)
    assert [batch.batch_size for batch in left] == [4, 4, 4]


def test_names_of_nodes_are_the_graphs_own() -> None:
    sample = graph()
    named = Sample(id="named", n_id=torch.arange(30) + 100, **dict(sample.items()))
    batch = next(iter(NeighbourLoader(named, [1], 4)))
    assert torch.equal(batch.n_id, batch.node_numbers + 100)


def test_a_batch_knows_its_graph_which_shares_the_memory_of_the_samples() -> None:
    sample = graph()
    batch = next(iter(NeighbourLoader(sample, [1], 4, num_workers=1)))
    assert batch.whole is not None
    assert batch.whole.x is sample.x
    assert batch.ids == batch.whole.ids == ("graph",)
    assert batch.to("cpu").whole is batch.whole
    for copied in (copy.deepcopy(batch), pickle.loads(pickle.dumps(batch))):
        assert copied.whole is None
        assert torch.equal(copied.x, batch.x)


def test_tensors_of_the_whole_graph_stay_as_they_are() -> None:
    sample = Sample(id="a", share=torch.tensor([0.5]), **dict(graph().items()))
    assert next(iter(NeighbourLoader(sample, [1], 4))).share.tolist() == [0.5]


def test_sparse_adjacency_stands_for_edges() -> None:
    sample = graph()
    adjacency = torch.sparse_coo_tensor(
        sample.edge_index.flip(0), torch.ones(120), (30, 30), check_invariants=True
    ).coalesce()
    loader = NeighbourLoader(SimpleNamespace(x=sample.x, adj_t=adjacency), ["all"], 30)
    batch = next(iter(loader))
    found = [tuple(edge) for edge in batch.n_id[batch.edge_index].T.tolist()]
    assert sorted(found) == sorted({tuple(edge) for edge in sample.edge_index.T.tolist()})


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"neighbours": []}, ParameterError, "'neighbours' must"),
        ({"neighbours": [0]}, ParameterError, "'neighbours'"),
        ({"neighbours": ["some"]}, ParameterError, "'neighbours'"),
        ({"batch_size": 0}, ParameterError, "'batch_size' must be int > 0, got 0"),
        ({"rows": "val_mask"}, DataError, "no 'val_mask'; did you mean 'train_mask'"),
        ({"batch_size": 31, "drop_last": True}, ParameterError, "30 nodes make no batch of 31"),
        ({"graph": SimpleNamespace(x=torch.ones(3, 1))}, DataError, "has no edge_index"),
    ],
)
def test_what_is_wrong_is_said(changed: dict, error: type, message: str) -> None:
    arguments = {"graph": graph(), "neighbours": [2], "batch_size": 4, **changed}
    with pytest.raises(error, match=message):
        NeighbourLoader(**arguments)


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("edge_label_index", torch.zeros(2, 3, dtype=torch.int64), "holds numbers of nodes"),
        ("whole", torch.zeros(30), "is a name of sampled batches"),
        ("odd", torch.zeros(7), "a row neither for each of 30 nodes nor for each of 120 edges"),
    ],
)
def test_tensors_that_cannot_be_divided_are_refused(
    name: str, tensor: Tensor, message: str
) -> None:
    sample = Sample(id="a", **{name: tensor}, **dict(graph().items()))
    with pytest.raises(DataError, match=message):
        NeighbourLoader(sample, [1], 4)


def test_several_graphs_are_refused() -> None:
    with pytest.raises(DataError, match="is 2 graphs"):
        NeighbourLoader(collate([graph(), graph()]), [1], 4)
