"""Neighbours by brute force: differences in float64, loops over clouds; shares no code with gkd."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from gkd import Graph

SIZES = [70, 0, 33, 5, 70, 1]


def points(width: int = 3, sizes: Sequence[int] = SIZES, seed: int = 0) -> Tensor:
    """Normal features, ``[N, width]``."""
    return torch.randn(sum(sizes), width, generator=torch.Generator().manual_seed(seed))


def squared_distances(points: Tensor) -> Tensor:
    """All pairs, ``[n, n]``, in float64."""
    exact = points.double()
    return (exact[:, None] - exact[None]).square().sum(dim=2)


def clouds(features: Tensor, sizes: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
    """Number of the first row, and the points, of each cloud."""
    start = 0
    for size in sizes:
        yield start, features[start : start + size]
        start += size


def batch_vector(sizes: Sequence[int]) -> Tensor:
    return torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes, dtype=torch.int64))


def assert_nearest(
    graph: Graph, features: Tensor, sizes: Sequence[int], k: int, tolerance: float
) -> None:
    """Check that everyone has its k nearest, up to ties: points whose distances agree.

    Args:
        graph: the one to check.
        features: ``[N, C]``.
        sizes: of the clouds.
        k: neighbours of each point, itself included.
        tolerance: relative, of squared distances that count as equal.
    """
    bounds = graph.row_pointer.tolist()
    for start, points in clouds(features, sizes):
        squares = squared_distances(points)
        for node, row in enumerate(squares):
            found = graph.source[bounds[start + node] : bounds[start + node + 1]] - start
            expected = row.sort().values[:k]
            assert len(found) == len(expected) == len(set(found.tolist()))
            assert found.min() >= 0  # and within the cloud at the other end, or row[found] fails
            assert node in found
            torch.testing.assert_close(
                row[found].sort().values, expected, rtol=tolerance, atol=1e-300
            )
