"""What the losses of this plugin ask of their arguments."""

import math
from collections.abc import Iterable
from typing import TypeGuard

from gkd.errors import ParameterError, suggestion


def is_finite_number(value: object) -> TypeGuard[float]:
    """Whether ``value`` is an int or a float (not a bool), and neither NaN nor infinite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_whole_number(value: object) -> TypeGuard[int]:
    """Whether ``value`` is an int and not a bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def require(fits: bool, argument: str, expected: str, value: object) -> None:
    """Raise :class:`ParameterError` naming the argument, the expectation and the value."""
    if not fits:
        raise ParameterError(f"{argument}: expected {expected}, got {value!r}")


def require_choice(argument: str, value: object, choices: Iterable[str]) -> None:
    """Raise :class:`ParameterError`, naming the nearest choice, unless ``value`` is one."""
    known = tuple(choices)
    if value not in known:
        raise ParameterError(
            f"{argument}: unknown choice {value!r}; {suggestion(str(value), known)}"
        )
