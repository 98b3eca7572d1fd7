"""Distances along edges, in O(E + N·F) memory."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gkd.functional.eager import eagerly
from gkd.functional.edge_products import (
    both_ways,
    check_features,
    pairs_for,
    working_dtype,
)
from gkd.functional.row_blocks import row_blocks
from gkd.functional.segments import segment_sum
from gkd.functional.sparse import sampled_product, sparse_product
from gkd.functional.threads import Share, in_threads, shares
from gkd.graph import Graph, Pairs

_ELEMENTS_PER_THREAD = 2**20
_GATHERED_ELEMENTS = 2**17  # of each end at a time: 512 kB in float32, half of a core's own cache


@eagerly
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


@eagerly
def edge_l1_distance(features: Tensor, graph: Graph) -> Tensor:
    r"""L1 distance of the two ends of every edge, ``[E]``.

    .. math:: d_{ij} = \sum_c |x_{ic} - x_{jc}|

    It is no function of dot products: both ends are gathered, a chunk of bounded size at a time.
    The gradient where two features are equal is 0.

    Args:
        features: ``x``, ``[N, F]``. Half precision is computed in float32.
        graph: E edges over N nodes.

    Raises:
        ParameterError: shapes that do not fit each other.

    >>> graph = Graph(torch.tensor([[1, 0], [0, 0]]), num_nodes=2)
    >>> edge_l1_distance(torch.tensor([[0.0, 0.0], [3.0, -4.0]]), graph)
    tensor([0., 7.])
    """
    check_features("edge_l1_distance", features, graph)
    result: Tensor = _EdgeL1Distance.apply(features, graph)  # type: ignore[no-untyped-call]
    return result


class _EdgeL1Distance(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, graph: Graph) -> Tensor:
        ctx.save_for_backward(features)
        ctx.graph = graph
        x, pairs = features.detach().to(working_dtype(features)), graph.pairs
        distances = x.new_empty(len(pairs.source))

        def compare(share: Share) -> None:
            with torch.no_grad():
                for chunk in _chunks(pairs, x, share):
                    torch.sum(_difference(x, pairs, chunk).abs_(), 1, out=distances[chunk])

        in_threads(compare, _portions(pairs, x))
        return pairs.per_edge(distances).to(features.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (features,) = ctx.saved_tensors
        x, pairs = features.detach().to(working_dtype(features)), ctx.graph.pairs
        weights = pairs.summed(grad.to(x.dtype))

        def received(share: Share) -> Tensor:
            result = torch.zeros_like(x)
            with torch.no_grad():
                for chunk in _chunks(pairs, x, share):
                    slopes = _difference(x, pairs, chunk).sign_().mul_(weights[chunk, None])
                    result.index_add_(0, pairs.target[chunk], slopes)
                    result.index_add_(0, pairs.source[chunk], slopes, alpha=-1)
            return result

        first, *others = in_threads(received, _portions(pairs, x))
        for other in others:
            first.add_(other)
        return first.to(features.dtype), None


def _portions(pairs: Pairs, x: Tensor) -> list[Share]:
    if x.device.type != "cpu":
        return [Share(0, 1)]
    return shares(len(pairs.source) * x.shape[1], _ELEMENTS_PER_THREAD)


def _chunks(pairs: Pairs, x: Tensor, share: Share) -> Iterator[slice]:
    first, last, _ = share.of(len(pairs.source)).indices(len(pairs.source))
    step = max(1, _GATHERED_ELEMENTS // max(1, x.shape[1]))
    for start in range(first, last, step):
        yield slice(start, min(start + step, last))


def _difference(x: Tensor, pairs: Pairs, chunk: slice) -> Tensor:
    return x.index_select(0, pairs.target[chunk]).sub_(x.index_select(0, pairs.source[chunk]))


class _EdgeSquaredDistance(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, graph: Graph) -> Tensor:
        ctx.save_for_backward(features)
        ctx.graph = graph
        x, pairs = features.to(working_dtype(features)), pairs_for(features.shape[1], graph)
        norms = squared_norms(x)
        squares = x.new_empty(len(pairs.source))
        for rows, edges, pointer in row_blocks(pairs.row_pointer, len(squares)):
            source = pairs.source[edges]
            ends = norms.index_select(0, pairs.target[edges]).add_(norms.index_select(0, source))
            part = sampled_product(pointer, source, x[rows], x, plus=ends, scale=-2.0)
            torch.clamp(part, min=0, out=squares[edges])
        distances = pairs.per_edge(squares)
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
        total = None
        for row_pointer, columns, values in both_ways(weights, graph):
            total = sparse_product(row_pointer, columns, values, x, plus=total)
            total.addcmul_(x, segment_sum(values, row_pointer)[:, None], value=-1)
        assert total is not None
        return total.mul_(-2).to(features.dtype), None


def squared_norms(x: Tensor) -> Tensor:
    """Squared norm of every row of ``x [N, F]``, ``[N]``, without a tensor of the size of ``x``."""
    if x.device.type != "cpu" or x.numel() <= _GATHERED_ELEMENTS:
        return _squared_norms(x)
    parts = torch.split(x, max(1, _GATHERED_ELEMENTS // x.shape[1]))
    return torch.cat([_squared_norms(part) for part in parts])


def _squared_norms(x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):  # which would round them to half precision
        norms: Tensor = torch.linalg.vecdot(x, x)
    return norms
