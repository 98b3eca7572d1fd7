import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from gkd import Graph, Sample, collate
from gkd_data.links import component_of_each, edges_among, symmetric_edges

WIDTH, CLASSES = 3, 2


@st.composite
def graph_samples(draw: st.DrawFn, max_nodes: int = 6) -> Sample:
    num_nodes = draw(st.integers(0, max_nodes))
    node = st.integers(0, num_nodes - 1)
    pairs = draw(st.sets(st.tuples(node, node), max_size=12)) if num_nodes else set()
    by_target = sorted(pairs, key=lambda pair: (pair[1], pair[0]))
    return Sample(
        id=draw(st.text(max_size=4)),
        x=torch.randn(num_nodes, WIDTH),
        edge_index=torch.tensor(by_target, dtype=torch.int64).reshape(-1, 2).t().contiguous(),
        edge_weight=torch.randn(len(pairs)),
        edge_label_index=torch.tensor(
            draw(st.lists(st.tuples(node, node), max_size=3)) if num_nodes else [],
            dtype=torch.int64,
        ).reshape(2, -1),
        y=torch.zeros(1, dtype=torch.int64),
    )


batches_of_samples = st.lists(graph_samples(), min_size=1, max_size=5)


@st.composite
def link_lists(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    num_nodes = draw(st.integers(1, 6))
    node = st.integers(0, num_nodes - 1)
    links = np.array(draw(st.lists(st.tuples(node, node), max_size=15)), dtype=np.int64)
    source, target = links.reshape(-1, 2).T
    return source, target, num_nodes


@given(batches_of_samples)
def test_splitting_undoes_collating(samples: list[Sample]) -> None:
    parts = collate(samples).split()
    assert [part.id for part in parts] == [sample.id for sample in samples]
    for part, sample in zip(parts, samples, strict=True):
        assert part.keys() == sample.keys()
        assert part.num_nodes == sample.num_nodes
        for name, tensor in sample.items():
            assert torch.equal(getattr(part, name), tensor), name


@given(batches_of_samples)
def test_edges_stay_within_their_sample(samples: list[Sample]) -> None:
    batch = collate(samples)
    source, target = batch.batch[batch.edge_index]
    assert torch.equal(source, target)
    counts = torch.bincount(source, minlength=len(samples)).tolist()
    assert counts == [sample.edge_index.shape[1] for sample in samples]


@given(batches_of_samples)
def test_every_edge_joins_the_features_it_joined_before(samples: list[Sample]) -> None:
    batch = collate(samples)
    for row in (0, 1):
        expected = torch.cat([sample.x[sample.edge_index[row]] for sample in samples])
        assert torch.equal(batch.x[batch.edge_index[row]], expected)


@given(batches_of_samples)
def test_sorted_edges_stay_sorted(samples: list[Sample]) -> None:
    batch = collate(samples)
    graph = Graph(batch.edge_index, batch.num_nodes)
    assert torch.equal(graph.edge_index, batch.edge_index)


@given(batches_of_samples)
def test_pointers_and_batch_vector_agree(samples: list[Sample]) -> None:
    batch = collate(samples)
    sizes = batch.ptr.diff()
    assert sizes.tolist() == [sample.num_nodes for sample in samples]
    assert torch.equal(torch.arange(len(samples)).repeat_interleave(sizes), batch.batch)


@given(link_lists(), st.booleans())
def test_symmetric_edges_hold_each_link_in_both_directions_once(
    links: tuple[np.ndarray, np.ndarray, int], self_loops: bool
) -> None:
    source, target, num_nodes = links
    edges = symmetric_edges(source, target, num_nodes, self_loops)
    pairs = list(zip(source.tolist(), target.tolist(), strict=True))
    expected = {*pairs, *((j, i) for i, j in pairs)}
    if not self_loops:
        expected = {(i, j) for i, j in expected if i != j}
    assert sorted(map(tuple, edges.T.tolist())) == sorted(expected)


@given(link_lists(), st.booleans())
def test_symmetric_edges_are_sorted_by_target_then_source(
    links: tuple[np.ndarray, np.ndarray, int], self_loops: bool
) -> None:
    *_, num_nodes = links
    edges = torch.from_numpy(symmetric_edges(*links, self_loops))
    assert torch.equal(Graph(edges, num_nodes).edge_index, edges)


@given(link_lists(), st.randoms(use_true_random=False))
def test_symmetric_edges_ignore_order_direction_and_repetition(
    links: tuple[np.ndarray, np.ndarray, int], random
) -> None:
    source, target, num_nodes = links
    order = np.array(random.sample(range(len(source)), len(source)), dtype=np.int64)
    flip = np.array([random.random() < 0.5 for _ in order], dtype=bool)
    ends = np.stack([source, target])[:, order]
    flipped = np.where(flip, ends[::-1], ends)
    doubled = np.concatenate([flipped, ends], axis=1)
    assert np.array_equal(
        symmetric_edges(*doubled, num_nodes, self_loops=True),
        symmetric_edges(source, target, num_nodes, self_loops=True),
    )


@given(link_lists())
def test_components_are_what_links_reach(links: tuple[np.ndarray, np.ndarray, int]) -> None:
    source, target, num_nodes = links
    reached = {node: {node} for node in range(num_nodes)}
    for i, j in zip(source.tolist(), target.tolist(), strict=True):
        joined = reached[i] | reached[j]
        for node in joined:
            reached[node] = joined
    edges = symmetric_edges(source, target, num_nodes, self_loops=True)
    expected = [min(reached[node]) for node in range(num_nodes)]
    assert component_of_each(edges, num_nodes).tolist() == expected


@given(link_lists(), st.data())
def test_edges_among_some_nodes(links: tuple[np.ndarray, np.ndarray, int], data) -> None:
    *_, num_nodes = links
    edges = symmetric_edges(*links, self_loops=True)
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=num_nodes, max_size=num_nodes)))
    names = [node for node in range(num_nodes) if kept[node]]
    ours = [(names[i], names[j]) for i, j in edges_among(edges, kept.astype(bool)).T.tolist()]
    assert ours == [(i, j) for i, j in edges.T.tolist() if kept[i] and kept[j]]
