"""GLNN: Zhang, Liu, Sun, Shah, Graph-less Neural Networks: Teaching Old MLPs New Tricks.

ICLR 2022, https://arxiv.org/abs/2110.08727.
"""

from typing import Annotated, Any

from pydantic import Field, FiniteFloat
from torch import Tensor

from gkd import AbstractLoss, Paper, Step, Task, View, create
from gkd.errors import ParameterError, validated


class GLNN(AbstractLoss):
    r"""A mixture of the labels' loss and the divergence from the teacher's predictions.

    With H the task's loss, V the nodes whose labels may be used, and p the softmax of the logits:

    .. math:: \lambda \frac{1}{|V|} \sum_{i \in V} H(s_i, y_i)
        + (1 - \lambda) \frac{1}{N} \sum_i \mathrm{KL}(p^t_i \,\|\, p^s_i)

    It is the whole objective: the term goes with a ``task_weight`` of 0. The same objective is a
    ``task_weight`` of λ beside the loss ``kd`` at temperature 1 with a weight of 1 − λ; here one
    number says both, such as for a sweep. Nothing in it knows of graphs: what makes the method is a
    student that does without one. Outputs of other tasks diverge as ``kd`` says.

    Args:
        label_weight: λ.
        task: says what the outputs mean, and what their loss is; a distiller fills in its own.

    Shapes:
        ``student.logits`` and ``teacher.logits`` ``[N, C]``, ``step.labels`` ``[N]`` or
        ``[N, C]``; a scalar results.

    Raises:
        ParameterError: outputs of the task predict nothing; in the call, views without logits, no
            labels where λ is above 0, or shapes that do not fit.

    Source:
        Equation 1, and the authors' code (snap-research/graphless-neural-networks), which takes
        λ = 0 by default, and a step of the optimiser for each of the two parts in turn.

    When:
        A student without a graph, for answers at the speed of a multi-layer perceptron: the first
        to try of these methods, and what the others are compared with.

    Example:
        >>> import torch
        >>> teacher = View(logits=torch.tensor([[2.0, 0.0], [0.0, 0.0]]))
        >>> student = View(logits=torch.zeros(2, 2))
        >>> step = Step.of(
        ...     student, labels=torch.tensor([0, 1]), labelled=torch.tensor([True, False])
        ... )
        >>> GLNN(label_weight=0.5)(student, teacher, step=step)
        tensor(0.4285)
    """

    paper = Paper(
        "Zhang, Liu, Sun, Shah",
        "Graph-less Neural Networks: Teaching Old MLPs New Tricks via Distillation",
        "ICLR",
        2022,
        "https://arxiv.org/abs/2110.08727",
    )
    likelihoods = ("softmax", "sigmoid", "gaussian")
    parity = ("snap-research/graphless-neural-networks",)
    uses = ("logits",)
    example_parameters: tuple[dict[str, Any], ...] = ({}, {"label_weight": 0.5})

    @validated
    def __init__(
        self,
        label_weight: Annotated[FiniteFloat, Field(ge=0, le=1)] = 0.0,
        task: str | Task = "single-label",
    ) -> None:
        super().__init__()
        self.label_weight = label_weight
        self.task = task if isinstance(task, Task) else create("task", task)
        self.divergence = create("loss", "kd", temperature=1.0, task=task)
        self.zero_at_equality = self.least_at_equality = label_weight == 0

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        """Return the mixture, a scalar; 0 where there are no nodes."""
        logits = student.require_logits("glnn")
        soft: Tensor = (1 - self.label_weight) * self.divergence(student, teacher)
        if not self.label_weight:
            return soft
        labels = step.require_labels("glnn")
        if len(labels) != len(logits):
            raise ParameterError(
                f"glnn: expected a label for each of {len(logits)} rows of the logits, got labels "
                f"of shape {list(labels.shape)}"
            )
        hard = self.task.loss(logits[step.labelled], labels[step.labelled])
        return self.label_weight * hard.to(soft.dtype) + soft

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"label_weight={self.label_weight}"
