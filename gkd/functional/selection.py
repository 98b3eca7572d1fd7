"""The k smallest entries of every row, and whether they are so beyond rounding."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gkd.functional.distance_tiles import Tile

_GROUPS_PER_NEIGHBOUR = 4  # at most


class Selection(NamedTuple):
    """Columns of the smallest entries.

    Attributes:
        columns: int64 ``[b, r, k]``, ascending; of no meaning in rows that are not certain.
        certain: bool ``[b, r]``, whether the entries left out are larger by more than rounding.
        limit: ``[b, r]``, what the k smallest entries do not exceed, whatever was rounded.
    """

    columns: Tensor
    certain: Tensor
    limit: Tensor


def nearest(tile: Tile, k: int) -> Selection:
    """Return the k nearest points of every point of a tile.

    Args:
        tile: over clouds of more than k points.
        k: at least 1.
    """
    select = _by_bounds if tile.squares.device.type == "cpu" else _by_topk
    return select(tile, k)


def _by_topk(tile: Tile, k: int) -> Selection:
    values, columns = tile.squares.topk(k + 1, dim=2, largest=False)
    limit = values[..., k - 1] + tile.slack(values[..., k - 1])
    return Selection(columns[..., :k].sort(dim=2).values, values[..., k] > limit, limit)


def _by_bounds(tile: Tile, k: int) -> Selection:
    """Find the few entries that can be among the k smallest, then choose among these.

    The k-th smallest of the minima of disjoint groups of columns is a bound for the k-th smallest
    entry, seldom exceeded by much more than k entries. Minima, comparison and search are
    vectorised, and partition runs on a tenth of the row: five times as fast as topk.
    """
    size = tile.squares.shape[2]
    groups = min(size, 2 ** int(math.log2(_GROUPS_PER_NEIGHBOUR * k)))  # whole vector registers
    members = size // groups
    grouped = torch.unflatten(tile.squares[:, :, : groups * members], 2, (members, groups))
    minima = grouped.amin(2)
    kth = np.partition(minima.numpy(), k - 1, axis=2)[:, :, k - 1]
    slack = tile.slack(torch.from_numpy(kth)).flatten().numpy()
    squares, bound = tile.squares.flatten(0, 1).numpy(), kth.ravel() + slack

    columns, certain, limit = map(torch.from_numpy, _smallest(squares, bound, slack, k))
    return Selection(columns.view(*kth.shape, k), certain.view(kth.shape), limit.view(kth.shape))


def _smallest(
    squares: np.ndarray, bound: np.ndarray, slack: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what :class:`Selection` holds, for R rows."""
    num_rows, size = squares.shape
    place = np.flatnonzero(squares <= bound[:, None])
    row, value = place // size, squares.reshape(-1)[place]
    count = np.bincount(row, minlength=num_rows)
    candidates = np.full((num_rows, count.max()), np.inf, squares.dtype)
    candidates[np.arange(count.max()) < count[:, None]] = value
    limit = np.partition(candidates, k - 1, axis=1)[:, k - 1] + slack
    near = value <= np.repeat(limit, count)
    certain = np.bincount(row, near, num_rows) == k
    columns = np.zeros((num_rows, k), np.int64)
    chosen = near & certain[row]
    columns[certain] = (place - row * size)[chosen].reshape(-1, k)
    return columns, certain, limit
