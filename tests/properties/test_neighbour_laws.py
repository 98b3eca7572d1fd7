"""Laws of neighbours: every backend finds those of exact arithmetic, whatever the points."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from neighbour_reference import assert_nearest, batch_vector, clouds, squared_distances
from strategies import permutations
from torch import Tensor

import gkd
from gkd import Graph

BACKENDS = ["torch", "torch-cluster", "scipy", "auto"]
TIES = 1e-6  # relative difference of squared distances, about ten roundings in float32
Batch = tuple[Tensor, list[int]]


@st.composite
def batches(draw: st.DrawFn, dtypes: tuple[torch.dtype, ...] = (torch.float32,)) -> Batch:
    """Points of several clouds: of different sizes, empty ones among them, near and far from the
    origin, with points that coincide, lie on a grid (many equal distances) or differ minutely.
    """
    sizes = draw(st.lists(st.integers(0, 40), min_size=1, max_size=5))
    width, dtype = draw(st.integers(1, 8)), draw(st.sampled_from(dtypes))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31 - 1)))
    points = torch.randn(sum(sizes), width, generator=generator, dtype=torch.float64)
    kind = draw(st.sampled_from(["plain", "grid", "few", "tight", "line"]))
    if kind == "grid":
        points = points.round()
    elif kind == "few":
        points = points[torch.randint(max(1, len(points) // 8), (len(points),))]
    elif kind == "tight":
        points = points.sign() + 1e-4 * points
    elif kind == "line":
        points = torch.arange(len(points), dtype=torch.float64)[:, None].expand(-1, width)
    shift = draw(st.sampled_from([0.0, 0.0, -50.0, 1e4]))
    scale = draw(st.sampled_from([1.0, 1.0, 1e-3, 1e3, 1e-25, 1e20]))
    return (points * scale + shift * scale).to(dtype), sizes


@pytest.mark.parametrize("backend", BACKENDS)
@given(batch=batches(), k=st.integers(1, 45))
def test_every_backend_finds_the_nearest_of_brute_force_in_float64(backend, batch, k):
    features, sizes = batch
    graph = gkd.create("graph", "knn", k=k, backend=backend)(features, batch_vector(sizes))
    assert_nearest(graph, features, sizes, k, TIES)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@given(data=st.data(), k=st.integers(1, 20))
def test_precision_of_the_features_is_respected(dtype, data, k):
    features, sizes = data.draw(batches(dtypes=(dtype,)))
    if not features.isfinite().all():  # out of the range of half precision
        features = torch.nan_to_num(features)
    graph = gkd.create("graph", "knn", k=k, backend="torch")(features, batch_vector(sizes))
    assert_nearest(graph, features, sizes, k, TIES)


@given(batch=batches(), k=st.integers(1, 20))
def test_without_self_loops_there_are_k_others(batch, k):
    features, sizes = batch
    builder = gkd.create("graph", "knn", k=k, backend="torch", self_loops=False)
    graph = builder(features, batch_vector(sizes))
    assert not len(graph.self_loops)
    assert_nearest(graph.with_self_loops(), features, sizes, k + 1, TIES)


@given(batch=batches(), k=st.integers(1, 20))
def test_a_batch_is_its_clouds_side_by_side(batch, k):
    features, sizes = batch
    builder = gkd.create("graph", "knn", k=k, backend="torch")
    graph = builder(features, batch_vector(sizes))
    for start, points in clouds(features, sizes):
        ours = (graph.target >= start) & (graph.target < start + len(points))
        part = Graph(graph.edge_index[:, ours] - start, len(points))
        assert_nearest(part, points, [len(points)], k, TIES)


@given(batch=batches(), k=st.integers(1, 12), more=st.integers(1, 12))
def test_more_neighbours_are_at_least_as_far(batch, k, more):
    features, sizes = batch
    graph = gkd.create("graph", "knn", k=k + more, backend="torch")(features, batch_vector(sizes))
    for start, points in clouds(features, sizes):
        squares = squared_distances(points)
        for node in range(len(points)):
            rows = slice(*graph.row_pointer[start + node : start + node + 2].tolist())
            left_out = torch.ones(len(points), dtype=torch.bool)
            left_out[graph.source[rows] - start] = False
            inside, outside = squares[node][~left_out], squares[node][left_out]
            assert not len(outside) or inside.max() <= outside.min() * (1 + TIES)


@given(batch=batches(), radius=st.sampled_from([0.5, 1.0, 3.0, 1e3]))
def test_radius_takes_those_within_and_no_other(batch, radius):
    features, sizes = batch
    graph = gkd.create("graph", "radius", radius=radius)(features, batch_vector(sizes))
    expected = [
        (squared_distances(points) <= radius**2).nonzero().flip(1).t() + start
        for start, points in clouds(features, sizes)
    ]
    assert graph == Graph(torch.cat(expected, dim=1), len(features))


@given(batch=batches(), data=st.data())
def test_a_union_of_builders_does_not_depend_on_their_order_or_repetition(batch, data):
    features, sizes = batch
    choices = [
        {"name": "knn", "k": 3},
        {"name": "knn", "k": 5, "backend": "torch-cluster"},
        {"name": "knn", "k": 5, "backend": "scipy"},
        {"name": "radius", "radius": 1.0},
        {"name": "radius", "radius": 0.1},
    ]
    order = data.draw(permutations(len(choices)))
    shuffled = [choices[int(i)] for i in order]
    ours = gkd.create("graph", "union", graphs=choices)(features, batch_vector(sizes))
    theirs = gkd.create("graph", "union", graphs=[*shuffled, shuffled[0]])
    assert theirs(features, batch_vector(sizes)) == ours
    for choice in choices:
        part = gkd.create("graph", "union", graphs=[choice])(features, batch_vector(sizes))
        assert part.union(ours) == ours


@st.composite
def neighbour_lists(draw: st.DrawFn, num_nodes: int) -> Tensor:
    """Neighbours of each node in any order, with repetitions and absences; int64 ``[N, K]``."""
    width = draw(st.integers(0, 6))
    node = st.integers(-1, num_nodes - 1)
    rows = draw(
        st.lists(
            st.lists(node, min_size=width, max_size=width), min_size=num_nodes, max_size=num_nodes
        )
    )
    return torch.tensor(rows, dtype=torch.int64).reshape(num_nodes, width)


def edges_from(neighbours: Tensor) -> Tensor:
    pairs = [(s, t) for t, row in enumerate(neighbours.tolist()) for s in row if s >= 0]
    return torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).t()


@given(st.data())
def test_a_graph_from_neighbours_has_their_edges(data):
    num_nodes = data.draw(st.integers(0, 6))
    neighbours = data.draw(neighbour_lists(num_nodes))
    assert Graph.from_neighbours(neighbours) == Graph(edges_from(neighbours), num_nodes)


@given(st.data())
def test_neighbours_of_a_regular_graph_are_its_rows(data):
    num_nodes, k = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 4))
    drawn = [data.draw(permutations(num_nodes))[:k] for _ in range(num_nodes)]
    neighbours = torch.stack(drawn)
    graph = Graph.from_neighbours(neighbours)
    assert torch.equal(graph.neighbours, neighbours.sort(dim=1).values)
    if k < num_nodes:  # one edge more and it is ragged
        absent = next(node for node in range(num_nodes) if node not in neighbours[0])
        more = Graph(torch.cat([graph.edge_index, torch.tensor([[absent], [0]])], 1), num_nodes)
        assert more.neighbours is None or num_nodes == 1


@given(st.data())
def test_union_of_regular_graphs_of_different_degrees_is_that_of_their_edges(data):
    num_nodes = data.draw(st.integers(1, 8))
    first, second = (data.draw(neighbour_lists(num_nodes)) for _ in range(2))
    both = Graph.from_neighbours(first).union(Graph.from_neighbours(second))
    assert both == Graph.from_neighbours(torch.cat([first, second], dim=1))
    assert both == Graph.from_neighbours(second).union(Graph.from_neighbours(first))
