"""What a graph builder is called with."""

from dataclasses import dataclass

import torch
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor

from gkd.graph import Graph

_STEP = 2.0**-10


@dataclass(frozen=True)
class Cloud:
    """Points of one or more samples.

    Attributes:
        features: float64 ``[N, C]``, multiples of 2⁻¹⁰ between -4 and 4, so that shifts by whole
            numbers are exact.
        batch: sample of each point, int64 ``[N]``, ascending; None where there is one.
    """

    features: Tensor
    batch: Tensor | None


@st.composite
def clouds(
    draw: st.DrawFn, *, max_points: int = 8, max_samples: int = 3, distinct: bool = False
) -> Cloud:
    """Draw points in 1 to 3 dimensions, of one or more samples.

    Args:
        draw: given by hypothesis.
        max_points: of each sample.
        max_samples: at most.
        distinct: no point has two others at the same distance, so that the order of neighbours
            is known. Otherwise some points coincide.
    """
    sizes = draw(st.lists(st.integers(1, max_points), min_size=1, max_size=max_samples))
    width = draw(st.integers(1, 3))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31 - 1)))
    steps = torch.randint(-4096, 4097, (sum(sizes), width), generator=random)
    points = steps.double() * _STEP
    if distinct:
        # Exact, as coordinates are multiples of 2⁻¹⁰: an equality is one, not a matter of rounding.
        squares = (points[:, None] - points).square().sum(2).sort(dim=1).values
        assume(bool((squares.diff(dim=1) != 0).all()))
    elif len(points) > 1 and draw(st.booleans()):
        points[draw(st.integers(1, len(points) - 1))] = points[0]
    batch = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    return Cloud(points, None if len(sizes) == 1 else batch)


@dataclass(frozen=True)
class KnownNeighbours:
    """Points whose nearest neighbours are known by construction.

    Attributes:
        features: float64 ``[N, C]``.
        batch: sample of each point, int64 ``[N]``, ascending.
        k: number of neighbours, the point itself among them.
        graph: the answer: an edge to every point from its k nearest, itself included.
    """

    features: Tensor
    batch: Tensor
    k: int
    graph: Graph


@st.composite
def known_neighbours(draw: st.DrawFn, max_k: int = 4) -> KnownNeighbours:
    """Draw tight groups of k points, far from one another: the k nearest of a point are its group.

    The groups of a sample are in random order, point by point; groups of different samples lie in
    the same places.
    """
    k = draw(st.integers(1, max_k))
    groups = draw(st.lists(st.integers(1, 3), min_size=1, max_size=2))
    width = draw(st.integers(1, 3))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31 - 1)))
    points, samples, edges, start = [], [], [], 0
    for sample, count in enumerate(groups):
        group = torch.arange(count).repeat_interleave(k)[
            torch.randperm(count * k, generator=random)
        ]
        jitter = torch.rand(count * k, width, generator=random, dtype=torch.float64)
        points.append(100.0 * group[:, None] + jitter)
        samples.append(torch.full((count * k,), sample))
        edges.append((group[:, None] == group).nonzero().t() + start)
        start += count * k
    graph = Graph(torch.cat(edges, dim=1), start)
    return KnownNeighbours(torch.cat(points), torch.cat(samples), k, graph)
