"""The k nearest points of every point, as exact arithmetic has them."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gkd.functional.compiled_loops import loop_for
from gkd.functional.distance_tiles import Tile, centre_clouds

# How many groups of columns bound a row: more bound it closer, and take longer themselves.
_GROUPS_PER_NEIGHBOUR = 4  # at most
_LEAST_MEMBERS = 8  # of a group; shorter rows are better divided as they are
# In compiled loops, which compare the minima of all groups with one another:
_LOOP_GROUPS_PER_NEIGHBOUR = 1.25  # at least
_LEAST_GROUPS, _MOST_GROUPS = 16, 256  # the least fill a vector


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


def exactly_nearest(tile: Tile, k: int, features: Tensor) -> Tensor:
    """Return the k nearest points of every point of a tile, int64 ``[b, r, k]``, ascending.

    Points that are not certain choose again, by distances in float64.

    Args:
        tile: over clouds of more than k points.
        k: at least 1.
        features: ``[N, C]``, those that the tile was made of.
    """
    selection = nearest(tile, k, features)
    if not bool(selection.certain.all()):
        _choose_again(selection, features, tile)
    return selection.columns


def _choose_again(selection: Selection, features: Tensor, tile: Tile) -> None:
    cloud, row = (~selection.certain).nonzero().unbind(1)
    squares, limit = tile.squares[cloud, row], selection.limit[cloud, row, None]
    most = int((squares <= limit).sum(dim=1).max())
    # Seldom more than two or three candidates for the last places; where many points coincide, all.
    if len(row) * most > len(tile.clouds) * squares.shape[1]:
        _choose_among_all(selection, features, tile)
        return
    # Distances again, from differences of features in float64: those of the tile are differences
    # of products, which cancel.
    values, candidates = squares.topk(most, dim=1, largest=False)
    start = tile.starts[cloud]
    last = len(features) - 1  # a smaller cloud has rows beyond its points
    point = features[(start + tile.first + row).clamp_(max=last)].double()
    others = features[(start[:, None] + candidates).clamp_(max=last)].double()
    apart = others - point[:, None]
    exact = torch.linalg.vecdot(apart, apart)
    # Rows have fewer candidates than the row with most; the point itself comes first.
    exact.masked_fill_(values > limit, torch.inf)
    exact.masked_fill_(candidates == (tile.first + row)[:, None], -torch.inf)
    k = selection.columns.shape[2]
    chosen = exact.topk(k, dim=1, largest=False, sorted=False).indices
    selection.columns[cloud, row] = candidates.gather(1, chosen).sort(dim=1).values


def _choose_among_all(selection: Selection, features: Tensor, tile: Tile) -> None:
    """Choose again among all points of the cloud."""
    # By one product of each cloud, in float64: gathered pairs would be as many as all distances.
    columns, unsure = selection.columns, ~selection.certain
    number, k = int(unsure.sum(dim=1).max()), columns.shape[2]
    # As many rows of each cloud as the one with most has; what was certain turns out the same.
    row = unsure.to(torch.uint8).topk(number, dim=1).indices[:, :, None]
    points, _, ends = centre_clouds(features, tile.clouds, torch.float64)
    queries = points.gather(1, (row + tile.first).expand(-1, -1, points.shape[2]))
    squares = torch.baddbmm(ends[:, None], queries, points.transpose(1, 2), alpha=-2)
    squares.scatter_(2, row + tile.first, -torch.inf)
    chosen = squares.topk(k, dim=2, largest=False, sorted=False).indices.sort(dim=2).values
    columns.scatter_(1, row.expand(-1, -1, k), chosen)


def nearest(tile: Tile, k: int, features: Tensor) -> Selection:
    """Return the k nearest points of every point of a tile, and whether they are so for certain.

    Args:
        tile: over clouds of more than k points.
        k: at least 1.
        features: ``[N, C]``, those that the tile was made of.
    """
    if tile.products.device.type != "cpu":
        return _by_topk(tile, k)
    # On CPU topk alone would take two thirds of the time of a search.
    return _by_loops(tile, k, features) or _by_numpy(tile, k)


def _by_topk(tile: Tile, k: int) -> Selection:
    # One more than is wanted: how far the next one is tells whether the choice is certain.
    values, columns = tile.squares.topk(k + 1, dim=2, largest=False)
    limit = values[..., k - 1] + tile.slack(values[..., k - 1])
    return Selection(columns[..., :k].sort(dim=2).values, values[..., k] > limit, limit)


def _by_numpy(tile: Tile, k: int) -> Selection:
    # Whole vector registers of them.
    groups = max(_LEAST_GROUPS, 2 ** math.floor(math.log2(_GROUPS_PER_NEIGHBOUR * k)))
    long = tile.ends.shape[1] >= _LEAST_MEMBERS * groups
    return _by_bounds(tile, k, groups) if long else _by_partition(tile, k)


def _by_partition(tile: Tile, k: int) -> Selection:
    """Find the k-th smallest entry, then what does not exceed it."""
    # torch's topk takes six times as long as numpy, which partitions by vector instructions.
    squares = tile.squares.flatten(0, 1).numpy()
    kth = np.partition(squares, k - 1, axis=1)[:, k - 1]
    limit = kth + _slack(tile, kth)
    place = np.flatnonzero(squares <= limit[:, None])
    return _selection(tile, place, limit, k)


def _by_bounds(tile: Tile, k: int, groups: int) -> Selection:
    """Find the few entries that can be among the k smallest, then choose among these.

    The k-th smallest of the minima of disjoint groups of columns is a bound for the k-th smallest
    entry, seldom exceeded by much more than k entries. Minima, comparison and search are
    vectorised, and partition runs on a tenth of the row: five times as fast as topk.
    """
    # The groups take turns along a row: a minimum is one of whole vector registers.
    members = tile.squares.shape[2] // groups
    grouped = torch.unflatten(tile.squares[:, :, : groups * members], 2, (members, groups))
    minima = grouped.amin(2).flatten(0, 1).numpy()
    kth = np.partition(minima, k - 1, axis=1)[:, k - 1]
    slack = _slack(tile, kth)
    squares, bound = tile.squares.flatten(0, 1).numpy(), kth + slack

    # Candidates of all rows one after another, then as the rows of a matrix, padded with infinity.
    place = np.flatnonzero(squares <= bound[:, None])
    value = squares.reshape(-1)[place]
    count = np.bincount(place // squares.shape[1], minlength=len(squares))
    candidates = np.full((len(squares), count.max()), np.inf, squares.dtype)
    candidates[np.arange(count.max()) < count[:, None]] = value
    limit = np.partition(candidates, k - 1, axis=1)[:, k - 1] + slack
    return _selection(tile, place[value <= np.repeat(limit, count)], limit, k)


def _by_loops(tile: Tile, k: int, features: Tensor) -> Selection | None:
    """Do what :func:`_by_bounds` does in a fraction of its time; settle what rounding leaves open.

    None where there is no compiled loop, or rows are so short, or neighbours so many, that others
    are faster.
    """
    products, shape = tile.products, tile.norms.shape
    size = products.shape[2]
    groups = max(_LEAST_GROUPS, 2 ** math.ceil(math.log2(_LOOP_GROUPS_PER_NEIGHBOUR * k)))
    loop = loop_for("selection_loops", "nearest", products)
    if loop is None or groups > min(size, _MOST_GROUPS):
        return None
    columns = torch.zeros(*shape, k, dtype=torch.int64)
    certain, limit = torch.empty(shape, dtype=torch.bool), products.new_empty(shape)
    loop(
        products,
        tile.ends,
        tile.norms.contiguous(),
        torch.tensor(tile.clouds),
        *shape,
        size,
        tile.first,
        k,
        groups,
        tile.precision,
        torch.finfo(products.dtype).tiny,
        features,
        features.shape[1],
        products.new_empty(groups),
        products.new_empty(size + _LEAST_GROUPS),
        columns.new_empty(size + 1),
        columns,
        certain,
        limit,
    )
    return Selection(columns, certain, limit)


def _slack(tile: Tile, squares: np.ndarray) -> np.ndarray:
    slack: np.ndarray = tile.slack(torch.from_numpy(squares).view_as(tile.norms)).flatten().numpy()
    return slack


def _selection(tile: Tile, place: np.ndarray, limit: np.ndarray, k: int) -> Selection:
    """Return what is known from the places of all entries up to the limit of each row."""
    size = tile.squares.shape[2]
    row = place // size
    # More than k within the limit: some of them are as near as the k-th, but for rounding.
    certain = np.bincount(row, minlength=len(limit)) == k
    if certain.all():
        columns = (place - row * size).reshape(-1, k)
    else:
        columns = np.zeros((len(limit), k), np.int64)
        chosen = certain[row]
        columns[certain] = (place - row * size)[chosen].reshape(-1, k)
    shape = tile.norms.shape
    return Selection(
        torch.from_numpy(columns).view(*shape, k),
        torch.from_numpy(certain).view(shape),
        torch.from_numpy(limit).view(shape),
    )
