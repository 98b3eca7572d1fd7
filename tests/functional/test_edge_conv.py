"""Edge convolution against its formula written down over all edges."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import features, graphs
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gkd.errors import ParameterError
from gkd.functional.edge_conv import Moments, edge_conv
from gkd.graph import Graph

Parameters = tuple[Tensor, Tensor, Tensor]


def textbook(
    x: Tensor, parameters: Parameters, graph: Graph, moments: Moments | None, slope: float = 0.2
) -> tuple[Tensor, Moments]:
    weight, scale, shift = parameters
    source, target = graph.edge_index
    z = torch.cat([x[source] - x[target], x[target]], dim=1) @ weight.t()
    if moments is None:
        moments = Moments(z.mean(0), z.var(0, correction=0))
    y = (z - moments.mean) / (moments.variance + 1e-5).sqrt() * scale + shift
    y = functional.leaky_relu(y, slope)
    rows = [y[target == node].max(0).values for node in range(graph.num_nodes)]
    return torch.stack(rows), moments


def random_parameters(in_channels: int, out_channels: int, dtype=torch.float64) -> Parameters:
    weight = torch.randn(out_channels, 2 * in_channels, dtype=dtype)
    scale, shift = torch.randn(2, out_channels, dtype=dtype)
    scale[0], scale[1] = -scale[0].abs(), scale[1].abs()  # both signs, always
    return weight, scale, shift


def results(function, x, parameters, graph, moments) -> list[Tensor]:
    """Output, moments and gradients with respect to everything."""
    leaves = [tensor.detach().requires_grad_() for tensor in (x, *parameters)]
    out, used = function(leaves[0], leaves[1:], graph, moments)
    generator = torch.Generator().manual_seed(0)
    cotangent = torch.randn(out.shape, generator=generator, dtype=torch.float64).to(out.dtype)
    gradients = torch.autograd.grad(out, leaves, cotangent)
    return [out.detach(), *(moment.detach() for moment in used), *gradients]


def ours(x, parameters, graph, moments) -> tuple[Tensor, Moments]:
    return edge_conv(x, *parameters, graph, moments)


@pytest.mark.parametrize("batch_statistics", [True, False])
@given(graphs(min_nodes=2), st.data())
def test_outputs_moments_and_gradients_equal_the_formula(batch_statistics, graph, data):
    graph = graph.with_self_loops()
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    x = torch.randn(graph.num_nodes, 3, generator=generator, dtype=torch.float64)
    torch.manual_seed(0)
    parameters = random_parameters(3, 5)
    moments = None if batch_statistics else Moments(*torch.rand(2, 5, dtype=torch.float64))
    result = results(ours, x, parameters, graph, moments)
    expected = results(textbook, x, parameters, graph, moments)
    torch.testing.assert_close(result, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("batch_statistics", [True, False])
@given(graphs(min_nodes=2), st.data())
def test_points_that_coincide(batch_statistics, graph, data):
    """A tie leaves open which point gets a gradient, not what all that coincide get together."""
    graph = graph.with_self_loops()
    x = data.draw(features(graph.num_nodes, width=3))
    x[-1] = x[0]
    torch.manual_seed(0)
    parameters = random_parameters(3, 5)
    moments = None if batch_statistics else Moments(*torch.rand(2, 5, dtype=torch.float64))
    result = results(ours, x, parameters, graph, moments)
    expected = results(textbook, x, parameters, graph, moments)
    torch.testing.assert_close(result[:3], expected[:3], rtol=1e-7, atol=1e-7)
    # Where all edges are nearly alike, rounding divided by a vanishing deviation is arbitrary.
    assume(not batch_statistics or expected[2].min() > 1e-3)
    same = (x[:, None] == x[None]).all(2).double()
    for gradient, other in zip(
        [same @ result[3], *result[4:]], [same @ expected[3], *expected[4:]], strict=True
    ):
        torch.testing.assert_close(gradient, other, rtol=1e-6, atol=1e-6)


def regular_graph(num_nodes: int, k: int) -> Graph:
    chosen = torch.rand(num_nodes, num_nodes).topk(k).indices
    target = torch.arange(num_nodes).repeat_interleave(k)
    return Graph(torch.stack([chosen.flatten(), target]), num_nodes)


@pytest.mark.parametrize("batch_statistics", [True, False])
@pytest.mark.parametrize("offset", [0.0, 10.0])
def test_float32_is_within_1e_5_of_float64(batch_statistics, offset):
    torch.manual_seed(0)
    graph = regular_graph(500, 12)
    x = torch.randn(500, 6) + offset
    parameters = random_parameters(6, 40, torch.float32)
    moments = None if batch_statistics else Moments(*torch.rand(2, 40))
    result = results(ours, x, parameters, graph, moments)
    exact = results(
        textbook,
        x.double(),
        tuple(tensor.double() for tensor in parameters),
        graph,
        None if moments is None else Moments(*(tensor.double() for tensor in moments)),
    )
    for value, expected in zip(result, exact, strict=True):
        assert value.dtype == torch.float32
        assert (value.double() - expected).norm() < 1e-5 * expected.norm()


def test_a_scale_of_zero_has_the_gradient_of_some_maximum():
    torch.manual_seed(0)
    graph = regular_graph(30, 5)
    x = torch.randn(30, 3, dtype=torch.float64)
    weight, scale, shift = random_parameters(3, 2)
    scale[0] = 0
    out, _, _, x_gradient, *_, scale_gradient, shift_gradient = results(
        ours, x, (weight, scale, shift), graph, None
    )
    torch.testing.assert_close(
        out[:, 0], functional.leaky_relu(shift[0], 0.2).expand(30), rtol=1e-12, atol=1e-12
    )
    assert torch.stack([scale_gradient, shift_gradient]).isfinite().all()
    assert x_gradient.isfinite().all()


def test_gradcheck():
    torch.manual_seed(0)
    graph = regular_graph(6, 3)
    leaves = [torch.randn(6, 2, dtype=torch.float64), *random_parameters(2, 3)]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    assert torch.autograd.gradcheck(lambda *leaves: edge_conv(*leaves, graph)[0], leaves)


@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0])
def test_the_slope(slope):
    torch.manual_seed(0)
    graph = regular_graph(20, 4)
    x, parameters = torch.randn(20, 3, dtype=torch.float64), random_parameters(3, 5)
    out, _ = edge_conv(x, *parameters, graph, negative_slope=slope)
    torch.testing.assert_close(out, textbook(x, parameters, graph, None, slope)[0])
    with pytest.raises(ParameterError, match="negative_slope must be at least 0, got -1"):
        edge_conv(x, *parameters, graph, negative_slope=-1.0)


class LargestTensor(TorchDispatchMode):
    """Context that keeps the size of the largest tensor made in it."""

    elements = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


def test_no_tensor_of_the_edges_times_the_width_is_made():
    torch.manual_seed(0)
    nodes, k, width = 64, 32, 50
    graph = regular_graph(nodes, k)
    leaves = [torch.randn(nodes, 3), *random_parameters(3, width, torch.float32)]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    seen = {}
    for function in (ours, textbook):
        with LargestTensor() as largest:
            out, _ = function(leaves[0], leaves[1:], graph, None)
            torch.autograd.grad(out.sum(), leaves)
        seen[function] = largest.elements
    assert seen[ours] <= max(nodes * width, 2 * nodes * k)  # and the edge list
    assert seen[textbook] >= nodes * k * width


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    torch.manual_seed(0)
    graph = regular_graph(20, 4)
    x, parameters = torch.randn(20, 3), random_parameters(3, 5, torch.float32)
    rounded = [tensor.to(dtype) for tensor in (x, *parameters)]
    out, moments = edge_conv(*rounded, graph)
    expected, _ = edge_conv(*(tensor.float() for tensor in rounded), graph)
    assert torch.equal(out, expected.to(dtype))
    assert {moment.dtype for moment in moments} == {torch.float32}
    with torch.autocast("cpu", torch.bfloat16):
        mixed, _ = edge_conv(x, *parameters, graph)
    assert torch.equal(mixed, edge_conv(x, *parameters, graph)[0])


@pytest.mark.parametrize(
    "shapes",
    [[(4,), (5, 6), (5,), (5,)], [(4, 3), (5, 5), (5,), (5,)], [(4, 3), (5, 6), (5,), (4,)]],
)
def test_shapes_that_do_not_fit_are_named(shapes):
    with pytest.raises(ParameterError, match=r"features \[N, C\], weight \[F, 2C\]"):
        edge_conv(*map(torch.ones, shapes), regular_graph(4, 2))
