"""MSKD: Zhang, Liu, Dang, Zhang, Multi-Scale Distillation from Multiple GNNs, AAAI 2022.

https://doi.org/10.1609/aaai.v36i4.20354.
"""

import inspect
from collections.abc import Callable, Mapping
from math import sqrt
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from gkd import AbstractLoss, Paper, Step, Task, View, create
from gkd.errors import ParameterError, validated
from gkd.functional.paired_rows import paired_logits

_OF_THE_LOSS = (
    "non_negative",
    "zero_at_equality",
    "least_at_equality",
    "different_widths",
    "bounded_memory",
    "linear_work",
    "directed",
)


class MSKD(AbstractLoss):
    r"""Any loss with several teachers, each weighted by how much the student attends to it.

    Teachers of different depth know different things: deep ones of nodes with many neighbours,
    shallow ones of nodes with few. With :math:`\ell_{im}` the loss of node i with teacher m:

    .. math:: \frac{1}{N} \sum_i \sum_m \alpha_{im} \, \ell_{im}, \qquad
        \sum_m \alpha_{im} = 1

    The attention compares logits s of the student with those of the teachers, :math:`t_m`. For
    each node, scaled dot products; or for the batch as a whole, the mean of the entries of
    :math:`S^T T_m` relative to their sum:

    .. math:: \alpha_{im} = \operatorname*{softmax}_m \frac{s_i \cdot t_{im}}{\sqrt C}, \qquad
        \alpha_m = \operatorname*{softmax}_m \frac{a_m}{\sum_{m'} a_{m'}}, \quad
        a_m = \frac{1}{C^2} \sum_{cc'} (S^T T_m)_{cc'}

    No gradient flows through the attention: with one, it would turn to the easiest teacher.

    Args:
        loss: what is weighted, with a value per node and nothing that is learned: a name, or a
            loss; None for the local structure of a layer as the authors' code has it.
        attention: ``"node"`` or ``"batch"``.
        params: parameters of a loss given by name.
        task: says what the outputs mean; a distiller fills in its own.
        per_row: return the value of each node in place of their mean.

    Shapes:
        ``teachers`` by name, each with ``logits`` ``[N, C]`` (of whole graphs ``[B, C]``) and what
        the loss uses; a scalar results, or ``[N]`` per row.

    Raises:
        ParameterError: the loss has no value per row, or learns; in the call, what the loss uses is
            missing, or logits differ in shape.

    Source:
        The abstract: teachers are weighted by attention, for different local structures
        differently. The code (NKU-IIPLab/MSKD) has ``attention="batch"``, multiplied by 7,
        rounded to hundredths and computed in the first step alone, and goes through the teachers
        one after another; the loss is ``lsp`` in the variant ``official-code``.

    When:
        Several teachers of the same classes, such as of different depth, none of which is the best
        at all nodes.

    Example:
        >>> student = View(logits=torch.tensor([[1.0, 0.0]]))
        >>> teachers = {"a": student, "b": View(logits=torch.tensor([[0.0, 1.0]]))}
        >>> loss = MSKD("kd", params={"temperature": 1.0})
        >>> loss(student, teachers["a"], teachers=teachers)
        tensor(0.1526)
    """

    uses: tuple[str, ...] = ("logits", "features", "graph")
    paper = Paper(
        "Zhang, Liu, Dang, Zhang",
        "Multi-Scale Distillation from Multiple Graph Neural Networks",
        "AAAI",
        2022,
        "https://doi.org/10.1609/aaai.v36i4.20354",
    )
    exact_gradient = False  # the attention is a constant to it
    shift_invariant = False  # the attention compares logits themselves

    @validated
    def __init__(
        self,
        loss: str | AbstractLoss | None = None,
        attention: Literal["node", "batch"] = "node",
        params: Mapping[str, Any] | None = None,
        task: str | Task = "single-label",
        per_row: bool = False,
    ) -> None:
        super().__init__()
        self.per_row, self.attention = per_row, attention
        if loss is None:
            loss, params = "lsp", {"variant": "official-code", **(params or {})}
        self.loss = _loss(loss, dict(params or {}), task)
        if not self.loss.per_row:
            raise ParameterError(f"mskd: {loss} has no value per row: make it with per_row=True")
        if type(self.loss).build is not AbstractLoss.build:
            raise ParameterError(
                f"mskd: {loss} learns something for one teacher, which would not serve the others; "
                "give each teacher a term of its own"
            )
        self._asks = inspect.signature(self.loss.forward).parameters.keys() & {"step", "rows"}
        self.uses = tuple(dict.fromkeys([*self.loss.uses, "logits"]))
        self.likelihoods = self.loss.likelihoods
        self.without_gradient = () if "logits" in self.loss.uses else ("logits",)
        for declared in _OF_THE_LOSS:
            setattr(self, declared, getattr(self.loss, declared))
        self.samples_apart = self.loss.samples_apart and attention == "node"

    def forward(
        self,
        student: View,
        teacher: View,
        *,
        teachers: Mapping[str, View],
        step: Step | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """Return the weighted mean over nodes; 0 where there are none. Per row ``[N]``."""
        offered = {"step": step, "rows": rows if self.per_row else None}
        asked = {name: offered[name] for name in self._asks}
        values = torch.stack([self.loss(student, view, **asked) for view in teachers.values()])
        weights = self._weights(student, teachers)
        if weights.shape != values.shape:
            # Logits of whole graphs: every node of a sample attends as the sample does.
            if student.batch is None:
                raise ParameterError(
                    f"mskd: logits of {weights.shape[1]} rows for {values.shape[1]} nodes, and no "
                    "batch vector that says to which sample each belongs"
                )
            weights = weights[:, student.batch]
        value = (weights.to(values.dtype) * values).sum(dim=0)
        return value if self.per_row else value.sum() / max(len(value), 1)

    @torch.no_grad()
    def _weights(self, student: View, teachers: Mapping[str, View]) -> Tensor:
        """Weights of the teachers at each row of the logits, ``[M, N]``."""
        logits = student.require_logits("mskd")
        pairs = [
            paired_logits(logits, view.require_logits("mskd"), "mskd") for view in teachers.values()
        ]
        # Dot products of confident logits leave the range of half precision.
        with torch.autocast(logits.device.type, enabled=False):
            scores = torch.stack([_SCORES[self.attention](*pair) for pair in pairs])
        return scores.softmax(dim=0) if self.attention == "node" else _relative(scores)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"attention={self.attention!r}"


def _loss(loss: str | AbstractLoss, params: dict[str, Any], task: str | Task) -> AbstractLoss:
    if isinstance(loss, AbstractLoss):
        if params:
            raise ParameterError("mskd: params are for a loss given by name; give them to the loss")
        return loss
    params.setdefault("per_row", True)
    made: AbstractLoss = create("loss", loss, **params)
    if "task" in inspect.signature(type(made)).parameters and "task" not in params:
        made = create("loss", loss, **params, task=task)
    return made


def _of_nodes(student: Tensor, teacher: Tensor) -> Tensor:
    scores: Tensor = torch.linalg.vecdot(student, teacher) / sqrt(student.shape[1])
    return scores


def _of_batch(student: Tensor, teacher: Tensor) -> Tensor:
    # The mean of all entries of SᵀT needs row sums alone.
    mean = torch.dot(student.sum(dim=1), teacher.sum(dim=1)) / student.shape[1] ** 2
    return mean.expand(len(student))


def _relative(scores: Tensor) -> Tensor:
    total = scores.sum(dim=0)
    return (scores / torch.where(total == 0, torch.inf, total)).softmax(dim=0)


_SCORES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {"node": _of_nodes, "batch": _of_batch}
)
