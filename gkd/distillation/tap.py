"""A tap's name, and the value it stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from gkd.errors import TapError

_TAP = re.compile(r"(?P<path>[^#\[\]]*)(#(?P<call>\d+))?(?P<items>(\[[^\[\]]+\])*)")


@dataclass(frozen=True, slots=True)
class Tap:
    """A place in a network: a sub-module, one of its calls, an item of its output.

    Args:
        path: name of the sub-module as in ``named_modules()``; empty for the network itself.
        call: which of several calls in one forward pass, from 0; None where there is one.
        items: keys or positions that lead to the value inside a tuple or mapping.

    >>> Tap.parse("encoder.layers.1")
    Tap(path='encoder.layers.1', call=None, items=())
    >>> Tap.parse("cell#2[hidden][0]")
    Tap(path='cell', call=2, items=('hidden', '0'))
    """

    path: str
    call: int | None = None
    items: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Tap:
        """Read ``path``, ``path#call``, ``path[item]`` or ``path#call[item][item]``.

        Raises:
            TapError: any other form.
        """
        match = _TAP.fullmatch(text)
        if match is None:
            raise TapError(
                f"{text!r} is not a tap: expected the path of a sub-module, then #0 for the first "
                "of several calls, then [0] or [key] for an item of its output"
            )
        call = None if match["call"] is None else int(match["call"])
        return cls(match["path"], call, tuple(re.findall(r"\[([^\]]+)\]", match["items"])))

    def __str__(self) -> str:
        call = "" if self.call is None else f"#{self.call}"
        return f"{self.path}{call}{''.join(f'[{item}]' for item in self.items)}"


def item_of(output: object, items: tuple[str, ...], place: str) -> object:
    """Return the item of a module's output that ``items`` lead to.

    Raises:
        TapError: there is no such item; the message starts with ``place``.
    """
    for item in items:
        choices = items_in(output)
        if item not in choices:
            holds = f"items {', '.join(choices)}" if choices else "no items"
            raise TapError(f"{place}: no item [{item}]; {described(output)} has {holds}")
        output = choices[item]
    return output


def features_of(value: object, place: str) -> Tensor:
    """Return ``value`` if it is a floating point tensor ``[N, F]`` or ``[B, N, F]``.

    Raises:
        TapError: it is not; the message starts with ``place``.
    """
    if not isinstance(value, Tensor):
        choices = ", ".join(f"[{item}]" for item in items_in(value))
        hint = f"; append one of: {choices}" if choices else ""
        raise TapError(f"{place} yields {described(value)}, not a tensor{hint}")
    if value.ndim not in (2, 3) or not value.is_floating_point():
        raise TapError(
            f"{place} yields {described(value)}; expected floating point features of shape "
            "[N, F] or [B, N, F]"
        )
    return value


def described(value: object) -> str:
    """Short description of a module's output, for messages."""
    if isinstance(value, Tensor):
        return f"a {str(value.dtype).removeprefix('torch.')} tensor of shape {list(value.shape)}"
    if isinstance(value, tuple | list | Mapping):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def items_in(output: object) -> dict[str, object]:
    """Items of a tuple, list or mapping by what a tap calls them; empty for anything else."""
    if isinstance(output, Mapping):
        return {str(key): value for key, value in output.items()}
    if isinstance(output, tuple | list):
        return {str(position): value for position, value in enumerate(output)}
    return {}
