"""How large the gradient of a loss is, where it acts."""

from typing import TYPE_CHECKING

from gkd.errors import ParameterError

if TYPE_CHECKING:  # reports have no tensors
    from torch import Tensor

DEAD = 1e-3
"""Share of the task's gradient below which a term has no say."""

DROWNING = 10.0
"""Share of the task's gradient above which the labels have hardly any."""


def gradient_norm(value: "Tensor", at: "Tensor") -> float:
    r"""Return :math:`\|\partial value / \partial z\|`; what ``backward()`` needs stays.

    Args:
        value: scalar; 0 is returned where it does not depend on z.
        at: z, of the same step.

    Raises:
        ParameterError: the step was computed without gradients.

    >>> import torch
    >>> z = torch.tensor([3.0, 4.0], requires_grad=True)
    >>> gradient_norm(z.square().sum() / 2, z)
    5.0
    """
    import torch

    if not at.requires_grad:
        raise ParameterError("gradient_shares: this step was computed without gradients")
    if not value.requires_grad:
        return 0.0
    (gradient,) = torch.autograd.grad(value, at, retain_graph=True, allow_unused=True)
    return 0.0 if gradient is None else float(gradient.norm())


def gradient_state(share: float) -> str | None:
    """Say what is wrong with a term whose gradient is this share of the task's; None for nothing.

    >>> print(gradient_state(2e-5))
    is dead: its gradient is below 0.1 % of the task's
    >>> print(gradient_state(0.3))
    None
    """
    if share < DEAD:
        return f"is dead: its gradient is below {100 * DEAD:g} % of the task's"
    if share > DROWNING:
        return f"drowns the task: its gradient is above {DROWNING:g} times the task's"
    return None
