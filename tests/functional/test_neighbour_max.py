"""The maximum over neighbours: values, where the gradient goes, failure paths."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import features, graphs
from torch import Tensor

from gkd.errors import ParameterError
from gkd.functional.neighbour_max import neighbour_max
from gkd.graph import Graph

GRAPH = Graph(torch.tensor([[0, 1, 2, 2, 0], [0, 0, 1, 2, 2]]), num_nodes=3)


def by_loop(x: Tensor, graph: Graph) -> Tensor:
    return torch.stack(
        [x[graph.source[graph.target == node]].amax(0) for node in range(graph.num_nodes)]
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(graphs(min_nodes=1), st.data())
def test_values_and_gradients_equal_a_loop(dtype, graph, data):
    graph = graph.with_self_loops()
    x = data.draw(features(graph.num_nodes, dtype=dtype)).requires_grad_()
    result, expected = neighbour_max(x, graph), by_loop(x, graph)
    assert torch.equal(result, expected)
    with torch.no_grad():
        assert torch.equal(neighbour_max(x, graph), expected)
    cotangent = torch.randn_like(result)
    (gradient,) = torch.autograd.grad(result, x, cotangent)
    (expected_gradient,) = torch.autograd.grad(expected, x, cotangent)
    # Among rows that coincide either may get the gradient, or all of them a share.
    same = (x[:, None] == x[None]).all(2).to(dtype)
    torch.testing.assert_close(same @ gradient, same @ expected_gradient)


def test_every_gradient_goes_to_one_neighbour_with_the_maximum():
    x = torch.zeros(3, 4, requires_grad=True)
    neighbour_max(x, GRAPH).sum().backward()
    assert x.grad.sum().item() == 12
    assert torch.equal(x.grad, x.grad.round())


def test_gradcheck():
    torch.manual_seed(0)
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: neighbour_max(x, GRAPH), x)


def test_only_numbers_of_neighbours_are_kept_for_the_backward_pass():
    kept = []
    x = torch.randn(3, 5, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda _: None):
        neighbour_max(x, GRAPH)
    assert [(tensor.dtype, tensor.shape) for tensor in kept] == [(torch.int32, (3, 5))]


def test_a_graph_without_nodes():
    nothing = Graph(torch.zeros(2, 0, dtype=torch.int64), 0)
    x = torch.zeros(0, 3, requires_grad=True)
    neighbour_max(x, nothing).sum().backward()
    assert x.grad.shape == (0, 3)


def test_a_node_without_in_edges_is_named():
    graph = Graph(torch.tensor([[0, 1], [0, 2]]), num_nodes=3)
    with pytest.raises(ParameterError, match="node 1 has no in-edge"):
        neighbour_max(torch.ones(3, 2), graph)


@pytest.mark.parametrize("shape", [(2, 4), (3,), (3, 2, 2)])
def test_features_that_do_not_fit_are_named(shape):
    with pytest.raises(ParameterError, match=r"features of shape \[3, F\] .* got"):
        neighbour_max(torch.ones(shape), GRAPH)
