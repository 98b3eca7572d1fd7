"""Nearest neighbours by the k-d trees of scipy."""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate, chain, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gkd import ParameterError
from gkd.functional.neighbours import comparable
from gkd.functional.threads import Share, in_threads, shares
from gkd_dynamic.usable import usable

_POINTS_PER_SHARE = 512
_LEAF_POINTS = 32
_CELL_BITS = 20  # of all channels: a million cells
_HOW_TO_INSTALL = "install it: pip install scipy"


@cache
def find_scipy() -> Callable[..., Any] | Exception:
    """Return scipy's k-d tree, or why it cannot be used."""
    try:
        from scipy.spatial import cKDTree
    except (ImportError, OSError) as error:
        return error
    tree: Callable[..., Any] = cKDTree
    return tree


def require_scipy() -> Callable[..., Any]:
    """Return scipy's k-d tree; :class:`~gkd.ParameterError` that says how to install it."""
    return usable(find_scipy(), "scipy", _HOW_TO_INSTALL)


@torch.inference_mode(mode=False)
@torch.no_grad()
def tree_neighbours(features: Tensor, sizes: Sequence[int], k: int) -> Tensor:
    """Return what :func:`~gkd.functional.neighbours.nearest_neighbours` does."""
    make_tree = require_scipy()
    if features.device.type != "cpu":
        raise ParameterError(
            f"knn: backend 'scipy' computes on the CPU, but the features are on {features.device}; "
            "take backend 'torch'"
        )
    # In float64, so that the tree decides as exact arithmetic does.
    x = comparable(features, sizes).double().numpy()
    if not x.shape[1]:  # a tree divides some channel
        x = np.zeros((len(x), 1))
    ends = list(accumulate(sizes, initial=0))
    order = _along_a_curve(x, sizes)
    points = x[order]
    clouds = [points[start:end] for start, end in pairwise(ends)]

    def plant(share: Share) -> list[Any]:
        # Cells are halved where they are, not where their points are: the faster to build.
        mine = clouds[share.of(len(clouds))]
        return [
            make_tree(cloud, _LEAF_POINTS, compact_nodes=False, balanced_tree=False)
            for cloud in mine
        ]

    trees = list(chain(*in_threads(plant, shares(len(clouds), 1))))
    result = np.full((len(x), min(k, max(sizes, default=0))), -1)

    def search(share: Share) -> None:
        rows = share.of(len(x))
        for tree, (start, end) in zip(trees, pairwise(ends), strict=True):
            begin, stop = max(start, rows.start), min(end, rows.stop)
            if begin < stop:
                few = min(k, end - start)
                _, found = tree.query(points[begin:stop], few)
                result[order[begin:stop], :few] = order[start + found.reshape(-1, few)]

    in_threads(search, shares(len(x), _POINTS_PER_SHARE))
    neighbours = torch.from_numpy(result)
    keep_own(neighbours)
    return neighbours


def keep_own(neighbours: Tensor) -> None:
    """Put each point itself among its neighbours, ``[N, K]``, where it is not."""
    # Among more than k equal points a tree need not find the one that it was asked for.
    points = torch.arange(len(neighbours), device=neighbours.device)[:, None]
    astray = (neighbours != points).all(dim=1).nonzero().flatten()
    if neighbours.shape[1]:
        neighbours[astray, 0] = astray


def _along_a_curve(x: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Return the order of the points of each cloud along Morton's curve through its cells.

    Points that follow each other are near each other: the search for one finds the nodes of the
    tree that it needs in the cache, where the search for the last has left them.
    """
    channels = x.shape[1]
    bits = _CELL_BITS // max(1, channels)
    low = x.min(0, initial=np.inf)
    span = x.max(0, initial=-np.inf) - low
    share = np.divide(x - low, span, out=np.zeros_like(x), where=span > 0)
    cells = (share * (2**bits - 1)).astype(np.int64)
    key = np.repeat(np.arange(len(sizes)), sizes) << bits * channels
    for bit in range(bits):
        for channel in range(channels):
            key |= (cells[:, channel] >> bit & 1) << (bit * channels + channel)
    return np.argsort(key, kind="stable")
