"""FreeKD: Feng, Li, Yuan, Wang, Free-direction Knowledge Distillation for Graph Neural Networks.

KDD 2022, https://arxiv.org/abs/2206.06561.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field, FiniteFloat
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax

from gkd import AbstractLoss, Paper, Step, Task, View, create
from gkd.errors import ParameterError, validated
from gkd.functional.paired_rows import paired_logits


class FreeKD(AbstractLoss):
    r"""Divergence from the other network's predictions, at the nodes that it knows better.

    Of two networks that learn together neither is the teacher: at some nodes the one is better, at
    some the other. With p the softmax of the logits over T, and :math:`u_i` the cross entropy of
    the plain logits with the label of node i:

    .. math:: T^2 \frac{1}{N} \sum_i a_i \, \mathrm{KL}(p^t_i \,\|\, p^s_i), \qquad
        a_i = [\, u^t_i < u^s_i \,]

    Of several labels the cross entropy is the mean over those that are known, and the divergence is
    that of ``kd``.

    Two terms make it free in its direction, one from either network to the other: at each node at
    most one of them counts. No gradient flows through the choice.

    This is the paper's level of nodes with a rule in place of its agent. There a policy network,
    trained by reinforcement with the later losses as reward, draws :math:`a_i` from the predictions
    and cross entropies of both networks; and a second level of actions says which of the local
    structures around the chosen nodes are passed on, too. Neither is here: a policy has an
    optimiser of its own, and ``lsp`` passes structures on at all nodes.

    Args:
        temperature: T, in units of the logits.
        unlabelled: how the direction is chosen at a node whose label is missing or may not be used:
            ``"skip"``, nothing is passed on; ``"entropy"``, from the network whose prediction has
            the smaller entropy.
        task: says what the outputs mean; a distiller fills in its own.

    Shapes:
        ``student.logits`` and ``teacher.logits`` ``[N, C]``, ``step.labels`` int64 ``[N]``, or
        zeros and ones ``[N, C]``; ``[N]`` results, whose mean is the loss.

    Raises:
        ParameterError: outputs of the task are no classes; in the call, no labels, views without
            logits, or shapes that do not fit.

    Source:
        The paper's knowledge transfer at the level of nodes, but for the agent.

    When:
        Two students of about the same size and no trained teacher, as with mutual learning (the
        recipe ``mutual``), where each should not learn the other's errors.

    Example:
        >>> teacher = View(logits=torch.tensor([[2.0, 0.0], [2.0, 0.0]]))
        >>> student = View(logits=torch.zeros(2, 2))
        >>> step = Step.of(student, labels=torch.tensor([0, 1]))
        >>> FreeKD()(student, teacher, step=step)
        tensor([0.3278, 0.0000])
    """

    paper = Paper(
        "Feng, Li, Yuan, Wang",
        "FreeKD: Free-direction Knowledge Distillation for Graph Neural Networks",
        "KDD",
        2022,
        "https://arxiv.org/abs/2206.06561",
    )
    likelihoods = ("softmax", "sigmoid")
    uses = ("logits",)
    exact_gradient = False  # the choice is a constant to it
    per_row = True
    example_parameters: tuple[dict[str, Any], ...] = (
        {},
        {"unlabelled": "entropy", "temperature": 2.0},
    )

    @validated
    def __init__(
        self,
        temperature: Annotated[FiniteFloat, Field(gt=0)] = 1.0,
        unlabelled: Literal["skip", "entropy"] = "skip",
        task: str | Task = "single-label",
    ) -> None:
        super().__init__()
        likelihood = (task if isinstance(task, Task) else create("task", task)).likelihood
        if likelihood not in _PREDICTIONS:
            raise ParameterError(
                f"freekd: outputs of this task are {likelihood}, but it compares classes, as in "
                "'single-label' and 'multi-label'"
            )
        self.temperature, self.unlabelled = temperature, unlabelled
        self.predictions = _PREDICTIONS[likelihood]
        self.divergence = create("loss", "kd", temperature=temperature, task=task, per_row=True)

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        """Return the value of each node, ``[N]``."""
        ours, theirs = paired_logits(
            _columns(student.require_logits("freekd")),
            _columns(teacher.require_logits("freekd")),
            "freekd",
        )
        divergence = self.divergence(View(logits=ours), View(logits=theirs))
        return torch.where(self._taught(ours.detach(), theirs, step), divergence, 0)

    def _taught(self, student: Tensor, teacher: Tensor, step: Step) -> Tensor:
        """Rows at which the teacher is the better one, bool ``[N]``."""
        labels = step.require_labels("freekd")
        ours, theirs = (self.predictions(logits, labels) for logits in (student, teacher))
        counted = step.labelled & ours.known
        better = theirs.error < ours.error
        if self.unlabelled == "skip":
            return counted & better
        return torch.where(counted, better, theirs.entropy < ours.entropy)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"temperature={self.temperature}, unlabelled={self.unlabelled!r}"


class Predictions(NamedTuple):
    """How good and how sure the predictions of a network are.

    Attributes:
        error: cross entropy with the labels, ``[N]``; whatever it is where none is known.
        known: rows that have labels, bool ``[N]``.
        entropy: of the predictions, ``[N]``.
    """

    error: Tensor
    known: Tensor
    entropy: Tensor


def _columns(values: Tensor) -> Tensor:
    return values[:, None] if values.ndim == 1 else values


def _of_classes(logits: Tensor, labels: Tensor) -> Predictions:
    if _columns(labels).shape != (len(logits), 1):
        raise ParameterError(
            f"freekd: expected a class number for each of {len(logits)} rows of the logits, got "
            f"labels of shape {list(labels.shape)}"
        )
    if logits.shape[1] == 1:  # the logit of class 1 against class 0
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    labels = labels.flatten()
    # A label that no class has, such as -1 or NaN, is one that the task leaves out.
    labels = labels.nan_to_num(-1) if labels.is_floating_point() else labels
    known = (labels >= 0) & (labels < logits.shape[1])
    classes = torch.where(known, labels, 0).to(torch.int64)
    log_p = log_softmax(logits, dim=1)
    error = -log_p.gather(1, classes[:, None])[:, 0]
    return Predictions(error, known, -(log_p.exp() * log_p).sum(dim=1))


def _of_labels(logits: Tensor, labels: Tensor) -> Predictions:
    labels = _columns(labels)
    if labels.shape != logits.shape:
        raise ParameterError(
            f"freekd: expected labels 0 or 1 of the shape of the logits, {list(logits.shape)}, got "
            f"{list(labels.shape)}"
        )
    labels = labels.to(logits.dtype)
    known = ~labels.isnan()
    errors = binary_cross_entropy_with_logits(logits, labels.nan_to_num(0), reduction="none")
    error = torch.where(known, errors, 0).sum(dim=1) / known.sum(dim=1).clamp(min=1)
    entropy = binary_cross_entropy_with_logits(logits, logits.sigmoid(), reduction="none")
    return Predictions(error, known.any(dim=1), entropy.mean(dim=1))


_PREDICTIONS: Mapping[str, Callable[[Tensor, Tensor], Predictions]] = MappingProxyType(
    {"softmax": _of_classes, "sigmoid": _of_labels}
)
