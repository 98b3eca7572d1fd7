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

    Every further channel about doubles the cells of a tree that can hold a neighbour. On one core
    trees are faster than tiles from 1024 points on in 2 channels, 2048 in 3, 4096 in 4, 16,384 in
    6, where the points fill the space (``gkd bench knn-tree-* knn-scipy-*``); from half as many on
    surfaces, and where there is no compiler of C. torch-cluster's is faster than scipy's but of
    32,768 points on, as that searches for neighbouring points one after another.
    """
    # Tiles take time in proportion to the points of a cloud, a tree hardly more for a larger one.
    own_cloud = sum(size * size for size in sizes) / max(1, len(features))  # of a point, on average
    least = 2.0 ** (8 + features.shape[1])
    if features.device.type != "cpu" or own_cloud < least or not features.shape[1]:
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
