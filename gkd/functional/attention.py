"""Graph attention as one differentiable operation that keeps nothing of size E between passes."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import leaky_relu

from gkd.eager import eagerly, exported_as
from gkd.errors import ParameterError
from gkd.functional import portable
from gkd.functional.attention_loops import BEARABLE, attend, attend_back
from gkd.functional.segments import segment_max
from gkd.functional.sparse import row_sums, sampled_product, sparse_product
from gkd.graph import Graph


@exported_as(portable.neighbour_attention)
@eagerly
def neighbour_attention(
    features: Tensor,
    source_scores: Tensor,
    target_scores: Tensor,
    graph: Graph,
    negative_slope: float = 0.2,
    dropout_mask: Tensor | None = None,
) -> Tensor:
    r"""Attention-weighted sum of every node's neighbours for each of H heads, ``[N, H, F]``.

    .. math::
        y_i^h = \sum_{j \in N(i)} m_{ij}^h\, \alpha_{ij}^h\, x_j^h, \qquad
        \alpha_{ij}^h = \operatorname*{softmax}_{j \in N(i)}\,
        \mathrm{LeakyReLU}(s_j^h + t_i^h)

    A node without in-edges gets 0. The backward pass computes the weights anew from the scores
    and one number per node and head, so that memory is O(N·H·F); it is differentiable once.

    Args:
        features: ``x``, ``[N, H, F]``.
        source_scores: ``s``, ``[N, H]``, what a node contributes to the score of its out-edges.
        target_scores: ``t``, ``[N, H]``, what a node contributes to the score of its in-edges.
        graph: E edges over N nodes.
        negative_slope: slope of LeakyReLU below zero, at least 0.
        dropout_mask: ``m``, ``[E, H]``, factors of the weights in the order of
            ``graph.edge_index``: 0 or ``1 / (1 - p)`` for dropout. None is 1 everywhere.

    Returns:
        ``[N, H, F]``. Half precision is computed and returned in float32.

    Raises:
        ParameterError: shapes that do not fit each other or the graph, or a negative slope.

    Source:
        Veličković et al., Graph Attention Networks, ICLR 2018, equations 1 to 4, where
        ``s_j = a[F:] · W h_j`` and ``t_i = a[:F] · W h_i``.

    >>> graph = Graph(torch.tensor([[1, 2], [0, 0]]), num_nodes=3)
    >>> scores = torch.zeros(3, 1)
    >>> neighbour_attention(torch.tensor([[[1.0]], [[2.0]], [[4.0]]]), scores, scores, graph)
    tensor([[[3.]],
    <BLANKLINE>
            [[0.]],
    <BLANKLINE>
            [[0.]]])
    """
    if features.dim() != 3 or features.shape[0] != graph.num_nodes:
        raise ParameterError(
            f"neighbour_attention needs features of shape [{graph.num_nodes}, H, F] for "
            f"{graph!r}, got {list(features.shape)}"
        )
    heads = features.shape[1]
    expected = {
        "source_scores": (source_scores, [graph.num_nodes, heads]),
        "target_scores": (target_scores, [graph.num_nodes, heads]),
        "dropout_mask": (dropout_mask, [graph.num_edges, heads]),
    }
    for name, (tensor, shape) in expected.items():
        if tensor is not None and list(tensor.shape) != shape:
            raise ParameterError(
                f"neighbour_attention needs {name} of shape {shape}, got {list(tensor.shape)}"
            )
    if not negative_slope >= 0:
        raise ParameterError(f"negative_slope must be at least 0, got {negative_slope}")
    # Sparse products on CPU take float32 and float64 only, and exponentials need the digits.
    dtype = torch.promote_types(features.dtype, torch.float32)
    result: Tensor = _NeighbourAttention.apply(  # type: ignore[no-untyped-call]
        features.to(dtype),
        source_scores.to(dtype),
        target_scores.to(dtype),
        graph,
        negative_slope,
        None if dropout_mask is None else dropout_mask.to(dtype),
    )
    return result


def _edge_scores(source_scores: Tensor, target_scores: Tensor, graph: Graph) -> Tensor:
    edges = source_scores.index_select(0, graph.source)
    return edges.add_(target_scores.index_select(0, graph.target))


def _peaks(
    scores: Tensor, source_scores: Tensor, target_scores: Tensor, graph: Graph, slope: float
) -> Tensor:
    """Return for each node what no score of its in-edges exceeds, nor all are far below."""
    if scores.device.type == "cpu" and len(source_scores):  # elsewhere to ask means to wait
        low, high = torch.aminmax(source_scores)
        if float(high - low) * max(1, slope) < BEARABLE:  # N numbers tell it, rather than E
            return leaky_relu(target_scores + high, slope)
    # LeakyReLU is monotone, so the peak is found before it, on what lies there already.
    return leaky_relu(segment_max(scores, graph.row_pointer), slope)


def _head_by_head(
    features: Tensor,
    source_scores: Tensor,
    target_scores: Tensor,
    graph: Graph,
    slope: float,
    mask: Tensor | None,
) -> tuple[Tensor, Tensor]:
    # Each head's scores side by side: they are gathered along edges, head by head.
    source_scores = source_scores.t().contiguous()
    target_scores = target_scores.t().contiguous()
    result = features.new_empty(features.shape)
    log_totals = torch.empty_like(target_scores)
    # One head at a time: what has a number for each edge exists for one head only.
    for head in range(features.shape[1]):
        scores = _edge_scores(source_scores[head], target_scores[head], graph)
        peak = _peaks(scores, source_scores[head], target_scores[head], graph, slope)
        weights = leaky_relu(scores, slope).sub_(peak.index_select(0, graph.target)).exp_()
        total = row_sums(graph.row_pointer, graph.source, weights, graph.num_nodes)
        total.masked_fill_(total == 0, 1)  # without edges there is nothing to divide
        # All that the backward pass needs to make the weights again: α = exp(score - this).
        torch.add(peak, total.log(), out=log_totals[head])
        if mask is not None:
            weights.mul_(mask[:, head])
        # Divided at N nodes rather than E edges: the weights of a row have one total.
        # Of rows that lie together: those of one head of many are far apart.
        own = features[:, head].contiguous()
        summed = sparse_product(graph.row_pointer, graph.source, weights, own)
        torch.div(summed, total[:, None], out=result[:, head])
    return result, log_totals.t()


def _head_by_head_back(
    grad: Tensor,
    features: Tensor,
    source_scores: Tensor,
    target_scores: Tensor,
    log_totals: Tensor,
    graph: Graph,
    slope: float,
    mask: Tensor | None,
    of_features: bool,
) -> tuple[Tensor | None, Tensor, Tensor]:
    source_scores = source_scores.t().contiguous()
    target_scores, log_totals = target_scores.t().contiguous(), log_totals.t().contiguous()
    by_source, targets, permutation = graph.transpose
    grad_features = torch.empty_like(features) if of_features else None
    grad_source, grad_target = torch.empty_like(source_scores), torch.empty_like(target_scores)
    for head in range(features.shape[1]):
        scores = _edge_scores(source_scores[head], target_scores[head], graph)
        weights = leaky_relu(scores, slope)
        weights.sub_(log_totals[head].index_select(0, graph.target)).exp_()
        factors = None if mask is None else mask[:, head]
        received = grad[:, head].contiguous()
        if grad_features is not None:
            sent = weights if factors is None else weights * factors
            grad_features[:, head] = sparse_product(
                by_source, targets, sent.index_select(0, permutation), received
            )
        grad_scores = sampled_product(graph.row_pointer, graph.source, received, features[:, head])
        if factors is not None:
            grad_scores.mul_(factors)
        # Through the softmax: α (g - Σ α g), the sum over the edges of the row.
        grad_scores.mul_(weights)
        mean = row_sums(graph.row_pointer, graph.source, grad_scores, graph.num_nodes)
        grad_scores.sub_(weights.mul_(mean.index_select(0, graph.target)))
        grad_scores = torch.ops.aten.leaky_relu_backward(grad_scores, scores, slope, False)
        # Summed as segments in either order of the edges: an index-add would meet the same
        # node again and again, and on accelerators in another order every time.
        grad_target[head] = row_sums(graph.row_pointer, graph.source, grad_scores, graph.num_nodes)
        permuted = grad_scores.index_select(0, permutation)
        grad_source[head] = row_sums(by_source, targets, permuted, graph.num_nodes)
    return grad_features, grad_source.t(), grad_target.t()


class _NeighbourAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        source_scores: Tensor,
        target_scores: Tensor,
        graph: Graph,
        slope: float,
        mask: Tensor | None,
    ) -> Tensor:
        ctx.graph, ctx.slope = graph, slope
        arguments = features, source_scores, target_scores, graph, slope, mask
        result, log_totals = attend(*arguments) or _head_by_head(*arguments)
        ctx.save_for_backward(features, source_scores, target_scores, log_totals, mask)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        features, source_scores, target_scores, log_totals, mask = ctx.saved_tensors
        graph: Graph = ctx.graph
        arguments = features, source_scores, target_scores, log_totals, graph, ctx.slope, mask
        gradients = attend_back(grad, *arguments, ctx.needs_input_grad[0])
        if gradients is None:
            gradients = _head_by_head_back(grad, *arguments, ctx.needs_input_grad[0])
        return *gradients, None, None, None
