"""Weights that are learned beside the networks."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from gkd.distillation.resolve import ResolvedTerm
from gkd.distillation.schedule import LearnedWeight, TaskWeight
from gkd.errors import ParameterError

TASK = ""
"""Name of the task among the terms: none of these is called so."""

_ROUNDING = -1e-5  # what a divergence of equals may come to in single precision


class LearnedWeights(nn.Module):
    r"""The weights of losses whose ``weight`` is a :class:`LearnedWeight`.

    .. math:: L = \sum_k w_k L_k - \tfrac{1}{2} \log w_k, \qquad 0 < w_k \le w_{max}

    (equations 7 to 10 of Kendall, Gal, Cipolla, "Multi-Task Learning Using Uncertainty to Weigh
    Losses for Scene Geometry and Semantics", CVPR 2018, https://arxiv.org/abs/1705.07115, up to a
    constant: :math:`w = 1 / (2\sigma^2)` for squared errors and :math:`1 / \sigma^2` for
    cross-entropies). What is learned are the logarithms. At the optimum
    :math:`w_k = 1 / (2 L_k)`: every loss counts by its relative change, whatever its size. An
    optimiser with weight decay should have them in a group without: decay draws weights to 1.

    Args:
        forms: by the name of the loss.
    """

    def __init__(self, forms: Mapping[str, LearnedWeight]) -> None:
        super().__init__()
        self.names = sorted(forms)
        of = [forms[name] for name in self.names]
        self.logs = nn.Parameter(torch.tensor([math.log(one.start) for one in of]))
        ceilings = torch.tensor([math.log(one.ceiling) for one in of])
        self.ceilings: Tensor
        self.register_buffer("ceilings", ceilings, persistent=False)

    def forward(self, losses: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Return what the losses add to the total, and the weights by name.

        Args:
            losses: scalars by name; those without a learned weight are left alone, and one that is
                exactly 0, as of a batch without a row for it, does not move its weight.

        Raises:
            ParameterError: a loss is negative: the larger its weight, the lower the total.
        """
        if self.training and torch.is_grad_enabled():
            with torch.no_grad():  # back to what is allowed, after the optimiser's step
                self.logs.clamp_(max=self.ceilings)
        values = torch.stack([losses[name] for name in self.names])
        values = values.to(torch.promote_types(values.dtype, self.logs.dtype))
        logs = self.logs.to(values)
        weights = logs.exp()
        total = (weights * values).sum() - (logs * (values.detach() != 0)).sum() / 2
        read = torch.stack([weights.detach(), values.detach()]).tolist()  # waits for the device
        for name, value in zip(self.names, read[1], strict=True):
            if value < _ROUNDING:
                whose = f"term {name!r}" if name else "task"
                raise ParameterError(
                    f"{whose}: learned weight: the loss is {value:.3g}; expected one that is never "
                    "negative, as the total would fall with every larger weight; give a number, "
                    'or {"gradient_share": ...}'
                )
        return total, dict(zip(self.names, read[0], strict=True))


def learned_weights(task: TaskWeight, terms: Iterable[ResolvedTerm]) -> LearnedWeights | None:
    """Return the weights that are learned, of the task and of terms; None where none is."""
    weights = {TASK: task} | {term.name: term.weight for term in terms}
    learned = {name: each for name, each in weights.items() if isinstance(each, LearnedWeight)}
    return LearnedWeights(learned) if learned else None
