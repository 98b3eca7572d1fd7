"""Nearest neighbours, and neighbours within a radius, in memory of the size of the result.

Distances are computed in the precision of the features. Where rounding could change the outcome
they are computed again in float64, so that the result is that of exact arithmetic, except for the
choice among points at equal distance.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain

import torch
from torch import Tensor

from gkd.eager import eagerly
from gkd.errors import DataError
from gkd.functional.distance_tiles import Cloud, Tile, block_of, distance_tiles, portions
from gkd.functional.selection import exactly_nearest
from gkd.functional.threads import Share, in_threads

# Whose squares can be added up over any number of channels.
_LARGEST = {torch.float32: 1e16, torch.float64: 1e150}
_GATHERED_ELEMENTS = 2**20


@eagerly
@torch.inference_mode(mode=False)
@torch.no_grad()
def nearest_neighbours(features: Tensor, sizes: Sequence[int], k: int) -> Tensor:
    """Each point's k nearest points of its own cloud, the point itself always among them.

    Args:
        features: floating-point ``[N, C]``; half precision is raised to float32.
        sizes: number of points of each cloud, N in all: the clouds lie one after another.
        k: at least 1. In a cloud of fewer points every point gets all of them.

    Returns:
        Row numbers of ``features``, int64 ``[N, K]``, with K the smaller of k and the size of the
        largest cloud; -1 where a cloud has no more points.

    Raises:
        DataError: a feature is not finite, or so large that its square is not.

    >>> nearest_neighbours(torch.tensor([[0.0], [5.0], [2.0], [0.0]]), sizes=[3, 1], k=2)
    tensor([[ 0,  2],
            [ 1,  2],
            [ 0,  2],
            [ 3, -1]])
    """
    x, clouds = comparable(features, sizes), _clouds(sizes)
    # Rows of -1, so that a cloud of fewer points needs no more than its own columns.
    result = torch.full((len(x), min(k, max(sizes, default=0))), -1, device=x.device)
    for start, size in clouds:
        if size <= k:
            result[start : start + size, :size] = torch.arange(start, start + size, device=x.device)
    larger = [cloud for cloud in clouds if cloud.size > k]

    def search(share: Share) -> None:
        # Here and not around the whole: autocast holds for the thread that sets it.
        with torch.autocast(x.device.type, enabled=False):
            for tile in distance_tiles(x, larger, share):
                _place(result, x, tile, k)

    in_threads(search, portions(x, larger))
    return result


@eagerly
@torch.inference_mode(mode=False)
@torch.no_grad()
def radius_edges(features: Tensor, sizes: Sequence[int], radius: float) -> Tensor:
    r"""Edges from all points of the same cloud at a distance of at most ``radius``.

    .. math:: j \to i \Leftrightarrow \|x_i - x_j\| \le r

    Args:
        features: floating-point ``[N, C]``; half precision is raised to float32.
        sizes: number of points of each cloud, N in all: the clouds lie one after another.
        radius: r, positive, in units of the features; rounded to their precision.

    Returns:
        int64 ``[2, E]``, sources and targets; every point is its own neighbour.

    Raises:
        DataError: a feature is not finite, or so large that its square is not.

    >>> radius_edges(torch.tensor([[0.0], [0.5], [2.0]]), sizes=[3], radius=0.5)
    tensor([[0, 1, 0, 1, 2],
            [0, 0, 1, 1, 2]])
    """
    x, clouds = comparable(features, sizes), _clouds(sizes)
    # A radius of 0.1 is no float32: points at a distance of 0.1 in float32 are to be within it.
    rounded = float(features.new_tensor(radius))
    square = rounded * rounded

    def search(share: Share) -> list[Tensor]:
        with torch.autocast(x.device.type, enabled=False):
            return [_within(x, tile, square) for tile in distance_tiles(x, clouds, share)]

    none = torch.zeros(2, 0, dtype=torch.int64, device=x.device)
    return torch.cat([none, *chain(*in_threads(search, portions(x, clouds)))], dim=1)


def comparable(features: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return the features in a precision in which their squares are finite, without gradient.

    Args:
        features: floating-point ``[N, C]``.
        sizes: number of points of each sample, one after another.

    Raises:
        DataError: a feature is not finite, or so large that its square is not; names the samples.
    """
    x = features.detach().to(torch.promote_types(features.dtype, torch.float32)).contiguous()
    if not x.numel():
        return x
    # One pass and one wait for the device, for finite features.
    low, high = torch.stack(torch.aminmax(x)).tolist()
    largest = max(-low, high)  # of NaN, aminmax makes both NaN
    if largest <= _LARGEST[x.dtype]:
        return x
    if largest <= _LARGEST[torch.float64]:
        return x.double()
    raise DataError("; ".join(_faults(x, sizes)))


def _faults(x: Tensor, sizes: Sequence[int]) -> Iterator[str]:
    wrong = ~(x.double().abs() <= _LARGEST[torch.float64])
    for number, (start, size) in enumerate(_clouds(sizes)):
        points = wrong[start : start + size].any(dim=1).nonzero().flatten().tolist()
        if points:
            first = start + points[0]
            yield (
                f"sample {number}: no distances from {len(points)} of its {size} points, because "
                f"point {points[0]} has the feature {float(x[first][wrong[first]][0])}"
            )


def _clouds(sizes: Sequence[int]) -> list[Cloud]:
    return [Cloud(*pair) for pair in zip(accumulate(sizes, initial=0), sizes, strict=False)]


def _place(result: Tensor, x: Tensor, tile: Tile, k: int) -> None:
    """Write the neighbours of the points of a tile to their rows of ``result``."""
    columns = exactly_nearest(tile, k, x)
    # Columns count within the cloud, rows of the result through all of them.
    block = block_of(result, tile.clouds)
    if block is not None:
        rows = slice(tile.first, tile.first + columns.shape[1])
        torch.add(columns, tile.starts[:, None, None], out=block[:, rows])
        return
    for cloud, chosen in zip(tile.clouds, columns, strict=True):
        count = max(0, min(len(chosen), cloud.size - tile.first))
        first = cloud.start + tile.first
        torch.add(chosen[:count], cloud.start, out=result[first : first + count])


def _within(x: Tensor, tile: Tile, square: float) -> Tensor:
    """Edges of one tile."""
    # The tile lacks |x_i|², so that it goes to the other side. What is clearly within the radius or
    # clearly beyond it is decided by the product, what is within its error in float64.
    limit = square - tile.norms
    slack = tile.slack(limit)
    sizes = torch.tensor([cloud.size for cloud in tile.clouds], device=x.device)
    starts = tile.starts
    cloud, row, column = (tile.squares <= (limit + slack)[:, :, None]).nonzero().unbind(1)
    # Rows beyond a smaller cloud's points are zeros, near to whatever lies at its centre.
    present = (row + tile.first < sizes[cloud]) & (column < sizes[cloud])
    cloud, row, column = cloud[present], row[present], column[present]
    sure = tile.squares[cloud, row, column] <= (limit - slack)[cloud, row]
    source, target = column + starts[cloud], row + tile.first + starts[cloud]
    unsure = (~sure).nonzero().flatten()
    for pairs in torch.split(unsure, max(1, _GATHERED_ELEMENTS // max(1, x.shape[1]))):
        apart = x[source[pairs]].double() - x[target[pairs]].double()
        sure[pairs] = torch.linalg.vecdot(apart, apart) <= square
    return torch.stack([source[sure], target[sure]])
