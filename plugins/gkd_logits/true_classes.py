"""The class that a loss takes for the true one of each row, where labels may be used or not."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from gkd import Step, Task, View
from gkd.errors import ParameterError
from gkd_logits.class_logits import ClassLogits, as_columns

Unlabelled = Literal["teacher", "skip"]
"""What stands for the class of a row without a label: the teacher's most likely one, or nothing."""


class Rows(NamedTuple):
    """Logits of both networks, and the true classes.

    Attributes:
        student: ``[N, C]``, C at least 2.
        teacher: ``[N, C]``, without a gradient.
        classes: int64 ``[N]``, in ``[0, C)``.
        counted: bool ``[N]``, the rows that have such a class.
    """

    student: Tensor
    teacher: Tensor
    classes: Tensor
    counted: Tensor


class TrueClasses:
    """Finds the true class of each row.

    Args:
        loss: that asks, for messages.
        task: whose outputs are logits of classes, of which one is right.
        unlabelled: what to do where a label is missing or may not be used.

    Raises:
        ParameterError: outputs of the task are no such logits.
    """

    def __init__(self, loss: str, task: str | Task, unlabelled: Unlabelled) -> None:
        self.loss, self.unlabelled = loss, unlabelled
        self.class_logits = ClassLogits(loss, task)

    def of(self, student: View, teacher: View, step: Step) -> Rows:
        """Return logits and classes of the rows of both views.

        Raises:
            ParameterError: no logits or labels, or shapes that do not fit.
        """
        ours, theirs = self.class_logits.of(student, teacher)
        labels = as_columns(step.require_labels(self.loss))
        if labels.shape != (len(ours), 1):
            raise ParameterError(
                f"{self.loss}: expected a class number for each of {len(ours)} rows of the logits, "
                f"got labels of shape {list(step.require_labels(self.loss).shape)}"
            )
        # A label that no class has, such as -1 or NaN, is one that the task leaves out.
        known = labels[:, 0].nan_to_num(-1) if labels.is_floating_point() else labels[:, 0]
        counted = step.labelled & (known >= 0) & (known < ours.shape[1])
        # Labels to select and to test on are never looked at.
        classes = torch.where(counted, known.to(torch.int64), theirs.argmax(dim=1))
        if self.unlabelled == "teacher":
            counted = torch.ones_like(counted)
        return Rows(ours, theirs, classes, counted)
