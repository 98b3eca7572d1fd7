"""Knowledge distillation: Hinton, Vinyals, Dean, Distilling the Knowledge in a Neural Network.

NIPS Deep Learning Workshop 2015, https://arxiv.org/abs/1503.02531.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated

from pydantic import Field, FiniteFloat
from torch import Tensor

from gkd import AbstractLoss, Paper, Task, View, create
from gkd.errors import ParameterError, validated
from gkd.functional.logit_divergences import bernoulli_divergence, categorical_divergence
from gkd.functional.paired_rows import paired_logits


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

    Args:
        temperature: T, in units of the logits.
        task: says what the outputs mean; a distiller fills in its own.
        per_row: return the divergence of each node, times T², in place of their mean.

    Raises:
        UnknownNameError: there is no such task.
        ParameterError: outputs of the task predict nothing; in the call, views without logits or
            with logits of different shapes.

    Source:
        Equation 1 (temperature) and section 2 (T²). Multi-label as in Joshi et al., On
        Representation Knowledge Distillation for Graph Neural Networks, TNNLS 2022.

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

    @validated
    def __init__(
        self,
        temperature: Annotated[FiniteFloat, Field(gt=0)] = 4.0,
        task: str | Task = "single-label",
        per_row: bool = False,
    ) -> None:
        super().__init__()
        self.per_row = per_row
        self.temperature = temperature
        self.task = task
        made = task if isinstance(task, Task) else create("task", task)
        if made.likelihood not in _DIVERGENCES:
            raise ParameterError(
                f"kd compares predictions, and outputs of this task are {made.likelihood}s: "
                "compare features, by a loss such as fitnet or lsp"
            )
        self.divergence = _DIVERGENCES[made.likelihood]
        self.rows = made.rows

    def forward(self, student: View, teacher: View) -> Tensor:
        """Return the mean divergence times T²; 0 where there are no nodes. Per row ``[N]``."""
        ours, theirs = (self.rows(view.require_logits("kd")) for view in (student, teacher))
        ours, theirs = paired_logits(ours, theirs, "kd")
        per_node = self.divergence(ours / self.temperature, theirs / self.temperature)
        if self.per_row:
            return self.temperature**2 * per_node
        return per_node.sum() * (self.temperature**2 / max(len(per_node), 1))

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"temperature={self.temperature}, task={self.task!r}"


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
