"""Weights of terms as functions of the epoch: constant, a window of epochs, a linear ramp."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import final

from gkd.errors import ParameterError, suggestion


class Schedule(ABC):
    """A weight for every epoch; epochs count from 0."""

    @abstractmethod
    def weight_at(self, epoch: int) -> float:
        """Weight during ``epoch``: finite and at least 0."""


@final
@dataclass(frozen=True, slots=True)
class Window(Schedule):
    """``value`` from ``from_epoch`` up to, not including, ``until_epoch``; 0 outside.

    Without bounds the weight is constant.

    Args:
        value: weight inside the window, finite and at least 0.
        from_epoch: first epoch of the window.
        until_epoch: first epoch after the window; None for a window without end.

    Raises:
        ParameterError: an argument of the wrong type or out of its range, or an empty window.

    >>> schedule = Window(100.0, until_epoch=30)
    >>> schedule.weight_at(29), schedule.weight_at(30)
    (100.0, 0.0)
    """

    value: float
    from_epoch: int = 0
    until_epoch: int | None = None

    def __post_init__(self) -> None:
        _check_weight("value", self.value)
        _check_epoch("from_epoch", self.from_epoch, lowest=0)
        if self.until_epoch is not None:
            _check_epoch("until_epoch", self.until_epoch, lowest=self.from_epoch + 1)

    def weight_at(self, epoch: int) -> float:
        """Weight during ``epoch``."""
        ended = self.until_epoch is not None and epoch >= self.until_epoch
        return 0.0 if ended or epoch < self.from_epoch else float(self.value)


@final
@dataclass(frozen=True, slots=True)
class Linear(Schedule):
    """From ``start`` at epoch 0 linearly to ``end`` at epoch ``epochs``, and ``end`` from there on.

    Args:
        start: weight at epoch 0, finite and at least 0.
        end: weight from epoch ``epochs`` on, finite and at least 0.
        epochs: length of the ramp, at least 1.

    Raises:
        ParameterError: an argument of the wrong type or out of its range.

    >>> [Linear(0.0, 10.0, epochs=4).weight_at(epoch) for epoch in (0, 1, 4, 9)]
    [0.0, 2.5, 10.0, 10.0]
    """

    start: float
    end: float
    epochs: int

    def __post_init__(self) -> None:
        _check_weight("start", self.start)
        _check_weight("end", self.end)
        _check_epoch("epochs", self.epochs, lowest=1)

    def weight_at(self, epoch: int) -> float:
        """Weight during ``epoch``."""
        progress = min(max(epoch, 0) / self.epochs, 1.0)
        return (1.0 - progress) * self.start + progress * self.end


_FORMS: tuple[type[Window] | type[Linear], ...] = (Window, Linear)


def schedule_from(weight: float | Mapping[str, object] | Schedule) -> Schedule:
    """Schedule written as a number, as a mapping (a table of a recipe) or as itself.

    Args:
        weight: a number (constant), ``{value, from_epoch, until_epoch}`` (:class:`Window`; the
            epochs may be left out) or ``{start, end, epochs}`` (:class:`Linear`).

    Raises:
        ParameterError: not one of these forms, or a value out of its range.

    >>> schedule_from(100.0)
    Window(value=100.0, from_epoch=0, until_epoch=None)
    >>> schedule_from({"start": 0.0, "end": 100.0, "epochs": 20}).weight_at(10)
    50.0
    """
    if isinstance(weight, Schedule):
        return weight
    if not isinstance(weight, Mapping):
        _check_weight("weight", weight)
        return Window(weight)
    # The form that shares most keys is the one that was meant: its fields make the better message.
    form = max(_FORMS, key=lambda form: len(weight.keys() & _names(form)))
    if unknown := [str(key) for key in weight if key not in _names(form)]:
        hint = suggestion(unknown[0], _names(form))
        raise ParameterError(f"weight: unknown key {unknown[0]!r} beside {_forms()}; {hint}")
    required = [field.name for field in fields(form) if field.default is MISSING]
    if missing := [name for name in required if name not in weight]:
        raise ParameterError(f"weight: {missing[0]!r} is missing; expected {_forms()}")
    return form(**weight)  # type: ignore[arg-type]  # __post_init__ checks the values


def _names(form: type[Window] | type[Linear]) -> set[str]:
    return {field.name for field in fields(form)}


def _forms() -> str:
    return " or ".join("{" + ", ".join(f.name for f in fields(form)) + "}" for form in _FORMS)


def _check_weight(argument: str, value: object) -> None:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ParameterError(f"{argument}: expected a finite number >= 0, got {value!r}")


def _check_epoch(argument: str, value: object, lowest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
        raise ParameterError(f"{argument}: expected a whole number >= {lowest}, got {value!r}")
