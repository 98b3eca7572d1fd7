"""How far two local structures are apart, per node."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gkd.functional.segments import segment_sum, spread

_NEAR = 1.0  # above this log-ratio q - p loses nothing by cancellation


def kl_divergence(log_p: Tensor, log_q: Tensor, row_pointer: Tensor) -> Tensor:
    r"""Kullback-Leibler divergence of every node's local structures (CVPR 2020, equation 5).

    .. math:: S_i = \mathrm{KL}(p_i \,\|\, q_i)
        = \sum_{j \in N(i)} p_{ij} \log \frac{p_{ij}}{q_{ij}} - p_{ij} + q_{ij}

    The last two terms cancel for probabilities that sum to 1. With them no summand is negative
    and round-off in the normalisation of ``p`` or ``q`` has no first-order effect.

    Args:
        log_p: log-probabilities, ``[E]``.
        log_q: log-probabilities, ``[E]``.
        row_pointer: int64 ``[N+1]``; node i's in-edges are ``row_pointer[i]`` up to
            ``row_pointer[i+1]``.

    Returns:
        ``[N]``; 0 for a node without in-edges.

    >>> log_p, log_q = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log()
    >>> kl_divergence(log_p, log_q, torch.tensor([0, 2, 2]))
    tensor([0.1438, 0.0000])
    """
    result: Tensor = _KLDivergence.apply(log_p, log_q, row_pointer)  # type: ignore[no-untyped-call]
    return result


class _KLDivergence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, log_p: Tensor, log_q: Tensor, row_pointer: Tensor) -> Tensor:
        p, log_ratio = log_p.exp(), log_q - log_p
        ctx.save_for_backward(p, log_q, log_ratio, row_pointer)
        # Never negative, but overflows far away.
        near = log_ratio.expm1().sub_(log_ratio).mul_(p)
        if bool((log_ratio < _NEAR).all()):
            return segment_sum(near, row_pointer)
        far = log_q.exp() - p - p * log_ratio
        return segment_sum(torch.where(log_ratio < _NEAR, near, far), row_pointer)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        p, log_q, log_ratio, row_pointer = ctx.saved_tensors
        needs_p, needs_q, _ = ctx.needs_input_grad
        grad = spread(grad, row_pointer, len(p))
        grad_p = -grad * p * log_ratio if needs_p else None
        grad_q = grad * (log_q.exp() - p) if needs_q else None
        return grad_p, grad_q, None
