"""The supervised tasks: their loss, what their labels must look like."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional

from gkd.errors import DataError, UnknownNameError, suggestion


@dataclass(frozen=True)
class Task(ABC):
    """How labels supervise logits; one instance each of single-label and multi-label exists.

    >>> find_task("single-label").loss(torch.zeros(1, 2), torch.tensor([1]))
    tensor(0.6931)
    """

    name: ClassVar[str]

    @abstractmethod
    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """Supervised loss, a scalar of at least single precision; 0 where there are no nodes.

        Args:
            logits: ``[N, C]``, before softmax or sigmoid.
            y: labels, ``[N]`` class numbers (single-label) or ``[N, C]`` in [0, 1] (multi-label).
        """

    @abstractmethod
    def check(self, logits: Tensor, y: Tensor) -> None:
        """Raise :class:`DataError` unless ``y`` can supervise ``logits``.

        Looks at the labels' values, so it waits for an accelerator: meant for a first batch.
        """


@final
@dataclass(frozen=True)
class SingleLabel(Task):
    """Each node has exactly one of C classes: cross entropy of the softmax, mean over nodes."""

    name: ClassVar[str] = "single-label"

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """Cross entropy, mean over nodes."""
        logits = _at_least_single(logits)
        return functional.cross_entropy(logits, y) if y.numel() else logits.sum()

    def check(self, logits: Tensor, y: Tensor) -> None:
        """Expect int64 ``[N]`` with every value in [0, C), and at least two classes."""
        _check_logits(logits, self.name)
        nodes, classes = logits.shape
        if classes == 1:
            raise DataError(
                "single-label logits: expected at least two classes, got one, which is always "
                "right; yes or no is a multi-label task with one label"
            )
        if y.shape != (nodes,) or y.dtype != torch.int64:
            raise DataError(
                f"single-label targets: expected int64 of shape [{nodes}] (one class number per "
                f"row of the logits), got {_form(y)}"
            )
        if y.numel():
            lowest, highest = (int(value) for value in y.aminmax())
            if lowest < 0 or highest >= classes:
                raise DataError(
                    f"single-label targets: expected class numbers from 0 to {classes - 1} "
                    f"(the logits have {classes} columns), got {lowest} to {highest}"
                )


@final
@dataclass(frozen=True)
class MultiLabel(Task):
    """Each node has any of C labels: binary cross entropy, mean over nodes and classes."""

    name: ClassVar[str] = "multi-label"

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """Binary cross entropy of the sigmoid, mean over nodes and classes."""
        logits = _at_least_single(logits)
        if not y.numel():
            return logits.sum()
        return functional.binary_cross_entropy_with_logits(logits, y.to(logits.dtype))

    def check(self, logits: Tensor, y: Tensor) -> None:
        """Expect numbers or booleans of the logits' shape with every value in [0, 1]."""
        _check_logits(logits, self.name)
        if y.shape != logits.shape or y.is_complex():
            raise DataError(
                f"multi-label targets: expected numbers of shape {list(logits.shape)} "
                f"(0 or 1 for every entry of the logits), got {_form(y)}"
            )
        if y.numel():
            lowest, highest = (float(value) for value in y.to(torch.float64).aminmax())
            if not (lowest >= 0 and highest <= 1):
                raise DataError(
                    "multi-label targets: expected values from 0 to 1, "
                    f"got {lowest:g} to {highest:g}"
                )


TASKS: Mapping[str, Task] = MappingProxyType(
    {task.name: task for task in (SingleLabel(), MultiLabel())}
)


def find_task(name: str) -> Task:
    """Return the task called ``name``.

    >>> find_task("multi-label").name
    'multi-label'

    Raises:
        UnknownNameError: there is no such task; the message names the nearest one.
    """
    if name not in TASKS:
        raise UnknownNameError(f"unknown task {name!r}: {suggestion(str(name), TASKS)}")
    return TASKS[name]


def _at_least_single(logits: Tensor) -> Tensor:
    """Half-precision logits in float32: a mean over many nodes needs its digits and its range."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _check_logits(logits: Tensor, task: str) -> None:
    if logits.ndim != 2 or not logits.is_floating_point() or logits.shape[1] == 0:
        raise DataError(
            f"{task} logits: expected floating point of shape [N, C] with at least one class, "
            f"got {_form(logits)}"
        )


def _form(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {list(tensor.shape)}"
