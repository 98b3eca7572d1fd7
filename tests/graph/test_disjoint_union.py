"""Structure of samples: found once, kept within bounds, and let go with the samples."""

import gc
import weakref

import pytest
import torch
from torch.utils.data import DataLoader

import gkd
from gkd import Graph
from gkd.functional.edge_products import neighbour_sum
from gkd.graph import disjoint_union
from gkd.graph.disjoint_union import DisjointUnion
from gkd.graph.edge_index import stable_order
from gkd.graph.graph import recall_graph

NODES, EDGES = 50, 1000


def samples(count: int, edges: int = EDGES) -> list[gkd.Sample]:
    random = torch.Generator().manual_seed(count)
    drawn = [torch.randint(NODES, (2, edges), generator=random) for _ in range(count)]
    return [
        gkd.Sample(id=str(i), num_nodes=NODES, edge_index=Graph(edge_index, NODES).edge_index)
        for i, edge_index in enumerate(drawn)
    ]


def graph_of(batch: gkd.Batch) -> Graph | None:
    return recall_graph(batch.edge_index, batch.num_nodes)


def test_batches_share_what_was_found_about_their_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    known = samples(3)
    sorts = []
    monkeypatch.setattr(
        "gkd.graph.graph.stable_order", lambda *args: sorts.append(args) or stable_order(*args)
    )
    for chosen in ((0, 1), (2, 0), (1, 2), (0, 1, 2), (1,)):
        batch = gkd.collate([known[i] for i in chosen])
        graph = Graph.of(batch.edge_index, batch.num_nodes)
        values = torch.ones(graph.num_edges)
        features = torch.ones(batch.num_nodes, 2, requires_grad=True)
        neighbour_sum(values, features, graph).sum().backward()
        degrees = torch.bincount(batch.edge_index[0], minlength=batch.num_nodes)
        assert torch.equal(features.grad[:, 0], degrees.float())
    assert len(sorts) == len(known)


def test_the_edges_of_a_batch_are_not_held_twice() -> None:
    batch = gkd.collate(samples(2))
    assert isinstance(graph_of(batch), DisjointUnion)
    assert graph_of(batch).edge_index.data_ptr() == batch.edge_index.data_ptr()


def test_nothing_outlives_the_samples_and_the_batch() -> None:
    gc.collect()  # what other tests left
    known = samples(2)
    before = disjoint_union._total[0]
    batch = gkd.collate(known)
    assert disjoint_union._total[0] == before + batch.edge_index.shape[1]
    graph = weakref.ref(graph_of(batch))
    edges = [weakref.ref(sample.edge_index) for sample in known]
    del batch, known
    gc.collect()
    assert graph() is None
    assert [edge() for edge in edges] == [None, None]
    assert disjoint_union._total[0] == before


def test_small_samples_and_those_beyond_the_bound_are_not_kept(monkeypatch) -> None:
    assert graph_of(gkd.collate(samples(4, edges=20))) is None
    known = samples(3)
    monkeypatch.setattr(disjoint_union, "_EDGES_AT_MOST", disjoint_union._total[0] + 2 * EDGES)
    assert graph_of(gkd.collate(known[:2])) is not None
    assert graph_of(gkd.collate(known)) is None
    assert graph_of(gkd.collate(known[:2])) is not None


def test_workers_leave_it_to_the_process_that_uses_the_graph() -> None:
    known = samples(4)
    loader = DataLoader(
        known, batch_size=2, collate_fn=collated_with_its_graph, num_workers=1,
        multiprocessing_context="fork",
    )  # fmt: skip
    for batch, remembered in loader:
        assert not remembered
        anew = Graph(batch.edge_index.clone(), batch.num_nodes)
        assert Graph.of(batch.edge_index, batch.num_nodes) == anew


def collated_with_its_graph(samples: list[gkd.Sample]) -> tuple[gkd.Batch, bool]:
    batch = gkd.collate(samples)
    return batch, graph_of(batch) is not None
