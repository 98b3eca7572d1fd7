"""Ways to find nearest neighbours, and which is the fastest where."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TypeAlias

from torch import Tensor

from gkd.functional.neighbours import nearest_neighbours
from gkd_dynamic.cluster import cluster_neighbours, find_torch_cluster, require_torch_cluster

logger = logging.getLogger("gkd.dynamic")

Backend: TypeAlias = Callable[[Tensor, Sequence[int], int], Tensor]


def fastest_neighbours(features: Tensor, sizes: Sequence[int], k: int) -> Tensor:
    """Find neighbours in the way that is the fastest for such clouds on this device."""
    if suits_tree(features, sizes) and _tree_available():
        return cluster_neighbours(features, sizes, k)
    return nearest_neighbours(features, sizes, k)


def suits_tree(features: Tensor, sizes: Sequence[int]) -> bool:
    """Return whether a k-d tree was measured to be faster than tiles of all distances.

    Every further channel about doubles the cells of the tree that can hold a neighbour: on one
    core it is the faster from 512 points on in 2 channels, 1024 in 3, 2048 in 4, 8192 in 6, where
    the points fill the space (``gkd bench knn-tree-2 knn-tree-3 knn-tree-4 knn-tree-6``), and
    earlier on surfaces.
    """
    # Tiles take time in proportion to the points of a cloud, a tree hardly more for a larger one.
    own_cloud = sum(size * size for size in sizes) / max(1, len(features))  # of a point, on average
    return features.device.type == "cpu" and own_cloud >= 2.0 ** (7 + features.shape[1])


@cache
def _tree_available() -> bool:
    """Whether torch-cluster can be used; says once that it would help."""
    problem = find_torch_cluster()
    if not isinstance(problem, Exception):
        return True
    logger.warning(
        "torch-cluster would find the neighbours in clouds like these faster, but is not usable "
        "(%s); to install it: pip install --no-build-isolation torch-cluster",
        problem,
    )
    return False


def require_tree() -> Backend:
    """Return the search by trees; what it lacks is said when a builder is made, not in a step."""
    require_torch_cluster()
    return cluster_neighbours


BACKENDS: Mapping[str, Callable[[], Backend]] = {
    "auto": lambda: fastest_neighbours,
    "torch": lambda: nearest_neighbours,
    "torch-cluster": require_tree,
}
