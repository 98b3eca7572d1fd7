"""What the losses of this plugin ask of their arguments and of the two views."""

import math
from collections.abc import Iterable
from typing import TypeGuard

import torch
from torch import Tensor

from gkd import View
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


def paired_logits(student: View, teacher: View, loss: str) -> tuple[Tensor, Tensor]:
    """Logits ``[N, C]`` of both networks, at least float32, the teacher's detached.

    Raises:
        ParameterError: a view without logits, or logits of different shapes.
    """
    ours = _matrix(student.require_logits(loss), loss, "the student's logits")
    theirs = _matrix(teacher.require_logits(loss), loss, "the teacher's logits").detach()
    if ours.shape != theirs.shape:
        raise ParameterError(
            f"{loss}: expected logits of equal shapes [N, C], got {list(ours.shape)} from the "
            f"student and {list(theirs.shape)} from the teacher"
        )
    return ours, theirs


def paired_features(student: View, teacher: View, loss: str) -> tuple[Tensor, Tensor]:
    """Features ``[N, F]`` of both networks, at least float32, the teacher's detached.

    Raises:
        ParameterError: a view without features, or different numbers of nodes.
    """
    ours = _matrix(student.require_features(loss), loss, "the student's features")
    theirs = _matrix(teacher.require_features(loss), loss, "the teacher's features").detach()
    if len(ours) != len(theirs):
        raise ParameterError(
            f"{loss}: expected features of the same nodes, got {len(ours)} rows from the student "
            f"and {len(theirs)} from the teacher"
        )
    return ours, theirs


def _matrix(values: Tensor, loss: str, what: str) -> Tensor:
    if values.ndim != 2 or values.shape[1] == 0 or not values.is_floating_point():
        raise ParameterError(
            f"{loss}: expected {what} as floating point of shape [N, channels] with at least one "
            f"channel, got {values.dtype} of shape {list(values.shape)}"
        )
    # Half precision has neither the range for squares nor the digits for means over many nodes.
    return values.to(torch.promote_types(values.dtype, torch.float32))
