"""WSLD: Zhou et al., Rethinking Soft Labels for Knowledge Distillation, ICLR 2021.

https://arxiv.org/abs/2102.00650.
"""

from typing import Annotated

import torch
from pydantic import Field, FiniteFloat
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from gkd import AbstractLoss, Paper, Step, Task, View
from gkd.errors import validated
from gkd_logits.true_classes import TrueClasses, Unlabelled

_EPSILON = 1e-7  # the authors': of a teacher that is sure, the cross entropy rounds to 0


class WSLD(AbstractLoss):
    r"""Cross entropy with the teacher's soft labels, weighted by how much the student lacks.

    With p the softmax of the logits of a node over T, and CE the cross entropy of the plain logits
    with the true class y:

    .. math:: T^2 \frac{1}{N} \sum_i w_i \sum_c - p^t_{ic} \log p^s_{ic}, \qquad
        w_i = 1 - \exp\Big(- \frac{\mathrm{CE}(s_i, y_i)}{\mathrm{CE}(t_i, y_i)}\Big)

    A node that the student has right as surely as the teacher has it counts less: there soft
    labels would add bias. No gradient flows through the weights. The value is not 0 where both
    agree, as a cross entropy is not.

    When:
        Labels are to be trusted, and the teacher's doubts hurt where the student is right already.

    Args:
        temperature: T, in units of the logits.
        unlabelled: what stands for the true class of a node whose label is missing or may not be
            used: ``"teacher"``, the most likely one of the teacher; ``"skip"``, nothing: the
            node's value is 0, and it counts in N.
        task: says what the outputs mean; a distiller fills in its own.
        per_row: return the value of each node in place of their mean.

    Shapes:
        ``student.logits`` and ``teacher.logits`` ``[N, C]``, ``step.labels`` int64 ``[N]``; a
        scalar results, or ``[N]`` per row.

    Raises:
        ParameterError: outputs of the task are no classes; in the call, no labels, views without
            logits, or shapes that do not fit.

    Source:
        Section 4; T = 2 and a weight of 2.5 as in the authors' code
        (bellymonster/Weighted-Soft-Label-Distillation), which adds 1e-7 to CE(t, y).

    Example:
        >>> teacher = View(logits=torch.tensor([[2.0, 0.0]]))
        >>> student = View(logits=torch.tensor([[0.0, 0.0]]))
        >>> step = Step.of(student, labels=torch.tensor([0]))
        >>> WSLD(temperature=1.0)(student, teacher, step=step)
        tensor(0.6902)
    """

    uses = ("logits",)
    paper = Paper(
        "Zhou et al.",
        "Rethinking Soft Labels for Knowledge Distillation",
        "ICLR",
        2021,
        "https://arxiv.org/abs/2102.00650",
    )
    likelihoods = ("softmax",)
    parity = ("open-mmlab/mmrazor",)
    zero_at_equality = False
    least_at_equality = False  # the labels count, too
    exact_gradient = False  # the weights are constants to it

    @validated
    def __init__(
        self,
        temperature: Annotated[FiniteFloat, Field(gt=0)] = 2.0,
        unlabelled: Unlabelled = "teacher",
        task: str | Task = "single-label",
        per_row: bool = False,
    ) -> None:
        super().__init__()
        self.per_row = per_row
        self.temperature = temperature
        self.true_classes = TrueClasses("wsld", task, unlabelled)

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        """Return the weighted mean over nodes; 0 where there are none. Per row ``[N]``."""
        rows = self.true_classes.of(student, teacher, step)
        soft = (rows.teacher / self.temperature).softmax(dim=1)
        entropy = -(soft * log_softmax(rows.student / self.temperature, dim=1)).sum(dim=1)
        ours, theirs = (
            cross_entropy(logits, rows.classes, reduction="none")
            for logits in (rows.student.detach(), rows.teacher)
        )
        # expm1 keeps the digits of a small weight.
        weights = -torch.expm1(-ours / (theirs + _EPSILON))
        value = torch.where(rows.counted, self.temperature**2 * weights * entropy, 0)
        return value if self.per_row else value.sum() / max(len(value), 1)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"temperature={self.temperature}, unlabelled={self.true_classes.unlabelled!r}"
