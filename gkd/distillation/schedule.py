"""Weights of losses: constant, a window of epochs, a ramp, a share of the gradient, learned."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Literal, TypeAlias, final

from gkd.errors import ParameterError, suggestion


class Schedule(ABC):
    """A weight for every epoch, by the number of epochs that are over: 0 in the first.

    What a run prints and records counts epochs from 1.
    """

    @abstractmethod
    def weight_at(self, epoch: int) -> float:
        """Weight after so many epochs: finite and at least 0."""


@final
@dataclass(frozen=True, slots=True)
class Window(Schedule):
    """``value`` after ``from_epoch`` epochs, until ``until_epoch`` are over; 0 outside.

    Both are numbers of epochs: ``Window(100.0, from_epoch=2, until_epoch=30)`` leaves out two, and
    acts in those that a run calls 3 to 30. Without bounds the weight is constant.

    Args:
        value: weight inside the window, finite and at least 0.
        from_epoch: how many epochs are over when the window begins.
        until_epoch: how many are over when it ends; None for a window without end.

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
    """From ``start`` in the first epoch linearly to ``end`` after ``epochs``, and so from there on.

    Args:
        start: weight in the first epoch, finite and at least 0.
        end: weight after ``epochs`` epochs, finite and at least 0.
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


@final
@dataclass(frozen=True, slots=True)
class GradientShare:
    """The weight with which a term's gradient has this ratio to the task's, where the term acts.

    Weights do not mean the same from one loss, width and network to the next; shares do. A share
    of 0.3 says that the term pulls the features that it compares a third as hard as the labels do.

    Args:
        gradient_share: above 0.
        every: steps of an epoch from one measurement to the next, the first step included.
        smoothing: what the measurements before count beside a new one.
        ceiling: the largest weight. A term that would need more is as good as dead: made of such
            small numbers, its gradient is rounding, and not to be amplified.

    Raises:
        ParameterError: an argument of the wrong type or out of its range.

    >>> GradientShare(0.3)
    GradientShare(gradient_share=0.3, every=50, smoothing=0.9, ceiling=10000.0)
    """

    gradient_share: float
    every: int = 50
    smoothing: float = 0.9
    ceiling: float = 1e4

    def __post_init__(self) -> None:
        for name in ("gradient_share", "ceiling"):
            _check_positive(name, getattr(self, name))
        _check_epoch("every", self.every, lowest=1)
        _check_weight("smoothing", self.smoothing)
        if self.smoothing >= 1:
            raise ParameterError(f"smoothing: expected a number below 1, got {self.smoothing!r}")


@final
@dataclass(frozen=True, slots=True)
class LearnedWeight:
    r"""A weight that is learned beside the networks, by the same optimiser.

    The total has :math:`w L - \tfrac{1}{2} \log w` of the loss L, which is least where
    :math:`w = 1 / (2 L)`; see :class:`gkd.distillation.learned_weights.LearnedWeights`.

    Args:
        learned: ``"uncertainty"`` (Kendall, Gal, Cipolla, CVPR 2018).
        start: weight before the first step, above 0.
        ceiling: the largest weight: a loss that becomes ever smaller would have an ever larger one.

    Raises:
        ParameterError: an argument of the wrong type or out of its range.

    >>> LearnedWeight("uncertainty")
    LearnedWeight(learned='uncertainty', start=1.0, ceiling=10000.0)
    """

    learned: Literal["uncertainty"]
    start: float = 1.0
    ceiling: float = 1e4

    def __post_init__(self) -> None:
        if self.learned != "uncertainty":
            raise ParameterError(f"learned: expected 'uncertainty', got {self.learned!r}")
        for name in ("start", "ceiling"):
            _check_positive(name, getattr(self, name))
        if self.start > self.ceiling:
            raise ParameterError(
                f"start: expected a number up to the ceiling {self.ceiling!r}, got {self.start!r}"
            )


Weight: TypeAlias = Schedule | GradientShare | LearnedWeight
"""The weight of a term."""

TaskWeight: TypeAlias = Schedule | LearnedWeight
"""The weight of the task's loss, which has no share of itself."""

_Form: TypeAlias = type[Window] | type[Linear] | type[GradientShare] | type[LearnedWeight]
_SCHEDULES: tuple[_Form, ...] = (Window, Linear)


def schedule_from(weight: float | Mapping[str, object] | Schedule) -> Schedule:
    """Schedule written as a number, as a mapping (a table of a recipe) or as itself.

    Args:
        weight: a number (constant), ``{value, from_epoch, until_epoch}`` (:class:`Window`; the
            epochs may be left out), after so many epochs and until so many are over; or
            ``{start, end, epochs}`` (:class:`Linear`), in so many epochs from one to the other.

    Raises:
        ParameterError: not one of these forms, or a value out of its range.

    >>> schedule_from(100.0)
    Window(value=100.0, from_epoch=0, until_epoch=None)
    >>> schedule_from({"start": 0.0, "end": 100.0, "epochs": 20}).weight_at(10)
    50.0
    """
    found = _read(weight, _SCHEDULES)
    assert isinstance(found, Schedule)
    return found


def task_weight_from(weight: float | Mapping[str, object] | TaskWeight) -> TaskWeight:
    """Return the weight of the task's loss, which may be learned, too.

    Args:
        weight: as of :func:`schedule_from`, or ``{learned, start, ceiling}``
            (:class:`LearnedWeight`; all but the first may be left out).

    Raises:
        ParameterError: not one of these forms, or a value out of its range.

    >>> task_weight_from({"learned": "uncertainty", "start": 0.5})
    LearnedWeight(learned='uncertainty', start=0.5, ceiling=10000.0)
    """
    found = _read(weight, (*_SCHEDULES, LearnedWeight))
    assert not isinstance(found, GradientShare)
    return found


def weight_from(weight: float | Mapping[str, object] | Weight) -> Weight:
    """Return the weight of a term, which may be a share of the gradient, too.

    Args:
        weight: as of :func:`task_weight_from`, or ``{gradient_share, every, smoothing, ceiling}``
            (:class:`GradientShare`; all but the first may be left out).

    Raises:
        ParameterError: not one of these forms, or a value out of its range.

    >>> weight_from({"gradient_share": 0.3, "ceiling": 100.0})
    GradientShare(gradient_share=0.3, every=50, smoothing=0.9, ceiling=100.0)
    """
    return _read(weight, (*_SCHEDULES, GradientShare, LearnedWeight))


def _read(weight: object, forms: Sequence[_Form]) -> Weight:
    if isinstance(weight, Schedule) or type(weight) in forms:
        return weight  # type: ignore[return-value]  # of one of the forms
    if not isinstance(weight, Mapping):
        _check_weight("weight", weight)
        return Window(weight)  # type: ignore[arg-type]  # it is a number
    # The form that shares most keys is the one that was meant: its fields make the better message.
    form = max(forms, key=lambda form: len(weight.keys() & _names(form)))
    said = " or ".join("{" + ", ".join(f.name for f in fields(form)) + "}" for form in forms)
    if unknown := [str(key) for key in weight if key not in _names(form)]:
        # Where no key is known, nobody knows which form was meant.
        meant = [form] if weight.keys() & _names(form) else forms
        hint = suggestion(unknown[0], {name for each in meant for name in _names(each)})
        raise ParameterError(f"weight: unknown key {unknown[0]!r} beside {said}; {hint}")
    required = [field.name for field in fields(form) if field.default is MISSING]
    if missing := [name for name in required if name not in weight]:
        raise ParameterError(f"weight: {missing[0]!r} is missing; expected {said}")
    return form(**weight)


def _names(form: _Form) -> set[str]:
    return {field.name for field in fields(form)}


def _check_weight(argument: str, value: object) -> None:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ParameterError(f"{argument}: expected a finite number >= 0, got {value!r}")


def _check_positive(argument: str, value: object) -> None:
    _check_weight(argument, value)
    if value == 0:
        raise ParameterError(f"{argument}: expected a number > 0, got 0")


def _check_epoch(argument: str, value: object, lowest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
        raise ParameterError(f"{argument}: expected a whole number >= {lowest}, got {value!r}")
