"""Tf-KD: Yuan et al., Revisiting Knowledge Distillation via Label Smoothing Regularization.

CVPR 2020, https://arxiv.org/abs/1909.11723.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field, FiniteFloat
from torch import Tensor

from gkd import AbstractLoss, Paper, Step, Task, View
from gkd.errors import ParameterError, validated
from gkd.functional.logit_divergences import categorical_divergence
from gkd_logits.true_classes import TrueClasses


class TfKD(AbstractLoss):
    r"""Divergence from a teacher that is made by hand: right nearly always, and unsure of the rest.

    Teacher-free: it says a of the true class y, and the same of all others; temperature τ makes it
    softer still.

    .. math:: \frac{1}{N} \sum_i \mathrm{KL}(\mathrm{softmax}(h_i / \tau) \,\|\,
        \mathrm{softmax}(s_i / \tau)), \qquad h_{ic} = a \text{ for } c = y_i,
        \ \frac{1 - a}{C - 1} \text{ else}

    Nodes without a label that may be used have the value 0, and count in N. The teacher's logits
    are not looked at: a distiller needs a teacher all the same, and any will do.

    When:
        As the control of any distillation: what a teacher has to beat, at the price of none.

    Args:
        correct: a, above 1 / C.
        temperature: τ.
        variant: ``"paper"``; ``"official-code"`` has no temperature in the student's softmax.
        task: says what the outputs mean; a distiller fills in its own.
        per_row: return the value of each node in place of their mean.

    Shapes:
        ``student.logits`` ``[N, C]``, ``step.labels`` int64 ``[N]``; a scalar results, or ``[N]``
        per row.

    Raises:
        ParameterError: outputs of the task are no classes; in the call, no labels, a view without
            logits, shapes that do not fit, or an a that is not above 1 / C.

    Source:
        The paper's Tf-KD_reg, with a = 0.99 and τ = 20 as there; α is the term's weight. The code
        (yuanli2333/Teacher-free-Knowledge-Distillation) has the mean over classes, too: this value
        divided by C. Tf-KD_self, a student taught by itself as it was trained before, is ``kd``
        with that teacher.

    Example:
        >>> student = View(logits=torch.tensor([[2.0, 0.0]]))
        >>> step = Step.of(student, labels=torch.tensor([0]))
        >>> TfKD(temperature=1.0)(student, View(), step=step)
        tensor(0.0866)
    """

    uses = ("logits",)
    zero_at_equality = False
    least_at_equality = False
    fades_with_temperature = True
    paper = Paper(
        "Yuan, Tay, Li, Wang, Feng",
        "Revisiting Knowledge Distillation via Label Smoothing Regularization",
        "CVPR",
        2020,
        "https://arxiv.org/abs/1909.11723",
    )
    likelihoods = ("softmax",)
    parity = ("yuanli2333/Teacher-free-Knowledge-Distillation",)

    @validated
    def __init__(
        self,
        correct: Annotated[FiniteFloat, Field(gt=0, lt=1)] = 0.99,
        temperature: Annotated[FiniteFloat, Field(gt=0)] = 20.0,
        variant: Literal["paper", "official-code"] = "paper",
        task: str | Task = "single-label",
        per_row: bool = False,
    ) -> None:
        super().__init__()
        self.per_row = per_row
        self.correct, self.temperature, self.variant = correct, temperature, variant
        self.true_classes = TrueClasses("tf-kd", task, "skip")

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        """Return the mean over nodes; 0 where there are none. Per row ``[N]``."""
        rows = self.true_classes.of(student, student, step)
        logits, others = rows.student, rows.student.shape[1] - 1
        if self.correct * (others + 1) <= 1:
            raise ParameterError(
                f"tf-kd: the true class is to be the most likely of {others + 1}: expected correct "
                f"above {1 / (others + 1):.3g}, got {self.correct}"
            )
        made = torch.full_like(logits, (1 - self.correct) / others)
        made.scatter_(1, rows.classes[:, None], self.correct)
        if self.variant == "paper":
            logits = logits / self.temperature
        value = categorical_divergence(logits, made / self.temperature)
        value = torch.where(rows.counted, value, 0)
        return value if self.per_row else value.sum() / max(len(value), 1)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"correct={self.correct}, temperature={self.temperature}, variant={self.variant!r}"
