"""The two products of a graph with features, in O(E + N·F) memory.

:func:`edge_dot` is a sampled dense-dense product (SDDMM), :func:`neighbour_sum` a sparse-dense
product (SpMM); the backward pass of each is made of both. No ``[E, F]`` tensor ever exists.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gkd.eager import eagerly, exported_as
from gkd.errors import ParameterError
from gkd.functional import portable
from gkd.functional.sparse import sampled_product, sparse_product
from gkd.graph.graph import Graph, Pairs

_WIDE = 256  # from here on, finding the pairs of a graph pays for itself in a single product


@eagerly
def edge_dot(target_features: Tensor, source_features: Tensor, graph: Graph) -> Tensor:
    r"""Dot product of the two ends of every edge.

    .. math:: d_{ij} = a_i \cdot b_j \quad \text{for every edge } j \to i

    Args:
        target_features: ``a``, ``[N, F]``, or ``[N, H, F]`` for H heads.
        source_features: ``b``, of the same shape.
        graph: E edges over N nodes.

    Returns:
        ``[E]``, or ``[E, H]``. Half precision is computed in float32.

    Raises:
        ParameterError: shapes that do not fit each other or the graph.

    >>> graph = Graph(torch.tensor([[1], [0]]), num_nodes=2)
    >>> edge_dot(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.full((2, 2), 3.0), graph)
    tensor([9.])
    """
    if target_features.shape != source_features.shape:
        raise ParameterError(
            f"edge_dot needs two tensors of one shape, got {list(target_features.shape)} and "
            f"{list(source_features.shape)}"
        )
    check_features("edge_dot", target_features, graph)
    # With itself, as kernels ask, both directions have one product: half the work on symmetric
    # graphs, and a gradient in one pass.
    if target_features is source_features and target_features.dim() == 2:
        gram: Tensor = _EdgeGram.apply(target_features, graph)  # type: ignore[no-untyped-call]
        return gram
    result: Tensor = _EdgeDot.apply(target_features, source_features, graph)  # type: ignore[no-untyped-call]
    return result


@exported_as(portable.neighbour_sum)
@eagerly
def neighbour_sum(weights: Tensor, features: Tensor, graph: Graph) -> Tensor:
    r"""Weighted sum of the neighbours of every node.

    .. math:: y_i = \sum_{j \in N(i)} w_{ij} x_j

    Args:
        weights: ``w``, ``[E]``, or ``[E, H]`` for H heads.
        features: ``x``, ``[N, F]``, or ``[N, H, F]``.
        graph: E edges over N nodes.

    Returns:
        In the shape of ``features``. Half precision is computed in float32.

    Raises:
        ParameterError: shapes that do not fit each other or the graph.

    >>> graph = Graph(torch.tensor([[1, 2], [0, 0]]), num_nodes=3)
    >>> neighbour_sum(torch.tensor([1.0, 10.0]), torch.tensor([[1.0], [2.0], [3.0]]), graph)
    tensor([[32.],
            [ 0.],
            [ 0.]])
    """
    check_features("neighbour_sum", features, graph)
    expected = (graph.num_edges, *features.shape[1:-1])
    if weights.shape != expected:
        raise ParameterError(
            f"neighbour_sum needs weights of shape {list(expected)}, got {list(weights.shape)}"
        )
    result: Tensor = _NeighbourSum.apply(weights, features, graph)  # type: ignore[no-untyped-call]
    return result


def check_features(function: str, features: Tensor, graph: Graph) -> None:
    """Raise :class:`ParameterError` unless ``features`` has a row per node."""
    if features.dim() not in (2, 3) or features.shape[0] != graph.num_nodes:
        raise ParameterError(
            f"{function} needs features of shape [{graph.num_nodes}, F] or "
            f"[{graph.num_nodes}, H, F] for {graph!r}, got {list(features.shape)}"
        )


def working_dtype(*tensors: Tensor) -> torch.dtype:
    """Return the dtype to compute in: CPU sparse products take float32 and float64 only."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def _dot(a: Tensor, b: Tensor, graph: Graph) -> Tensor:
    dtype = working_dtype(a, b)
    out_dtype = torch.promote_types(a.dtype, b.dtype)
    a, b = a.to(dtype), b.to(dtype)
    if a.dim() == 2:
        return sampled_product(graph.row_pointer, graph.source, a, b).to(out_dtype)
    # torch's sparse products take matrices: one head after another.
    heads = [
        sampled_product(graph.row_pointer, graph.source, a[:, head], b[:, head])
        for head in range(a.shape[1])
    ]
    return _stack(heads, a.new_empty(graph.num_edges, 0)).to(out_dtype)


def _sum(weights: Tensor, features: Tensor, row_pointer: Tensor, columns: Tensor) -> Tensor:
    dtype = working_dtype(weights, features)
    out_dtype = torch.promote_types(weights.dtype, features.dtype)
    weights, x = weights.to(dtype), features.to(dtype)
    if x.dim() == 2:
        return sparse_product(row_pointer, columns, weights.contiguous(), x).to(out_dtype)
    heads = [
        sparse_product(row_pointer, columns, weights[:, head].contiguous(), x[:, head])
        for head in range(x.shape[1])
    ]
    return _stack(heads, torch.empty_like(x)).to(out_dtype)


def _stack(heads: list[Tensor], without_heads: Tensor) -> Tensor:
    return torch.stack(heads, dim=1) if heads else without_heads


def _forward_sum(weights: Tensor, features: Tensor, graph: Graph) -> Tensor:
    return _sum(weights, features, graph.row_pointer, graph.source)


def _backward_sum(weights: Tensor, features: Tensor, graph: Graph) -> Tensor:
    transpose = graph.transpose
    # By rows of the transpose rather than by an index-add of E gathered rows, and always in the
    # same order: runs can be repeated bit by bit.
    permuted = weights.index_select(0, transpose.permutation)
    return _sum(permuted, features, transpose.row_pointer, transpose.columns)


def both_ways(weights: Tensor, graph: Graph) -> list[tuple[Tensor, Tensor, Tensor]]:
    """CSR matrices (row pointer, columns, values) whose sum is W + Wᵀ for ``weights`` of dtype W.

    Where each edge has its reverse that is one matrix, which saves a product.
    """
    row_pointer, columns, permutation = graph.transpose
    reverse = weights.index_select(0, permutation)
    if graph.is_symmetric:
        return [(row_pointer, columns, reverse.add_(weights))]
    return [(graph.row_pointer, graph.source, weights), (row_pointer, columns, reverse)]


def pairs_for(width: int, graph: Graph) -> Pairs:
    """Return the pairs to compute what both directions share on, for features of that width."""
    if width < _WIDE and not graph.knows_pairs:
        return Pairs(graph.row_pointer, graph.target, graph.source, None)
    return graph.pairs


class _EdgeGram(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, graph: Graph) -> Tensor:
        ctx.save_for_backward(features)
        ctx.graph = graph
        x, pairs = features.to(working_dtype(features)), pairs_for(features.shape[1], graph)
        dots = sampled_product(pairs.row_pointer, pairs.source, x, x)
        return pairs.per_edge(dots).to(features.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (features,) = ctx.saved_tensors
        dtype = working_dtype(features)
        x, total = features.to(dtype), None
        for matrix in both_ways(grad.to(dtype), ctx.graph):
            total = sparse_product(*matrix, x, plus=total)
        assert total is not None
        return total.to(features.dtype), None


class _EdgeDot(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, graph: Graph) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.graph = graph
        return _dot(a, b, graph)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        a, b = ctx.saved_tensors
        needs_a, needs_b, _ = ctx.needs_input_grad
        grad_a = _forward_sum(grad, b, ctx.graph).to(a.dtype) if needs_a else None
        grad_b = _backward_sum(grad, a, ctx.graph).to(b.dtype) if needs_b else None
        return grad_a, grad_b, None


class _NeighbourSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, features: Tensor, graph: Graph) -> Tensor:
        # Only the weights' gradient reads the features: constant weights let their memory go.
        ctx.save_for_backward(weights, features if ctx.needs_input_grad[0] else None)
        ctx.graph, ctx.dtype = graph, features.dtype
        return _forward_sum(weights, features, graph)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        weights, features = ctx.saved_tensors
        needs_weights, needs_features, _ = ctx.needs_input_grad
        grad_weights = _dot(grad, features, ctx.graph).to(weights.dtype) if needs_weights else None
        grad_features = (
            _backward_sum(weights, grad, ctx.graph).to(ctx.dtype) if needs_features else None
        )
        return grad_weights, grad_features, None
