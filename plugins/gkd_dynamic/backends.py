"""Ways to find nearest neighbours, and which is the fastest where."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TypeAlias

from torch import Tensor

from gkd.functional.neighbours import nearest_neighbours
from gkd_dynamic.cluster import cluster_neighbours, loaded, required

logger = logging.getLogger("gkd.dynamic")

Backend: TypeAlias = Callable[[Tensor, Sequence[int], int], Tensor]

# benchmarks/knn.py: a tree looks at few points where there are few dimensions and many points.
_TREE_CHANNELS = 4
_TREE_POINTS = 2048


def automatic(features: Tensor, sizes: Sequence[int], k: int) -> Tensor:
    """Find neighbours in the way that is the fastest for such clouds on this device."""
    if _suits_tree(features, sizes) and _tree_available():
        return cluster_neighbours(features, sizes, k)
    return nearest_neighbours(features, sizes, k)


def _suits_tree(features: Tensor, sizes: Sequence[int]) -> bool:
    points = sum(size * size for size in sizes) / max(1, len(features))  # of a point's own cloud
    narrow = features.shape[1] <= _TREE_CHANNELS
    return features.device.type == "cpu" and narrow and points >= _TREE_POINTS


@cache
def _tree_available() -> bool:
    """Whether torch-cluster can be used; says once that it would help."""
    problem = loaded()
    if not isinstance(problem, Exception):
        return True
    logger.warning(
        "torch-cluster would find the neighbours in clouds like these faster, but is not usable "
        "(%s); to install it: pip install --no-build-isolation torch-cluster",
        problem,
    )
    return False


def _tree() -> Backend:
    required()  # says so when the builder is made, not in the first step
    return cluster_neighbours


BACKENDS: Mapping[str, Callable[[], Backend]] = {
    "auto": lambda: automatic,
    "torch": lambda: nearest_neighbours,
    "torch-cluster": _tree,
}
