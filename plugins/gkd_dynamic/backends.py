"""Ways to find nearest neighbours, and which is the fastest where."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TypeAlias

from torch import Tensor

from gkd.functional.neighbours import nearest_neighbours
from gkd_dynamic.cluster import cluster_neighbours, find_torch_cluster, require_torch_cluster
from gkd_dynamic.kd_tree import find_scipy, require_scipy, tree_neighbours

logger = logging.getLogger("gkd.dynamic")

_LARGE = 2**15  # points of a cloud

Backend: TypeAlias = Callable[[Tensor, Sequence[int], int], Tensor]


def fastest_neighbours(features: Tensor, sizes: Sequence[int], k: int) -> Tensor:
    """Find neighbours in the way that is the fastest for such clouds on this device."""
    return fastest(features, sizes)(features, sizes, k)


def fastest(features: Tensor, sizes: Sequence[int]) -> Backend:
    """Return the way that was measured to be the fastest of those that can be used here.

    Every further channel makes more cells of a tree ones that can hold a neighbour. On one core
    trees are faster than tiles from 2,000 points on in 2 channels, 3,000 in 3, 4,500 in 4, 10,000
    in 6 and 30,000 in 8, where the points fill the space (``gkd bench knn-tree-* knn-scipy-*``);
    from two thirds as many on surfaces, and from half as many where there is no compiler of C.
    torch-cluster's is faster than scipy's but of 32,768 points on, as that searches for points side
    by side one after another.
    """
    # Tiles take time in proportion to the points of a cloud, a tree hardly more for a larger one.
    own_cloud = sum(size * size for size in sizes) / max(1, len(features))  # of a point, on average
    channels = features.shape[1]
    least = 2.0 ** max(9.75 + 0.6 * channels, 7 + channels)
    if features.device.type != "cpu" or own_cloud < least or not channels:
        return nearest_neighbours
    scipy = not isinstance(find_scipy(), Exception)
    if scipy and own_cloud >= max(_LARGE, least):
        return tree_neighbours
    if not isinstance(find_torch_cluster(), Exception):
        return cluster_neighbours
    if not scipy:
        _say_what_would_help()
    return tree_neighbours if scipy else nearest_neighbours


@cache
def _say_what_would_help() -> None:
    logger.warning(
        "a k-d tree would find the neighbours in clouds like these faster, but neither scipy (%s) "
        "nor torch-cluster (%s) is usable; to install one: pip install scipy",
        find_scipy(),
        find_torch_cluster(),
    )


def _require_scipy() -> Backend:
    # What it lacks is said when a builder is made, not in a step.
    require_scipy()
    return tree_neighbours


def _require_torch_cluster() -> Backend:
    require_torch_cluster()
    return cluster_neighbours


BACKENDS: Mapping[str, Callable[[], Backend]] = {
    "auto": lambda: fastest_neighbours,
    "torch": lambda: nearest_neighbours,
    "torch-cluster": _require_torch_cluster,
    "scipy": _require_scipy,
}
