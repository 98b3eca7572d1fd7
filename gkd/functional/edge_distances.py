"""Squared distances along edges, in O(E + N·F) memory."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gkd.functional.edge_products import (
    both_ways,
    check_features,
    pairs_for,
    working_dtype,
)
from gkd.functional.segments import segment_sum
from gkd.functional.sparse import sampled_product, sparse_product
from gkd.graph import Graph


def edge_squared_distance(features: Tensor, graph: Graph) -> Tensor:
    r"""Squared distance of the two ends of every edge, ``[E]``; exactly 0 on self-loops.

    .. math:: d_{ij} = \|x_i - x_j\|^2 = \|x_i\|^2 + \|x_j\|^2 - 2\, x_i \cdot x_j

    The round-off is proportional to the largest squared norm, not to the distance.

    Args:
        features: ``x``, ``[N, F]``. Half precision is computed in float32.
        graph: E edges over N nodes.

    Raises:
        ParameterError: shapes that do not fit each other.

    >>> graph = Graph(torch.tensor([[1, 0], [0, 0]]), num_nodes=2)
    >>> edge_squared_distance(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), graph)
    tensor([ 0., 25.])
    """
    check_features("edge_squared_distance", features, graph)
    result: Tensor = _EdgeSquaredDistance.apply(features, graph)  # type: ignore[no-untyped-call]
    return result


class _EdgeSquaredDistance(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, graph: Graph) -> Tensor:
        ctx.save_for_backward(features)
        ctx.graph = graph
        x, pairs = features.to(working_dtype(features)), pairs_for(features.shape[1], graph)
        norms = torch.linalg.vecdot(x, x)
        ends = norms.index_select(0, pairs.target).add_(norms.index_select(0, pairs.source))
        squares = sampled_product(pairs.row_pointer, pairs.source, x, x, plus=ends, scale=-2.0)
        distances = pairs.per_edge(squares.clamp_min_(0))
        # Round-off must not part a node from itself.
        return distances.index_fill_(0, graph.self_loops, 0).to(features.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        # With V = W + Wᵀ and D its row sums, the gradient is 2 (D - V) x; self-loops add nothing.
        (features,) = ctx.saved_tensors
        x = features.to(working_dtype(features))
        weights = (-2 * grad.to(x.dtype)).index_fill_(0, ctx.graph.self_loops, 0)
        matrices = both_ways(weights, ctx.graph)
        degrees = torch.stack([segment_sum(values, pointer) for pointer, _, values in matrices])
        total = x * -degrees.sum(0)[:, None]
        for matrix in matrices:
            total = sparse_product(*matrix, x, plus=total)
        return total.to(features.dtype), None
