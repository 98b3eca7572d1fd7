"""Knowledge distillation: Hinton, Vinyals, Dean, Distilling the Knowledge in a Neural Network.

NIPS Deep Learning Workshop 2015, https://arxiv.org/abs/1503.02531.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated

import torch
from pydantic import Field, FiniteFloat
from torch import Tensor

from gkd import AbstractLoss, Paper, Task, View, create
from gkd.errors import ParameterError, validated
from gkd.functional.logit_divergences import bernoulli_divergence, categorical_divergence
from gkd.functional.paired_rows import paired_logits, standard_scores


class KD(AbstractLoss):
    r"""Divergence of the student's softened predictions from the teacher's.

    Single-label (softmax), with s and t the logits of a node:

    .. math:: T^2 \frac{1}{N} \sum_i
        \mathrm{KL}(\mathrm{softmax}(t_i / T) \,\|\, \mathrm{softmax}(s_i / T))

    Multi-label (sigmoid): every class is a Bernoulli variable of probability
    :math:`\sigma(t_{ic} / T)`, and the divergence is averaged over classes too, as the supervised
    binary cross entropy is:

    .. math:: T^2 \frac{1}{NC} \sum_{ic}
        \mathrm{KL}(\sigma(t_{ic} / T) \,\|\, \sigma(s_{ic} / T))

    T² keeps the gradient's size while T varies. The divergence differs from the (binary) cross
    entropy against the teacher's softened predictions by their entropy alone, which the student
    cannot change: gradients are the same, and 0 means agreement.

    The α that papers quote is the term's weight: a term of weight α gives H + α·KD. The convex
    mixture (1 − α)·H + α·KD is, up to an overall factor, a term of weight α / (1 − α).

    Outputs that are means of normal variables of one variance, as in regression: their mean squared
    difference, to which the divergence is proportional. T cancels out, and has no meaning there.

    .. math:: \frac{1}{NC} \sum_{ic} (t_{ic} - s_{ic})^2

    With ``standardise``, logits are standard scores of their row, (z - mean) / σ: a student need
    not reach the size of its teacher's logits, which it may be too small for, and learns their
    relations. Of two classes nothing is left but their order, which has no gradient.

    When:
        The first to try wherever both networks predict the same: cheap, and hard to beat.
        ``standardise`` where the teacher is much larger or surer than the student.

    Args:
        temperature: T, in units of the logits; of standard scores where they are standardised.
        standardise: compare standard scores of the logits; for classes of which one is right.
        task: says what the outputs mean; a distiller fills in its own.
        per_row: return the divergence of each node, times T², in place of their mean.

    Shapes:
        ``student.logits`` and ``teacher.logits`` ``[N, C]``; a scalar results, or ``[N]`` per row.

    Raises:
        UnknownNameError: there is no such task.
        ParameterError: outputs of the task predict nothing, or are no classes of which one is right
            where they are standardised; in the call, views without logits or
            with logits of different shapes.

    Source:
        Equation 1 (temperature) and section 2 (T²). Multi-label as in Joshi et al., On
        Representation Knowledge Distillation for Graph Neural Networks, TNNLS 2022; their code
        (chaitjo/efficient-gnns) has the mean over classes for classes, too, and leaves T² to the
        weight: its value is this one divided by T²C. ``standardise``: Sun et al., Logit
        Standardization in Knowledge Distillation, CVPR 2024, algorithm 1, with T = 2 and a weight
        of 9; their code divides by C - 1 in σ²: its value at T is this one at T√(C / (C - 1)),
        times (C - 1) / C.

    Example:
        >>> import torch
        >>> from gkd import View
        >>> teacher = View(logits=torch.tensor([[2.0, 0.0]]))
        >>> student = View(logits=torch.tensor([[0.0, 0.0]]))
        >>> KD(temperature=1.0)(student, teacher)
        tensor(0.3278)
    """

    uses = ("logits",)
    paper = Paper(
        "Hinton, Vinyals, Dean",
        "Distilling the Knowledge in a Neural Network",
        "NIPS Deep Learning Workshop",
        2015,
        "https://arxiv.org/abs/1503.02531",
    )
    likelihoods = ("softmax", "sigmoid", "gaussian")
    parity = (
        "megvii-research/mdistiller",
        "chaitjo/efficient-gnns",
        "sunshangquan/logit-standardization-KD",
    )

    @validated
    def __init__(
        self,
        temperature: Annotated[FiniteFloat, Field(gt=0)] = 4.0,
        task: str | Task = "single-label",
        per_row: bool = False,
        standardise: bool = False,
    ) -> None:
        super().__init__()
        self.per_row = per_row
        self.standardise = standardise
        self.temperature = temperature
        self.task = task
        made = task if isinstance(task, Task) else create("task", task)
        if made.likelihood not in _DIVERGENCES:
            raise ParameterError(
                f"kd compares predictions, and outputs of this task are {made.likelihood}s: "
                "compare features, by a loss such as fitnet or lsp"
            )
        if standardise and made.likelihood != "softmax":
            raise ParameterError(
                f"kd: standardise compares classes of which one is right, and outputs of this task "
                f"are {made.likelihood}; leave it out"
            )
        self.divergence = _DIVERGENCES[made.likelihood]
        self.rows = made.rows

    def forward(self, student: View, teacher: View) -> Tensor:
        """Return the mean divergence times T²; 0 where there are no nodes. Per row ``[N]``."""
        ours, theirs = (self.rows(view.require_logits("kd")) for view in (student, teacher))
        ours, theirs = paired_logits(ours, theirs, "kd")
        if self.standardise:
            ours, theirs = (standard_scores(_of_two(logits), dim=1) for logits in (ours, theirs))
        per_node = self.divergence(ours / self.temperature, theirs / self.temperature)
        if self.per_row:
            return self.temperature**2 * per_node
        return per_node.sum() * (self.temperature**2 / max(len(per_node), 1))

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"temperature={self.temperature}, task={self.task!r}, standardise={self.standardise}"


def _of_two(logits: Tensor) -> Tensor:
    """Logits of both classes, where there is one column, that of class 1 against class 0."""
    return logits if logits.shape[1] > 1 else torch.cat([torch.zeros_like(logits), logits], dim=1)


def softmax_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher ‖ student) of the softmax of logits ``[N, C]``, per node ``[N]``.

    A single column is the logit of class 1 against class 0.
    """
    if student.shape[1] == 1:
        return sigmoid_divergence(student, teacher)
    return categorical_divergence(student, teacher)


def sigmoid_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher ‖ student) of the sigmoid of logits ``[N, C]``, mean over classes ``[N]``."""
    return bernoulli_divergence(student, teacher).mean(dim=1)


def gaussian_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared difference of means ``[N, C]``, mean over columns ``[N]``.

    KL(teacher ‖ student) of normal variables of variance 1/2.
    """
    return (teacher - student).square().mean(dim=1)


_DIVERGENCES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {
        "softmax": softmax_divergence,
        "sigmoid": sigmoid_divergence,
        "gaussian": gaussian_divergence,
    }
)
