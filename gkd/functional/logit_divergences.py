"""How far the predictions of two networks are apart, with the right gradient where they agree.

The textbook forms subtract logarithms, and their gradients subtract probabilities: of predictions
that differ by little, rounding is left. Here differences are taken of the logits, where they lose
nothing.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

_NEAR = 1.0  # up to here exponentials of differences are of their size, and cannot overflow


def categorical_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Kullback-Leibler divergence of the softmax of logits, of each row.

    .. math:: \mathrm{KL}(\mathrm{softmax}(t_i) \,\|\, \mathrm{softmax}(s_i))

    It is at least 0. Its gradient, softmax(s) - softmax(t), has all digits however near they are.
    Differentiable once.

    Args:
        student: s, ``[N, C]``.
        teacher: t, ``[N, C]``; no gradient.

    Returns:
        ``[N]``.

    >>> student = torch.tensor([[0.0, 1e-6]], requires_grad=True)
    >>> categorical_divergence(student, torch.zeros(1, 2)).sum().backward()
    >>> student.grad
    tensor([[-2.5000e-07,  2.5000e-07]])
    """
    result: Tensor = _Categorical.apply(student, teacher.detach())  # type: ignore[no-untyped-call]
    return result


def bernoulli_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Kullback-Leibler divergence of the sigmoid of logits, of each number.

    .. math:: \mathrm{KL}(\sigma(t) \,\|\, \sigma(s))

    It is at least 0. Its gradient, σ(s) - σ(t), has all digits however near they are.
    Differentiable once.

    Args:
        student: s, of any shape.
        teacher: t, of the same shape; no gradient.

    Returns:
        Of that shape.

    >>> student = torch.tensor(1e-6, requires_grad=True)
    >>> bernoulli_divergence(student, torch.tensor(0.0)).backward()
    >>> student.grad
    tensor(2.5000e-07)
    """
    result: Tensor = _Bernoulli.apply(student, teacher.detach())  # type: ignore[no-untyped-call]
    return result


class _Categorical(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor) -> Tensor:
        log_p = teacher.log_softmax(dim=1)
        p, gap = log_p.exp(), student - teacher
        # What all classes have more changes nothing, but would take the digits of their mean.
        gap -= gap.gather(1, teacher.argmax(dim=1, keepdim=True))
        gap -= (p * gap).sum(dim=1, keepdim=True)
        # KL(p ‖ q) = log Σ p exp(s - t) - Σ p (s - t). With the mean at 0, no part of it is large
        # where the gaps are small. What overflows is not taken.
        growth, rest = ((p * z).sum(dim=1, keepdim=True) for z in (gap.expm1(), gap))
        far = (log_p + gap).logsumexp(dim=1, keepdim=True)
        is_near = gap.amax(dim=1, keepdim=True) < _NEAR
        divergence = torch.where(is_near, torch.log1p(growth) - rest, far)
        if ctx.needs_input_grad[0]:
            log_ratio = gap.sub_(divergence)  # log q - log p
            far = student.softmax(dim=1).sub_(p)
            ctx.save_for_backward(torch.where(is_near, log_ratio.expm1_().mul_(p), far))
        return divergence[:, 0].clamp_min(0)  # below it is rounding

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return grad[:, None] * slope, None


class _Bernoulli(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor) -> Tensor:
        # The divergence is the same with both signs turned: with s below t, exp(s - t) is bounded.
        sign = torch.where(student > teacher, -1.0, 1.0).to(student.dtype)
        student, teacher = sign * student, sign * teacher
        gap, p = student - teacher, teacher.sigmoid()
        growth = p * gap.expm1()
        if ctx.needs_input_grad[0]:
            # σ(s) - σ(t) = σ(-s) σ(t) (exp(s - t) - 1)
            ctx.save_for_backward(sign * (-student).sigmoid() * growth)
        # Where p is nearly 1 and the gap wide, 1 + growth has no digits left.
        far = softplus(student) - softplus(teacher)
        return (torch.where(growth > -0.5, torch.log1p(growth), far) - p * gap).clamp_min(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return grad * slope, None
