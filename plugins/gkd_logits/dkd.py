"""DKD: Zhao, Cui, Song, Qiu, Liang, Decoupled Knowledge Distillation, CVPR 2022.

https://arxiv.org/abs/2203.08679.
"""

from typing import Annotated

import torch
from pydantic import Field, FiniteFloat
from torch import Tensor

from gkd import AbstractLoss, Paper, Step, Task, View
from gkd.errors import validated
from gkd.functional.logit_divergences import bernoulli_divergence, categorical_divergence
from gkd_logits.true_classes import TrueClasses, Unlabelled

Positive = Annotated[FiniteFloat, Field(gt=0)]
Weight = Annotated[FiniteFloat, Field(ge=0)]


class DKD(AbstractLoss):
    r"""Divergence about the true class, and divergence among the others, each with its own weight.

    With p the softmax of the logits of a node over T, y its true class, b the pair
    :math:`(p_y, 1 - p_y)`, and :math:`\hat p` the softmax over the other classes alone:

    .. math:: T^2 \frac{1}{N} \sum_i \alpha\, \mathrm{KL}(b^t_i \,\|\, b^s_i)
        + \beta\, \mathrm{KL}(\hat p^t_i \,\|\, \hat p^s_i)

    KD is the case :math:`\alpha = 1, \beta = 1 - p^t_{iy}`: where the teacher is sure, it says next
    to nothing of the other classes, and DKD says it all the same. With two classes the second part
    is 0.

    When:
        There are many classes, and the teacher is so sure that KD tells little of the others.

    Args:
        alpha: weight of the first part.
        beta: weight of the second.
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
        Equation 7, with T² as in the authors' code (megvii-research/mdistiller), which takes
        α = 1, β = 8 and T = 4 on CIFAR-100 and raises the weight over the first epochs, as a
        term's schedule does.

    Example:
        >>> teacher = View(logits=torch.tensor([[2.0, 1.0, 0.0]]))
        >>> student = View(logits=torch.tensor([[2.0, 0.0, 1.0]]))
        >>> step = Step.of(student, labels=torch.tensor([0]))
        >>> DKD(temperature=1.0)(student, teacher, step=step)
        tensor(3.6969)
    """

    uses = ("logits",)
    paper = Paper(
        "Zhao, Cui, Song, Qiu, Liang",
        "Decoupled Knowledge Distillation",
        "CVPR",
        2022,
        "https://arxiv.org/abs/2203.08679",
    )
    likelihoods = ("softmax",)
    parity = ("megvii-research/mdistiller",)

    @validated
    def __init__(
        self,
        alpha: Weight = 1.0,
        beta: Weight = 8.0,
        temperature: Positive = 4.0,
        unlabelled: Unlabelled = "teacher",
        task: str | Task = "single-label",
        per_row: bool = False,
    ) -> None:
        super().__init__()
        self.per_row = per_row
        self.alpha, self.beta, self.temperature = alpha, beta, temperature
        self.true_classes = TrueClasses("dkd", task, unlabelled)

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        """Return the mean over nodes; 0 where there are none. Per row ``[N]``."""
        rows = self.true_classes.of(student, teacher, step)
        ours, theirs = rows.student / self.temperature, rows.teacher / self.temperature
        target = bernoulli_divergence(_odds(ours, rows.classes), _odds(theirs, rows.classes))
        others = categorical_divergence(
            _without(ours, rows.classes), _without(theirs, rows.classes)
        )
        value = self.temperature**2 * (self.alpha * target + self.beta * others)
        value = torch.where(rows.counted, value, 0)
        return value if self.per_row else value.sum() / max(len(value), 1)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"alpha={self.alpha}, beta={self.beta}, temperature={self.temperature}"


def _odds(logits: Tensor, classes: Tensor) -> Tensor:
    """Logit of the class against all others together, ``[N]``."""
    own = logits.gather(1, classes[:, None])[:, 0]
    # Not from 1 - p, which is 0 where p rounds to 1.
    return own - _without(logits, classes).logsumexp(dim=1)


def _without(values: Tensor, classes: Tensor) -> Tensor:
    """Columns of the other classes, ``[N, C - 1]``."""
    columns = torch.arange(values.shape[1] - 1, device=values.device)
    return values.gather(1, columns + (columns >= classes[:, None]))
