"""What a kernel is called with, together with what it is made of."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

from gkd.graph import Graph
from gkd.testing.strategies.graphs import features, structures


@dataclass(frozen=True)
class KernelProblem:
    """Features on the nodes of a graph; the properties are the known answers.

    They are computed pair by pair, as they are defined.

    Attributes:
        features: ``z``, float64 ``[N, F]``.
        graph: E edges.
    """

    features: Tensor
    graph: Graph

    @property
    def differences(self) -> Tensor:
        """``z_i − z_j`` of each edge j → i, ``[E, F]``."""
        return self.features[self.graph.target] - self.features[self.graph.source]

    @property
    def dot(self) -> Tensor:
        """Dot products ``z_i · z_j``, ``[E]``."""
        return (self.features[self.graph.target] * self.features[self.graph.source]).sum(1)

    @property
    def squared_distance(self) -> Tensor:
        """Squared distances ``‖z_i − z_j‖²``, ``[E]``."""
        return self.differences.square().sum(1)

    @property
    def l1_distance(self) -> Tensor:
        """Sums of absolute differences ``‖z_i − z_j‖₁``, ``[E]``."""
        return self.differences.abs().sum(1)

    @property
    def cosine(self) -> Tensor:
        """Cosines of the angle between the ends, ``[E]``; 0 where an end is zero."""
        norms = torch.linalg.vector_norm(self.features, dim=1)
        scale = norms[self.graph.target] * norms[self.graph.source]
        return torch.where(scale > 0, self.dot / torch.where(scale > 0, scale, 1), 0)


@st.composite
def kernel_problems(
    draw: st.DrawFn, *, both_directions: bool = False, smooth: bool = False
) -> KernelProblem:
    """Draw features on a graph.

    Args:
        draw: given by hypothesis.
        both_directions: whether every edge has its reverse.
        smooth: as in :func:`features`.
    """
    graph = draw(structures(max_samples=2)).graph
    if both_directions:
        graph = graph.union(Graph(graph.edge_index.flip(0), graph.num_nodes))
    return KernelProblem(draw(features(graph.num_nodes, smooth=smooth)), graph)
