"""The plain formulations equal those that training uses."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import gkd
from gkd.eager import exported_as
from gkd.functional import portable
from gkd.functional.attention import neighbour_attention
from gkd.functional.edge_products import neighbour_sum
from gkd.functional.neighbour_max import neighbour_max
from gkd.functional.portable import PortableGraph
from gkd.graph import Graph

SEEDS = st.integers(0, 2**31)
NODES = st.integers(1, 7)


def graphs(nodes: int, seed: int) -> tuple[Graph, PortableGraph, torch.Generator]:
    """Repeated edges and loops, and the same graph in both forms."""
    generator = torch.Generator().manual_seed(seed)
    count = int(torch.randint(0, 20, (1,), generator=generator))
    edges = torch.randint(nodes, (2, count), generator=generator)
    return Graph(edges, nodes), PortableGraph.of(edges, nodes), generator


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@given(NODES, SEEDS)
def test_kept_edges_are_those_of_the_graph(nodes: int, seed: int) -> None:
    graph, plain, _ = graphs(nodes, seed)
    pairs = [(graph, plain), (graph.with_self_loops(), plain.with_self_loops())]
    for graph, plain in pairs:
        kept = torch.stack([plain.source, plain.target])[:, plain.kept]
        assert sorted(kept.T.tolist()) == sorted(graph.edge_index.T.tolist())
        assert int(plain.kept.sum()) == graph.num_edges


@given(NODES, SEEDS)
def test_sums_over_neighbours(nodes: int, seed: int) -> None:
    graph, plain, generator = graphs(nodes, seed)
    features = normal(generator, nodes, 3)
    ones = torch.ones(graph.num_edges, dtype=torch.float64), torch.ones(plain.num_edges).double()
    expected = neighbour_sum(ones[0], features, graph)
    torch.testing.assert_close(portable.neighbour_sum(ones[1], features, plain), expected)


@given(NODES, SEEDS, st.floats(1, 1e3))
def test_attention(nodes: int, seed: int, scale: float) -> None:
    graph, plain, generator = graphs(nodes, seed)
    features = normal(generator, nodes, 2, 3)
    scores = [scale * normal(generator, nodes, 2) for _ in range(2)]
    expected = neighbour_attention(features, *scores, graph)
    torch.testing.assert_close(portable.neighbour_attention(features, *scores, plain), expected)


@given(NODES, SEEDS)
def test_maxima(nodes: int, seed: int) -> None:
    graph, plain, generator = graphs(nodes, seed)
    graph, plain = graph.with_self_loops(), plain.with_self_loops()
    features = normal(generator, nodes, 3)
    expected = neighbour_max(features, graph)
    torch.testing.assert_close(portable.neighbour_max(features, plain), expected)


@pytest.mark.parametrize("self_loops", [True, False])
def test_nearest_neighbours(self_loops: bool) -> None:
    points = torch.randn(30, 3, generator=torch.Generator().manual_seed(3)) + 1e3
    expected = gkd.create("graph", "knn", k=4, self_loops=self_loops)(points)
    found = portable.nearest_neighbours(points, 4, self_loops)
    assert {*zip(found.source.tolist(), found.target.tolist(), strict=True)} == {
        (source, target) for source, target in expected.edge_index.T.tolist()
    }


def test_the_plain_form_is_taken_while_exporting_alone() -> None:
    @exported_as(lambda x: x + 1)
    def function(x: Tensor) -> Tensor:
        return x - 1

    class Network(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return function(x)

    assert function(torch.zeros(1)).item() == -1
    program = torch.export.export(Network(), (torch.zeros(1),)).module()
    assert program(torch.zeros(1)).item() == 1
