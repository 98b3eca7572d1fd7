"""Hypothesis strategies for what components are given, edge cases included.

Everything is float64 on the CPU, small, and shrinks to fewer nodes, fewer edges and narrower
features. Tensors are new for every example.
"""

from gkd.testing.strategies.cloud_problems import (
    Cloud,
    KnownNeighbours,
    clouds,
    known_neighbours,
)
from gkd.testing.strategies.graphs import (
    Structure,
    edge_indices,
    features,
    graphs,
    relabellings,
    structures,
)
from gkd.testing.strategies.kernel_problems import KernelProblem, kernel_problems
from gkd.testing.strategies.loss_problems import LossProblem, loss_problems, views
from gkd.testing.strategies.samples import batches, samples

__all__ = [
    "Cloud",
    "KernelProblem",
    "KnownNeighbours",
    "LossProblem",
    "Structure",
    "batches",
    "clouds",
    "edge_indices",
    "features",
    "graphs",
    "kernel_problems",
    "known_neighbours",
    "loss_problems",
    "relabellings",
    "samples",
    "structures",
    "views",
]
