"""Squared distances between the points of many clouds, a block of bounded size at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import torch
from torch import Tensor

from gkd.functional.threads import Share, shares

_CPU_ELEMENTS = 2**20  # of a tile: 4 MB in float32, which stays in the last level of cache
_DEVICE_ELEMENTS = 2**26  # enough to keep an accelerator busy
_PAIRS_PER_SHARE = 2**19  # of fewer, a thread is found later than the work is done


class Cloud(NamedTuple):
    """Consecutive rows of the features that are compared with one another.

    Attributes:
        start: number of the first row.
        size: how many there are.
    """

    start: int
    size: int


@dataclass
class Tile:
    r"""Some points of one or more clouds against all points of their clouds.

    Attributes:
        products: ``[b, r, n]``, :math:`x_i \cdot x_j`, both relative to the centre of the cloud.
            Overwritten by the next tile.
        norms: ``[b, r]``, :math:`\|x_i\|^2`.
        ends: ``[b, n]``, :math:`\|x_j\|^2`; ``inf`` beyond the points of a smaller cloud.
        clouds: the b clouds.
        first: number, within its cloud, of the first of the r points.
        precision: relative error of a product, measured where the result is known.
    """

    products: Tensor
    norms: Tensor
    ends: Tensor
    clouds: Sequence[Cloud]
    first: int
    precision: float

    @cached_property
    def squares(self) -> Tensor:
        r"""``[b, r, n]``, :math:`\|x_i - x_j\|^2 - \|x_i\|^2`, in place of the products.

        ``-inf`` for the point itself, ``inf`` beyond the points of a smaller cloud.
        """
        # |x_i|² is the same along a row and changes no order.
        squares = torch.sub(self.ends[:, None], self.products, alpha=2, out=self.products)
        # The point itself comes first, whatever coincides with it.
        squares.diagonal(self.first, 1, 2).fill_(-torch.inf)
        return squares

    @property
    def starts(self) -> Tensor:
        """Number of the first row of each cloud, ``[b]``."""
        return torch.tensor([cloud.start for cloud in self.clouds], device=self.products.device)

    def slack(self, squares: Tensor) -> Tensor:
        """Return how far two distances may differ and be in the wrong order, ``[b, r]``.

        Args:
            squares: in the tile's form, ``[b, r]``, at the distance in question.
        """
        # An error is at most precision · (|x_i| + |x_j|)², and a point at the distance δ of x_i
        # has |x_j| ≤ |x_i| + δ, so that (|x_i| + |x_j|)² ≤ 8 |x_i|² + 2 δ². There are two errors.
        bound = self.precision * (20 * self.norms + 4 * squares)
        return bound + torch.finfo(squares.dtype).tiny


def portions(features: Tensor, clouds: Sequence[Cloud]) -> list[Share]:
    """Return the shares of the tiles that are best searched by threads of their own."""
    if features.device.type != "cpu":
        return [Share(0, 1)]
    return shares(_pairs(clouds), _PAIRS_PER_SHARE)


def distance_tiles(features: Tensor, clouds: Sequence[Cloud], share: Share) -> Iterator[Tile]:
    """Yield all pairs within each cloud, as tiles of at most 4 MB (256 MB on accelerators).

    Distances come from one matrix product over features relative to the centre of the cloud,
    where they cancel least. To be called without gradients and outside of autocast.

    Args:
        features: float32 or float64 ``[N, C]``.
        clouds: in any order; clouds of similar size share a tile, empty ones are left out.
        share: which part of the tiles to take.
    """
    clouds = [cloud for cloud in clouds if cloud.size]
    # Where there is little, smaller tiles than cache allows, so that every share has some.
    limit = _CPU_ELEMENTS if features.device.type == "cpu" else _DEVICE_ELEMENTS
    plan = list(_plan(clouds, min(limit, _pairs(clouds) // share.total)))
    plan = plan[share.of(len(plan))]
    # One buffer for all tiles: it stays in the cache, where new memory would come from the system,
    # page by page.
    buffer = features.new_empty(max((place.elements for place in plan), default=0))
    for group, places in groupby(plan, key=itemgetter(0)):
        yield from _tiles(features, group, [rows for _, rows in places], buffer)


def _pairs(clouds: Sequence[Cloud]) -> int:
    return sum(cloud.size**2 for cloud in clouds)


class _Place(NamedTuple):
    """What a tile covers: some rows, by their numbers within the cloud, of each cloud."""

    clouds: Sequence[Cloud]
    rows: range

    @property
    def elements(self) -> int:
        """How many distances the tile holds; the clouds ascend in size."""
        return len(self.clouds) * len(self.rows) * self.clouds[-1].size


def _plan(clouds: Sequence[Cloud], limit: int) -> Iterator[_Place]:
    """Clouds that share a tile fit into it whole; of a larger one, it holds at least a row."""
    for group in _groups(clouds, limit):
        size = group[-1].size
        step = max(1, limit // (len(group) * size))
        for first in range(0, size, step):
            yield _Place(group, range(first, min(first + step, size)))


def _groups(clouds: Sequence[Cloud], limit: int) -> Iterator[Sequence[Cloud]]:
    """Clouds of similar size, in ascending order."""
    # All clouds of a tile are padded to the size of the last: sorted, they waste little.
    group: list[Cloud] = []
    for cloud in sorted(clouds, key=lambda cloud: cloud.size):
        if group and (len(group) + 1) * cloud.size**2 > limit:
            yield group
            group = []
        group.append(cloud)
    if group:
        yield group


def block_of(rows: Tensor, clouds: Sequence[Cloud]) -> Tensor | None:
    """View of the rows of some clouds, ``[b, n, ...]``; None unless it is one block.

    >>> block_of(torch.arange(6), [Cloud(2, 2), Cloud(4, 2)])
    tensor([[2, 3],
            [4, 5]])
    """
    start, size = clouds[0]
    if any(cloud != (start + number * size, size) for number, cloud in enumerate(clouds)):
        return None
    return torch.unflatten(rows[start : start + len(clouds) * size], 0, (len(clouds), size))


def centre_clouds(
    features: Tensor, clouds: Sequence[Cloud], dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Features by cloud, relative to its centre; with their squared norms.

    Returns:
        features ``[b, n, C]`` and squared norms ``[b, n]``, 0 beyond the points of a smaller cloud;
        squared norms that are infinite there.
    """
    block = block_of(features, clouds)
    if block is not None:  # equally large and one after another, as data sets are: no copy by index
        x = block.to(dtype)
        x = x - x.mean(dim=1, keepdim=True)
        norms = torch.linalg.vecdot(x, x)
        return x, norms, norms
    starts, sizes = torch.tensor(clouds, device=features.device)[:, :, None].unbind(1)
    position = torch.arange(max(cloud.size for cloud in clouds), device=features.device)
    outside = position >= sizes
    # Rows beyond a cloud's points read those of the next: zeros there, also after centring, so that
    # neither sums nor products see them.
    x = features[(starts + position).clamp_(max=len(features) - 1)].to(dtype)
    x.masked_fill_(outside[:, :, None], 0)
    x -= x.sum(dim=1, keepdim=True) / sizes[:, :, None]
    x.masked_fill_(outside[:, :, None], 0)
    norms = torch.linalg.vecdot(x, x)
    return x, norms, norms.masked_fill(outside, torch.inf)


def _tiles(
    features: Tensor, clouds: Sequence[Cloud], places: Sequence[range], buffer: Tensor
) -> Iterator[Tile]:
    x, norms, ends = centre_clouds(features, clouds, features.dtype)
    points = x.transpose(1, 2)
    count, size = norms.shape
    for place in places:
        rows = slice(place.start, place.stop)
        shape = (count, len(place), size)
        out = buffer[: count * len(place) * size].view(shape)
        products = torch.bmm(x[:, rows], points, out=out)
        # Products may run in reduced precision (TF32, bfloat16), as the user has set torch. That of
        # a point with itself shows it, with the norm: they differ by up to 2 |x_i|² precision.
        # Twice as much is taken, for what the sample misses.
        own, numbers = products.diagonal(place.start, 1, 2), torch.finfo(products.dtype)
        residue = (norms[:, rows] - own).abs() / norms[:, rows].clamp_min(numbers.tiny)
        # One wait for the device in each tile; the rows of no point are zeros.
        precision = max(float(residue.max()), numbers.eps)
        yield Tile(products, norms[:, rows], ends, clouds, place.start, precision)
