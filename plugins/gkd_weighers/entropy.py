"""Entropy: rows count as much as the teacher knows of them, or as they are hard."""

from math import log
from typing import Annotated

import torch
from pydantic import Field, FiniteFloat
from torch import Tensor

from gkd import AbstractWeigher, Step, Task, View
from gkd.errors import validated
from gkd_weighers.predictions import Predictions


class Entropy(AbstractWeigher):
    r"""One minus the entropy of the teacher's prediction, in units of the largest possible.

    .. math:: w_i = 1 - \frac{1}{\log C} \sum_c -p_{ic} \log p_{ic}

    For several labels, the mean over labels with C = 2.

    Args:
        hard: weigh by the entropy itself, so that rows of which the teacher is unsure count most.
        temperature: that logits are divided by first.
        task: says what the outputs mean; a distiller fills in its own.

    Raises:
        ParameterError: an argument out of its range, or outputs that are no probabilities.

    Source:
        Reliable and hard nodes as in RDD (SIGMOD 2020) and HGMD (2025).

    Example:
        >>> teacher = View(logits=torch.tensor([[0.0, 0.0], [30.0, 0.0]]))
        >>> Entropy()(teacher, teacher, None)
        tensor([0., 1.])
    """

    @validated
    def __init__(
        self,
        hard: bool = False,
        temperature: Annotated[FiniteFloat, Field(gt=0)] = 1.0,
        task: str | Task = "single-label",
    ) -> None:
        super().__init__()
        self.hard = hard
        self.predictions = Predictions(task, temperature, "entropy")

    def forward(self, student: View, teacher: View, step: Step | None) -> Tensor:
        """Return ``[N]``."""
        likely = self.predictions.of(teacher)
        entropy: Tensor = torch.special.entr(likely).sum(2).mean(1)
        # Rounding may take the entropy of equal probabilities above its bound.
        share = (entropy / log(likely.shape[2])).clamp(0, 1)
        return share if self.hard else 1 - share
