"""Weights that keep a term's gradient in a ratio to the task's."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from gkd.distillation.gradients import gradient_norm
from gkd.distillation.schedule import GradientShare
from gkd.errors import ParameterError


class GradientShares(nn.Module):
    r"""The weights of terms whose ``weight`` is a :class:`GradientShare`.

    With z the student's tensor that a term compares, r its share and w_max its ceiling,

    .. math::
        w = \min\Big(w_{max}, \; r \exp \overline{\log \rho}\Big), \qquad
        \rho = \frac{\|\partial L_{task} / \partial z\|}{\|\partial L_{term} / \partial z\|},

    where the mean over the measurements so far fades: each new one counts ``1 - smoothing``. A
    term without any gradient is not measured: its weight stays. What was measured is part of
    ``state_dict()``, as plain numbers, so that no step waits for the device to read them.

    Args:
        shares: by the name of the term.
    """

    def __init__(self, shares: Mapping[str, GradientShare]) -> None:
        super().__init__()
        self.shares = dict(shares)
        self._logs: dict[str, float] = {}

    def weight(self, name: str) -> float:
        """Weight of a term: 0 before its gradient was measured."""
        share = self.shares[name]
        if name not in self._logs:
            return 0.0
        wanted = math.log(share.gradient_share) + self._logs[name]
        return share.ceiling if wanted > math.log(share.ceiling) else math.exp(wanted)

    def measure(
        self, number: int, task: Tensor, terms: Mapping[str, Tensor], compared: Mapping[str, Tensor]
    ) -> None:
        """Take in the gradients of a step, where one is due.

        Args:
            number: of the step in its epoch, from 0.
            task: the supervised loss.
            terms: values of the terms, by name.
            compared: the student's tensor that each compares.

        Raises:
            ParameterError: the task does not depend on what a term compares.
        """
        for name in self.shares.keys() & terms.keys():
            share, z = self.shares[name], compared[name]
            if (number % share.every and name in self._logs) or not z.requires_grad:
                continue
            pull, own = gradient_norm(task, z), gradient_norm(terms[name], z)
            if not pull and name not in self._logs:
                raise ParameterError(
                    f"term {name!r}: gradient_share: the task's loss has no gradient at what the "
                    "term compares, so that there is nothing to have a share of; give a number"
                )
            if not all(size > 0 and math.isfinite(size) for size in (pull, own)):
                continue
            new = math.log(pull) - math.log(own)
            old = self._logs.get(name, new)
            self._logs[name] = share.smoothing * old + (1 - share.smoothing) * new

    def get_extra_state(self) -> dict[str, float]:
        """Return what was measured."""
        return dict(self._logs)

    def set_extra_state(self, state: Any) -> None:
        """Go on with what was measured before."""
        self._logs = dict(state)
