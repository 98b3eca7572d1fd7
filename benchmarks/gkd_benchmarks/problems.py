"""Inputs that benchmarks share, drawn from fixed seeds, and one forward and backward pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class EdgeSizes:
    """Sizes of a graph.

    Args:
        nodes: N.
        edges: E, at most: repeated edges are dropped.
    """

    nodes: int = 4744
    edges: int = 132_114


TWO_PPI_GRAPHS = EdgeSizes()


def generator(seed: int = 0) -> torch.Generator:
    """Return a generator of random numbers, the same each time."""
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Return normal numbers in float32."""
    return torch.randn(*shape, generator=generator(seed))


def undirected_edges(sizes: EdgeSizes, seed: int = 0) -> Tensor:
    """Return random edges, each with its reverse, int64 ``[2, E]``, in no particular order."""
    half = torch.randint(sizes.nodes, (2, sizes.edges // 2), generator=generator(seed))
    edges = distinct(torch.cat([half, half.flip(0)], dim=1), sizes.nodes)
    return edges[:, torch.randperm(edges.shape[1], generator=generator(seed))]


def distinct(edges: Tensor, num_nodes: int) -> Tensor:
    """Return each of the edges once, ``[2, E]``."""
    key = torch.unique(edges[1] * num_nodes + edges[0])
    return torch.stack([key % num_nodes, key // num_nodes])


def point_clouds(clouds: int, points: int) -> Tensor:
    """Return points on the unit sphere, ``[B, N, 3]``."""
    return torch.nn.functional.normalize(normal(clouds, points, 3), dim=2)


def value_and_gradient(function: Callable[[Tensor], Tensor], at: Tensor) -> Sequence[Tensor]:
    """Return a scalar function's value and gradient."""
    leaf = at.detach().requires_grad_()
    value = function(leaf)
    return [value.detach(), *torch.autograd.grad(value, leaf)]
