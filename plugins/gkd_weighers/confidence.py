"""Confidence: rows count as much as the teacher is sure of them."""

from typing import Annotated

from pydantic import Field, FiniteFloat
from torch import Tensor

from gkd import AbstractWeigher, Step, Task, View
from gkd.errors import validated
from gkd_weighers.predictions import Predictions


class Confidence(AbstractWeigher):
    r"""Largest probability that the teacher gives a row, raised to a power.

    .. math:: w_i = \left( \max_c p_{ic} \right)^{a}

    For several labels, the mean over labels of the probability of the likelier answer.

    Args:
        power: a; 0 weighs all rows alike, a large one leaves the surest rows alone.
        temperature: that logits are divided by first.
        task: says what the outputs mean; a distiller fills in its own.

    Raises:
        ParameterError: an argument out of its range, or outputs that are no probabilities.

    Example:
        >>> import torch
        >>> teacher = View(logits=torch.tensor([[0.0, 0.0], [30.0, 0.0]]))
        >>> Confidence()(teacher, teacher, None)
        tensor([0.5000, 1.0000])
    """

    @validated
    def __init__(
        self,
        power: Annotated[FiniteFloat, Field(ge=0)] = 1.0,
        temperature: Annotated[FiniteFloat, Field(gt=0)] = 1.0,
        task: str | Task = "single-label",
    ) -> None:
        super().__init__()
        self.power = power
        self.predictions = Predictions(task, temperature, "confidence")

    def forward(self, student: View, teacher: View, step: Step | None) -> Tensor:
        """Return ``[N]``."""
        return self.predictions.of(teacher).amax(2).mean(1) ** self.power
