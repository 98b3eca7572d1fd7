"""The graph of each point's neighbours within a distance."""

from typing import Annotated

from pydantic import Field, FiniteFloat
from torch import Tensor, nn

from gkd import Graph
from gkd.eager import eagerly
from gkd.errors import validated
from gkd.functional.neighbours import radius_edges
from gkd_dynamic.cloud_sizes import cloud_sizes


class Radius(nn.Module):
    r"""Edges to every point from all points of the same cloud within a distance.

    .. math:: N(i) = \{j : \|x_i - x_j\| \le r\}

    Degrees differ, and memory grows with the number of edges: take care with a large radius.

    Args:
        radius: r, in units of the features.
        self_loops: whether a point is its own neighbour.

    >>> import torch
    >>> Radius(1.0)(torch.tensor([[0.0], [3.0], [1.0]])).edge_index
    tensor([[0, 2, 1, 0, 2],
            [0, 0, 1, 2, 2]])
    """

    example_parameters = ({"radius": 1.0},)
    linear_work = False  # distances of all pairs, in tiles

    @validated
    def __init__(
        self, radius: Annotated[FiniteFloat, Field(gt=0)], self_loops: bool = True
    ) -> None:
        super().__init__()
        self.radius, self.self_loops = radius, self_loops

    @eagerly
    def forward(self, features: Tensor, batch: Tensor | None = None) -> Graph:
        """Return the graph.

        Args:
            features: floating-point ``[N, C]``.
            batch: number of each point's cloud, int64 ``[N]``, ascending; None for one cloud.

        Raises:
            ParameterError: these do not have that form.
            DataError: a feature is not finite; the sample is named.
        """
        sizes = cloud_sizes("radius", features, batch)
        edges = radius_edges(features, sizes, self.radius)
        if not self.self_loops:
            edges = edges[:, edges[0] != edges[1]]
        return Graph(edges, len(features))

    def extra_repr(self) -> str:
        """Return the settings for ``print(builder)``."""
        return f"radius={self.radius}, self_loops={self.self_loops}"
