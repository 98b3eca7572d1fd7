"""How far two local structures are apart, per node."""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gkd.eager import eagerly
from gkd.functional.row_blocks import row_blocks
from gkd.functional.segments import log_softmax, segment_sum, spread

_NEAR = 1.0  # above this log-ratio q - p loses nothing by cancellation

First = Literal["logits", "other"]


@eagerly
def structure_divergence(
    logits: Tensor, log_other: Tensor, row_pointer: Tensor, first: First = "logits"
) -> Tensor:
    r"""Kullback-Leibler divergence of every node's local structures (CVPR 2020, equation 5).

    .. math:: S_i = \mathrm{KL}(p_i \,\|\, q_i)
        = \sum_{j \in N(i)} p_{ij} \log \frac{p_{ij}}{q_{ij}} - p_{ij} + q_{ij}

    One structure is the softmax of the logits over each node's in-edges, the other is given. The
    last two terms cancel for probabilities that sum to 1. With them no summand is negative and
    round-off in the normalisation of ``p`` or ``q`` has no first-order effect. The gradient is
    made on the way: nothing else is kept for it. Differentiable once, in the logits.

    Args:
        logits: ``[E]``.
        log_other: log-probabilities of the other structure, ``[E]``; no gradient.
        row_pointer: int64 ``[N+1]``; node i's in-edges are ``row_pointer[i]`` up to
            ``row_pointer[i+1]``.
        first: which structure is ``p``.

    Returns:
        ``[N]``; 0 for a node without in-edges.

    >>> logits, log_other = torch.zeros(2), torch.tensor([0.25, 0.75]).log()
    >>> structure_divergence(logits, log_other, torch.tensor([0, 2, 2]))
    tensor([0.1438, 0.0000])
    >>> structure_divergence(logits, log_other, torch.tensor([0, 2, 2]), first="other")
    tensor([0.1308, 0.0000])
    """
    dtype = torch.promote_types(logits.dtype, log_other.dtype)
    result: Tensor = _StructureDivergence.apply(  # type: ignore[no-untyped-call]
        logits.to(dtype), log_other.detach().to(dtype), row_pointer, first == "logits"
    )
    return result


class _StructureDivergence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, log_other: Tensor, row_pointer: Tensor, logits_first: bool
    ) -> Tensor:
        result = logits.new_empty(len(row_pointer) - 1)
        slope = torch.empty_like(logits) if ctx.needs_input_grad[0] else None
        for rows, edges, pointer in row_blocks(row_pointer, len(logits)):
            # In log space throughout: with the poly and linear kernels logits differ by hundreds,
            # and the logarithm of a probability that underflowed is -inf.
            log_own, log_given = log_softmax(logits[edges], pointer), log_other[edges]
            own, log_ratio = log_own.exp(), log_given - log_own
            if logits_first:
                result[rows] = segment_sum(_summands(own, log_given, log_ratio), pointer)
                outer = log_ratio.neg_().mul_(own)
            else:
                given = log_given.exp()
                result[rows] = segment_sum(_summands(given, log_own, log_ratio.neg_()), pointer)
                outer = own - given
            if slope is not None:
                # Through the softmax, p (o - Σ p o). Made here, where its parts lie in the cache:
                # the backward pass then reads one number for each edge.
                mean = spread(segment_sum(outer, pointer), pointer, len(own))
                torch.sub(outer, own.mul_(mean), out=slope[edges])
        ctx.save_for_backward(slope, row_pointer)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        slope, row_pointer = ctx.saved_tensors
        if grad.stride() == (0,) and len(grad):  # of a sum: the same number for all
            return slope * grad[0], None, None, None
        return slope * spread(grad, row_pointer, len(slope)), None, None, None


def _summands(p: Tensor, log_q: Tensor, log_ratio: Tensor) -> Tensor:
    # p (q/p - 1 - log q/p): with expm1 no digits cancel where q is near p, where a trained student
    # is, and it is never negative. It overflows where q is far above p.
    near = log_ratio.expm1().sub_(log_ratio).mul_(p)
    if bool((log_ratio < _NEAR).all()):
        return near
    # There the summand is about q, which is no difference of near numbers.
    far = log_q.exp() - p - p * log_ratio
    return torch.where(log_ratio < _NEAR, near, far)
