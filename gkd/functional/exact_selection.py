"""The nearest points of every point, as exact arithmetic has them."""

import torch
from torch import Tensor

from gkd.functional.distance_tiles import Tile, centred
from gkd.functional.selection import Selection, nearest


def exactly_nearest(tile: Tile, k: int, features: Tensor) -> Tensor:
    """Return the k nearest points of every point of a tile, int64 ``[b, r, k]``, ascending.

    Points that are not certain choose again, by distances in float64.

    Args:
        tile: over clouds of more than k points.
        k: at least 1.
        features: ``[N, C]``, those that the tile was made of.
    """
    selection = nearest(tile, k)
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
    values, candidates = squares.topk(most, dim=1, largest=False)
    start = tile.starts[cloud]
    last = len(features) - 1  # a smaller cloud has rows beyond its points
    point = features[(start + tile.first + row).clamp_(max=last)].double()
    others = features[(start[:, None] + candidates).clamp_(max=last)].double()
    apart = others - point[:, None]
    exact = torch.linalg.vecdot(apart, apart)
    exact.masked_fill_(values > limit, torch.inf)
    exact.masked_fill_(candidates == (tile.first + row)[:, None], -torch.inf)
    k = selection.columns.shape[2]
    chosen = exact.topk(k, dim=1, largest=False, sorted=False).indices
    selection.columns[cloud, row] = candidates.gather(1, chosen).sort(dim=1).values


def _choose_among_all(selection: Selection, features: Tensor, tile: Tile) -> None:
    """Choose again among all points of the cloud."""
    columns, unsure = selection.columns, ~selection.certain
    number, k = int(unsure.sum(dim=1).max()), columns.shape[2]
    row = unsure.to(torch.uint8).topk(number, dim=1).indices[:, :, None]
    points, _, ends = centred(features, tile.clouds, torch.float64)
    queries = points.gather(1, (row + tile.first).expand(-1, -1, points.shape[2]))
    squares = torch.baddbmm(ends[:, None], queries, points.transpose(1, 2), alpha=-2)
    squares.scatter_(2, row + tile.first, -torch.inf)
    chosen = squares.topk(k, dim=2, largest=False, sorted=False).indices.sort(dim=2).values
    columns.scatter_(1, row.expand(-1, -1, k), chosen)
