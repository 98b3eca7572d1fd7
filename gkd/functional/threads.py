"""Threads around functions that run on one core but release Python's lock."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def in_threads(function: Callable[[Piece], Result], pieces: Sequence[Piece]) -> list[Result]:
    """Return the results of ``function`` for all pieces, in order, each in a thread of its own.

    >>> in_threads(abs, [-1, 2])
    [1, 2]
    """
    if len(pieces) < 2:
        return [function(piece) for piece in pieces]
    with ThreadPoolExecutor(len(pieces)) as pool:
        return list(pool.map(function, pieces))


def shares(count: int, least: int) -> list[slice]:
    """Split ``count`` items evenly among torch's threads, at least ``least`` items to each.

    >>> shares(10, least=6)
    [slice(0, 10, None)]
    >>> shares(0, least=6)
    []
    """
    number = max(1, min(torch.get_num_threads(), count // max(1, least))) if count else 0
    borders = [count * i // max(1, number) for i in range(number + 1)]
    return [slice(*pair) for pair in pairwise(borders)]
