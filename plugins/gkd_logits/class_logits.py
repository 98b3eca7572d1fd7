"""Logits of classes of which one is right, of both networks."""

from typing import NamedTuple

import torch
from torch import Tensor

from gkd import Task, View, create
from gkd.errors import ParameterError
from gkd.functional.paired_rows import paired_logits


class Pair(NamedTuple):
    """Logits of both networks.

    Attributes:
        student: ``[N, C]``, C at least 2.
        teacher: ``[N, C]``, without a gradient.
    """

    student: Tensor
    teacher: Tensor


class ClassLogits:
    """Takes the logits from views.

    Args:
        loss: that asks, for messages.
        task: whose outputs are logits of classes, of which one is right.

    Raises:
        ParameterError: outputs of the task are no such logits.
    """

    def __init__(self, loss: str, task: str | Task) -> None:
        self.loss = loss
        likelihood = (task if isinstance(task, Task) else create("task", task)).likelihood
        if likelihood != "softmax":
            raise ParameterError(
                f"{loss}: a row of this task has no true class, as its outputs are {likelihood}; "
                "it needs classes of which one is right, as in 'single-label'"
            )

    def of(self, student: View, teacher: View) -> Pair:
        """Return the logits of both views; a single column becomes two.

        Raises:
            ParameterError: no logits, or different shapes.
        """
        ours, theirs = paired_logits(
            as_columns(student.require_logits(self.loss)),
            as_columns(teacher.require_logits(self.loss)),
            self.loss,
        )
        if ours.shape[1] == 1:  # the logit of class 1 against class 0
            ours, theirs = (torch.cat([torch.zeros_like(z), z], dim=1) for z in (ours, theirs))
        return Pair(ours, theirs)


def as_columns(values: Tensor) -> Tensor:
    """Return ``[N]`` as ``[N, 1]``, and ``[N, C]`` as it is."""
    return values[:, None] if values.ndim == 1 else values
