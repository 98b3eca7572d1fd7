"""Mean and variance over all edges of a sum of a source's and a target's value."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gkd.eager import eagerly
from gkd.errors import ParameterError
from gkd.functional.row_reductions import row_sum
from gkd.graph import Graph


@eagerly
def edge_moments(
    source_values: Tensor, target_values: Tensor, graph: Graph
) -> tuple[Tensor, Tensor]:
    r"""Mean and (biased) variance over the edges of what their two ends add up to.

    .. math::
        \mu = \frac{1}{E} \sum_{j \to i} z_{ij}, \qquad
        \sigma^2 = \frac{1}{E} \sum_{j \to i} (z_{ij} - \mu)^2, \qquad z_{ij} = a_j + b_i

    They come from the sums of ``z`` over each node's out-edges, ``U_j``, and over its in-edges,
    ``V_i``, for the sum over all edges of ``z²`` is that of ``a_j U_j`` and ``b_i V_i`` over all
    nodes. Nothing of size ``[E, F]`` exists. Values are centred first and totals are taken in
    float64: ``a`` and ``b`` nearly cancel where neighbours are near. Differentiable once.

    Args:
        source_values: ``a``, ``[N, F]``.
        target_values: ``b``, ``[N, F]``.
        graph: E edges over N nodes, E at least 1.

    Returns:
        Mean ``[F]`` and variance ``[F]``.

    Raises:
        ParameterError: shapes that do not fit each other or the graph, or no edges.

    >>> graph = Graph(torch.tensor([[0, 1, 1], [0, 0, 1]]), num_nodes=2)
    >>> edge_moments(torch.tensor([[1.0], [4.0]]), torch.tensor([[0.0], [3.0]]), graph)
    (tensor([4.]), tensor([6.]))
    """
    shape = source_values.shape
    if len(shape) != 2 or shape[0] != graph.num_nodes or target_values.shape != shape:
        raise ParameterError(
            f"edge_moments needs two tensors of shape [{graph.num_nodes}, F] for {graph!r}, got "
            f"{list(shape)} and {list(target_values.shape)}"
        )
    if graph.num_edges == 0:
        raise ParameterError("edge_moments needs at least one edge: a mean of nothing is none")
    result: tuple[Tensor, Tensor] = _EdgeMoments.apply(  # type: ignore[no-untyped-call]
        source_values, target_values, graph
    )
    return result


def _degrees(row_pointer: Tensor, like: Tensor) -> Tensor:
    return row_pointer.diff().to(like.dtype)[:, None]


def _total(values: Tensor) -> Tensor:
    return values.sum(0, dtype=torch.float64)


class _EdgeMoments(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        out_degrees = _degrees(graph.transpose.row_pointer, a)
        in_degrees = _degrees(graph.row_pointer, b)
        a_centre, b_centre = a.mean(0), b.mean(0)
        # The mean square is far above the variance where features are far from the origin: their
        # difference would have no digits left. Centred, the two are of one size.
        a, b = a - a_centre, b - b_centre
        from_sources = row_sum(graph.transpose.row_pointer, graph.transpose.columns, b)
        from_sources.addcmul_(a, out_degrees)
        into_targets = row_sum(graph.row_pointer, graph.source, a)
        into_targets.addcmul_(b, in_degrees)
        # Not 0: a node counts as often as it has edges, and the centre was that of nodes.
        offset = _total(into_targets) / graph.num_edges
        squares = (_total(a.mul_(from_sources)) + _total(b.mul_(into_targets))) / graph.num_edges
        variance = (squares - offset.square()).clamp_(min=0).to(a.dtype)
        offset = offset.to(a.dtype)
        ctx.save_for_backward(from_sources, into_targets, out_degrees, in_degrees, offset)
        ctx.num_edges = graph.num_edges
        return a_centre + b_centre + offset, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_mean: Tensor, grad_variance: Tensor) -> tuple[Tensor, Tensor, None]:
        from_sources, into_targets, out_degrees, in_degrees, offset = ctx.saved_tensors
        # An edge's gradient is constant + slope · z: summed over the edges of each node.
        slope = grad_variance * (2 / ctx.num_edges)
        constant = grad_mean / ctx.num_edges - slope * offset
        grad_a = (slope * from_sources).addcmul_(out_degrees, constant)
        grad_b = (slope * into_targets).addcmul_(in_degrees, constant)
        return grad_a, grad_b, None
