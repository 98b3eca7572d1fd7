"""Moments over edges against the list of all edges, in float64 and where float32 is hardest."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import features, graphs
from torch import Tensor

from gkd.errors import ParameterError
from gkd.functional.edge_moments import edge_moments
from gkd.graph import Graph


def by_edge(a: Tensor, b: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
    z = a[graph.source] + b[graph.target]
    return z.mean(0), z.var(0, correction=0)


@given(graphs(min_nodes=1).filter(lambda graph: graph.num_edges > 0), st.data())
def test_values_and_gradients_equal_those_of_all_edges(graph, data):
    a = data.draw(features(graph.num_nodes, width=3)).requires_grad_()
    b = data.draw(features(graph.num_nodes, width=3)).requires_grad_()
    result, expected = edge_moments(a, b, graph), by_edge(a, b, graph)
    torch.testing.assert_close(result, expected)
    cotangents = [torch.randn(3, dtype=torch.float64) for _ in range(2)]
    gradients = torch.autograd.grad(result, (a, b), cotangents)
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, (a, b), cotangents))


def test_float32_where_both_ends_nearly_cancel():
    """Neighbours that differ by a thousandth of the spread, far from the origin."""
    torch.manual_seed(0)
    position = torch.randn(2000, 1, dtype=torch.float64).sort(dim=0).values * 100
    a = (position + 1e4).float()
    b = (-position + torch.randn_like(position) * 0.1 + 3e3).float()
    target = torch.arange(2000)
    edges = [torch.stack([(target + step).clamp(0, 1999), target]) for step in range(-2, 3)]
    graph = Graph(torch.cat(edges, 1), 2000)
    mean, variance = edge_moments(a, b, graph)
    exact_mean, exact_variance = by_edge(a.double(), b.double(), graph)
    assert a.double().var() > 1e3 * exact_variance
    torch.testing.assert_close(mean.double(), exact_mean, rtol=1e-6, atol=0)
    # What is left of the rounding of thousands of rows of the size of a's variance.
    torch.testing.assert_close(variance.double(), exact_variance, rtol=1e-4, atol=0)


def test_one_channel_that_never_varies():
    graph = Graph(torch.tensor([[0, 1, 1], [0, 0, 1]]), 2)
    a, b = torch.full((2, 1), 0.1), torch.full((2, 1), 0.2)
    mean, variance = edge_moments(a, b, graph)
    assert mean.item() == pytest.approx(0.3)
    assert 0 <= variance.item() < 1e-12


def test_gradcheck():
    torch.manual_seed(0)
    graph = Graph(torch.randint(0, 5, (2, 12)), 6)
    a, b = (torch.randn(6, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda a, b: edge_moments(a, b, graph), (a, b))


def test_no_edges_and_shapes_that_do_not_fit():
    empty = Graph(torch.zeros(2, 0, dtype=torch.int64), 3)
    with pytest.raises(ParameterError, match="at least one edge"):
        edge_moments(torch.ones(3, 2), torch.ones(3, 2), empty)
    for a, b in (((3, 2), (3, 1)), ((2, 2), (2, 2)), ((3,), (3,))):
        with pytest.raises(ParameterError, match=r"two tensors of shape \[3, F\]"):
            edge_moments(torch.ones(a), torch.ones(b), empty)
