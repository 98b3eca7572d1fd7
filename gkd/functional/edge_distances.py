"""Squared distances along edges, in O(E + N·F) memory."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gkd.eager import eagerly
from gkd.functional import edge_loops
from gkd.functional.edge_products import (
    both_ways,
    check_features,
    pairs_for,
    working_dtype,
)
from gkd.functional.row_blocks import row_blocks
from gkd.functional.segments import segment_sum
from gkd.functional.sparse import sampled_product, sparse_product
from gkd.graph.graph import Graph, Pairs

_SQUARED_ELEMENTS = 2**17  # at a time: 512 kB in float32, half of a core's own cache


@eagerly
def edge_squared_distance(features: Tensor, graph: Graph) -> Tensor:
    r"""Squared distance of the two ends of every edge, ``[E]``; exactly 0 on self-loops.

    .. math:: d_{ij} = \|x_i - x_j\|^2 = \|x_i\|^2 + \|x_j\|^2 - 2\, x_i \cdot x_j

    Where loops over edges are compiled, ends are subtracted, and the round-off is proportional to
    the distance: 0 for equal ends. By torch's products it is proportional to the largest squared
    norm, save that the distance is never negative.

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
        squares = edge_loops.compare("l2", x, x, pairs.row_pointer, pairs.source)
        if squares is not None:
            return pairs.per_edge(squares).to(features.dtype)
        distances = pairs.per_edge(_by_products(x, pairs))
        if len(graph.self_loops):  # round-off must not part a node from itself
            distances.index_fill_(0, graph.self_loops, 0)
        return distances.to(features.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        # With V = W + Wᵀ and D its row sums, the gradient is 2 (D - V) x; self-loops add nothing.
        (features,) = ctx.saved_tensors
        x, graph = features.to(working_dtype(features)), ctx.graph
        weights = grad.to(x.dtype)
        if len(graph.self_loops):
            weights = weights.index_fill(0, graph.self_loops, 0)
        matrices = both_ways(weights, graph)
        result = edge_loops.slopes("l2", x, matrices)
        if result is not None:
            return result.to(features.dtype), None
        total = None
        for row_pointer, columns, values in matrices:
            total = sparse_product(row_pointer, columns, values, x, plus=total)
            # (V - D) x in place of a sum over differences, which would be as wide as the features
            # for each edge.
            total.addcmul_(x, segment_sum(values, row_pointer)[:, None], value=-1)
        assert total is not None
        return total.mul_(-2).to(features.dtype), None


def _by_products(x: Tensor, pairs: Pairs) -> Tensor:
    norms = squared_norms(x)
    squares = x.new_empty(len(pairs.source))
    # Block by block, so that the sums of norms, as long as the result, stay in the cache.
    for rows, edges, pointer in row_blocks(pairs.row_pointer, len(squares)):
        source = pairs.source[edges]
        ends = norms.index_select(0, pairs.target[edges]).add_(norms.index_select(0, source))
        part = sampled_product(pointer, source, x[rows], x, plus=ends, scale=-2.0)
        # Round-off must not make a distance negative: kernels take roots and compare with 0.
        torch.clamp(part, min=0, out=squares[edges])
    return squares


def squared_norms(x: Tensor) -> Tensor:
    """Squared norm of every row of ``x [N, F]``, ``[N]``, without a tensor of the size of ``x``."""
    # torch's vecdot writes the products down before it adds them up: in parts they stay in cache.
    if x.device.type != "cpu" or x.numel() <= _SQUARED_ELEMENTS:
        return _squared_norms(x)
    parts = torch.split(x, max(1, _SQUARED_ELEMENTS // x.shape[1]))
    return torch.cat([_squared_norms(part) for part in parts])


def _squared_norms(x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):  # which would round them to half precision
        norms: Tensor = torch.linalg.vecdot(x, x)
    return norms
