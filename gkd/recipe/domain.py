"""What a sweep may try for a key of a recipe: a range of numbers, or a list of choices."""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

from gkd.errors import ParameterError, shown

_NUMBER = r"[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\s*\.\.\s*({_NUMBER})(\s+log)?(?:\s+step\s+({_NUMBER}))?")
_LARGEST = 1e15  # whole numbers up to here are floats, too
_EXPECTED = 'a range such as "1..1000 log" or "8..64 step 8", or a list of choices'


@dataclass(frozen=True)
class Range:
    """All numbers from ``low`` to ``high``, both included.

    Args:
        low: at least this.
        high: at most this.
        log: whether they are looked at by their logarithms.
        step: distance between two neighbours, counted from ``low``; None for all numbers.
        integers: whether they are whole.

    >>> 8 in Range(1, 64, integers=True), 0.5 in Range(1.0, 2.0)
    (True, False)
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    integers: bool = False

    @property
    def size(self) -> float:
        """How many values there are."""
        if self.step is None and not self.integers:
            return math.inf
        return math.floor((self.high - self.low) / (self.step or 1) + 1e-9) + 1

    @property
    def extremes(self) -> tuple[Any, ...]:
        """Values that have to be valid if all are to be."""
        return self.low, self.high

    def nearest(self, value: float) -> float:
        """Return the value of a range with steps that is meant by one, which may be rounded."""
        step = self.step or 1
        return self.low + round((value - self.low) / step) * step

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not self.low <= value <= self.high or (self.integers and not isinstance(value, int)):
            return False
        steps = 0 if self.step is None else (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-9

    def __str__(self) -> str:
        log = " log" if self.log else ""
        step = "" if self.step is None else f" step {self.step!r}"
        return f"{self.low!r}..{self.high!r}{log}{step}"


@dataclass(frozen=True)
class Choices:
    """Some values of any kind, each of which TOML can write."""

    values: tuple[Any, ...]

    @property
    def size(self) -> float:
        """How many values there are."""
        return len(self.values)

    @property
    def extremes(self) -> tuple[Any, ...]:
        """Values that have to be valid if all are to be."""
        return self.values

    def __contains__(self, value: object) -> bool:
        return self.find(value) is not None

    def find(self, value: object) -> int | None:
        """Return the number of the choice that a value is, as recipes compare them: 1 is 1.0."""
        for number, one in enumerate(self.values):
            if one == value and isinstance(one, bool) == isinstance(value, bool):
                return number
        return None

    def __str__(self) -> str:
        return ", ".join(map(label, self.values))


Domain: TypeAlias = Range | Choices


def domain_from(value: Any) -> Domain:
    """Read a domain as recipes write it.

    Numbers of a range are whole where both ends are written so.

    Raises:
        ParameterError: it is none.

    >>> domain_from("1e-4..0.1 log")
    Range(low=0.0001, high=0.1, log=True, step=None, integers=False)
    >>> domain_from(["rbf", "linear"])
    Choices(values=('rbf', 'linear'))
    """
    if isinstance(value, list):
        return _choices(value)
    match = _RANGE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ParameterError(f"must be {_EXPECTED}, got {shown(value)}")
    low, high, log, step = match.groups()
    integers = all(re.fullmatch(r"[+-]?\d+", end) for end in (low, high))
    number = int if integers else float
    return check_range(
        Range(number(low), number(high), log is not None, _step(step, integers), integers)
    )


def check_range(found: Range) -> Range:
    """Return a range if there is anything in it.

    Raises:
        ParameterError: there is not, or it contradicts itself.
    """
    if not all(-_LARGEST <= end <= _LARGEST for end in (found.low, found.high)):
        raise ParameterError(f"a range must have ends of a size up to {_LARGEST:.0e}")
    if found.low >= found.high:
        raise ParameterError(f"the range {found} must begin below its end")
    if found.log and found.low <= 0:
        raise ParameterError(f"the range {found} has logarithms only above 0")
    if found.step is not None:
        if found.log:
            raise ParameterError(f"the range {found} must have either a step or log")
        if not 0 < found.step <= found.high - found.low:
            raise ParameterError(f"the range {found} must have a step > 0 that fits into it")
    return found


def label(value: Any) -> str:
    """Return a value in one line that is another for every value.

    >>> label("rbf"), label(0.5), label({"gradient_share": 0.3})
    ('rbf', '0.5', '{"gradient_share": 0.3}')
    >>> label("0.5")
    '"0.5"'
    """
    text = json.dumps(value, ensure_ascii=False, default=str)
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z_][^\s\"\[\]{}]*", value)
    return value if plain and value not in {"true", "false", "null"} else text


def _choices(values: list[Any]) -> Choices:
    if len(values) < 2:
        raise ParameterError(f"must be {_EXPECTED} of at least two, got {shown(values)}")
    labels = list(map(label, values))
    for one in labels:
        if labels.count(one) > 1:
            raise ParameterError(f"has the choice {one} more than once")
    return Choices(tuple(values))


def _step(text: str | None, integers: bool) -> float | None:
    if text is None:
        return None
    if integers and not re.fullmatch(r"\+?\d+", text):
        raise ParameterError(f"a range of whole numbers must have a whole step, got {text}")
    return int(text) if integers else float(text)
