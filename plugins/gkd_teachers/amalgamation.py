"""Knowledge amalgamation: Jing, Yang, Wang, Song, Tao.

Amalgamating Knowledge from Heterogeneous Graph Neural Networks, CVPR 2021,
https://doi.org/10.1109/CVPR46437.2021.01545.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import torch
from pydantic import NonNegativeInt, PositiveFloat
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from gkd import AbstractLoss, Paper, Task, View, create
from gkd.errors import ParameterError, suggestion, validated
from gkd.functional.paired_rows import paired_logits


class Amalgamation(AbstractLoss):
    r"""Divergence from the predictions of several teachers, each for classes of its own.

    The student has a column of logits for every class of every teacher. With :math:`C_m` the
    columns of teacher m, :math:`s_i[C_m]` the student's logits there, and M teachers:

    .. math:: \frac{1}{M} \sum_m \frac{1}{N} \sum_i \ell(s_i[C_m], t_{im})

    Blocks of columns are heads: a softmax over :math:`C_m` knows nothing of other classes, so that
    no teacher is asked about what it has not learned. With soft targets ℓ is the divergence of
    ``kd``. With hard ones the teacher's decisions stand for labels: the cross entropy with its most
    likely class, or the binary cross entropy, mean over classes, with whether a logit is above 0.

    Args:
        targets: ``"soft"`` or ``"hard"``.
        temperature: T of soft targets, in units of the logits.
        columns: of each teacher by name, the numbers of the student's columns in the order of the
            teacher's. Without it the blocks lie side by side, in the order of the term's teachers;
            teachers that are all as wide as the student have the same classes as it.
        task: says what the outputs mean; a distiller fills in its own.
        per_row: return the value of each node in place of their mean.

    Shapes:
        ``student.logits`` ``[N, C]``, ``teachers`` by name, each with ``logits`` ``[N, C_m]``; a
        scalar results, or ``[N]`` per row.

    Raises:
        ParameterError: outputs of the task have no classes to decide for; in the call, columns that
            do not fit the student or its teachers, or views without logits.

    Source:
        The first term of equation 3, where targets are hard, as in the authors' code
        (ycjing/AmalgamateGNN.PyTorch), which adds up over teachers: M times the value here. The
        task goes back to Shen et al., Amalgamating Knowledge towards Comprehensive Classification,
        AAAI 2019. The second term of equation 3 compares gradients with respect to edges, which
        networks here do not offer; ``lsp`` beside each teacher is what there is of structure.

    When:
        Trained networks of different label sets, no data with the labels of all of them, and one
        student that should answer for all: with a ``task_weight`` of 0.

    Example:
        >>> student = View(logits=torch.tensor([[1.0, 0.0, 0.0, 2.0, 0.0]]))
        >>> teachers = {
        ...     "tissue": View(logits=torch.tensor([[1.0, 0.0]])),
        ...     "organ": View(logits=torch.tensor([[0.0, 0.0, 0.0]])),
        ... }
        >>> Amalgamation(temperature=1.0)(student, teachers["tissue"], teachers=teachers)
        tensor(0.2371)
    """

    paper = Paper(
        "Jing, Yang, Wang, Song, Tao",
        "Amalgamating Knowledge from Heterogeneous Graph Neural Networks",
        "CVPR",
        2021,
        "https://doi.org/10.1109/CVPR46437.2021.01545",
    )
    likelihoods = ("softmax", "sigmoid", "gaussian")
    parity = ("ycjing/AmalgamateGNN.PyTorch",)
    uses = ("logits",)
    example_parameters: tuple[dict[str, Any], ...] = ({}, {"targets": "hard"})

    @validated
    def __init__(
        self,
        targets: Literal["soft", "hard"] = "soft",
        temperature: PositiveFloat = 4.0,
        columns: Mapping[str, Sequence[NonNegativeInt]] | None = None,
        task: str | Task = "single-label",
        per_row: bool = False,
    ) -> None:
        super().__init__()
        self.per_row, self.targets, self.columns = per_row, targets, columns
        self.soft = create("loss", "kd", temperature=temperature, task=task, per_row=True)
        likelihood = (task if isinstance(task, Task) else create("task", task)).likelihood
        if targets == "hard" and likelihood not in _DECIDED:
            raise ParameterError(
                f"amalgamation: outputs of this task are {likelihood}, of which there is no "
                'decision; take targets="soft"'
            )
        self.hard = _DECIDED.get(likelihood)
        self.zero_at_equality = self.least_at_equality = targets == "soft"

    def forward(self, student: View, teacher: View, *, teachers: Mapping[str, View]) -> Tensor:
        """Return the mean over teachers, and over nodes unless per row; 0 where there are none."""
        logits = _columns(student.require_logits("amalgamation"))
        others = {
            name: _columns(view.require_logits("amalgamation")) for name, view in teachers.items()
        }
        blocks = self._blocks(logits, others)
        values = [self._value(logits[:, blocks[name]], others[name]) for name in others]
        value = torch.stack(values).mean(dim=0)
        return value if self.per_row else value.sum() / max(len(value), 1)

    def _value(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Value of each node for one teacher, ``[N]``."""
        ours, theirs = paired_logits(student, teacher, "amalgamation")
        if self.targets == "hard":
            assert self.hard is not None
            return self.hard(ours, theirs)
        value: Tensor = self.soft(View(logits=ours), View(logits=theirs))
        return value

    def _blocks(self, logits: Tensor, teachers: Mapping[str, Tensor]) -> dict[str, Any]:
        """Return which of the student's columns each teacher is compared with."""
        width, widths = logits.shape[1], {name: t.shape[1] for name, t in teachers.items()}
        if self.columns is not None:
            return {name: self._named(name, widths[name], width) for name in teachers}
        if all(each == width for each in widths.values()):
            return dict.fromkeys(teachers, slice(None))
        if sum(widths.values()) != width:
            raise ParameterError(
                f"amalgamation: the student has {width} columns, and its teachers have "
                f"{' + '.join(map(str, widths.values()))}; name those of each by columns"
            )
        ends = torch.tensor(list(widths.values())).cumsum(0).tolist()
        pairs = zip(widths, [0, *ends], ends, strict=False)
        return {name: slice(start, end) for name, start, end in pairs}

    def _named(self, name: str, count: int, width: int) -> list[int]:
        assert self.columns is not None
        if name not in self.columns:
            raise ParameterError(
                f"amalgamation: no columns of the teacher {name!r}; "
                f"{suggestion(name, self.columns)}"
            )
        numbers = list(self.columns[name])
        if len(numbers) != count or max(numbers, default=-1) >= width:
            raise ParameterError(
                f"amalgamation: columns of {name!r}: expected {count} numbers below {width}, the "
                f"width of the student, got {numbers}"
            )
        return numbers

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"targets={self.targets!r}, columns={self.columns}"


def _columns(values: Tensor) -> Tensor:
    return values[:, None] if values.ndim == 1 else values


def _most_likely(student: Tensor, teacher: Tensor) -> Tensor:
    if student.shape[1] == 1:  # the logit of class 1 against class 0
        return _each_label(student, teacher)
    return cross_entropy(student, teacher.argmax(dim=1), reduction="none")


def _each_label(student: Tensor, teacher: Tensor) -> Tensor:
    decided = (teacher > 0).to(student.dtype)
    return binary_cross_entropy_with_logits(student, decided, reduction="none").mean(dim=1)


_DECIDED: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {"softmax": _most_likely, "sigmoid": _each_label}
)
