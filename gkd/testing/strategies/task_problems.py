"""What a task is called with."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

from gkd.data.task import Task
from gkd.testing.strategies.labels import labels_of


@dataclass(frozen=True)
class TaskProblem:
    """Outputs of a network, and labels that fit them.

    Attributes:
        outputs: float64, a row per example: ``[N, C]``, unless the task says otherwise.
        y: labels, a row per example.
        num_classes: C.
    """

    outputs: Tensor
    y: Tensor
    num_classes: int

    def rows(self, rows: Tensor) -> "TaskProblem":
        """Return the problem of these rows, int64 numbers or booleans."""
        return TaskProblem(self.outputs[rows], self.y[rows], self.num_classes)


@st.composite
def task_problems(draw: st.DrawFn, task: Task, *, min_rows: int = 1) -> TaskProblem:
    """Draw outputs and labels of 1 to 6 rows.

    A task whose outputs or labels look otherwise than its likelihood tells draws them itself, in a
    method ``example(num_rows, num_classes, generator)`` that returns both.

    Args:
        draw: given by hypothesis.
        task: for which the labels are.
        min_rows: at least 1.
    """
    classes = draw(st.integers(2, 4))
    rows = draw(st.integers(min_rows, 6))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31 - 1)))
    example = getattr(task, "example", None)
    if example is not None:
        outputs, y = example(rows, classes, random)
        return TaskProblem(outputs.double(), y, classes)
    outputs = torch.randn(rows, classes, generator=random, dtype=torch.float64)
    return TaskProblem(outputs, labels_of(task.likelihood, rows, classes, random), classes)
