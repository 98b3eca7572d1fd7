"""The graph of each point's nearest neighbours."""

from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from gkd import Graph
from gkd.eager import eagerly, exported_as
from gkd.errors import validated
from gkd.functional.memory import require_memory
from gkd.functional.portable import PortableGraph, nearest_neighbours, require_one_sample
from gkd_dynamic.backends import BACKENDS
from gkd_dynamic.cloud_sizes import cloud_sizes

_MANY = 2**26  # edges; to ask how much memory there is takes longer than to find few
_BYTES = 24  # of an edge: a neighbour, and both of its ends


class KNN(nn.Module):
    r"""Edges to every point from its k nearest points of the same cloud, by Euclidean distance.

    .. math:: N(i) = \operatorname*{arg\,min}_{j}{}^{(k)} \|x_i - x_j\|^2

    The point itself is always among its k. In a cloud of fewer than k points everyone gets all.
    The choice is that of exact arithmetic on the features as they are given, but for points at
    equal distance. No gradient flows through it.

    Args:
        k: number of neighbours.
        backend: ``"torch"``, by tiles of all distances; ``"scipy"`` or ``"torch-cluster"``, by a
            tree, for few channels; ``"auto"``, the one that was measured to be the fastest.
        self_loops: whether the point itself is one of the k; otherwise k others are taken.

    Raises:
        ParameterError: scipy or torch-cluster is asked for and not installed.

    Source: Wang et al., Dynamic Graph CNN for Learning on Point Clouds, TOG 2019.

    >>> graph = KNN(k=2)(torch.tensor([[0.0], [3.0], [1.0]]))
    >>> graph.neighbours
    tensor([[0, 2],
            [1, 2],
            [0, 2]])
    """

    @validated
    def __init__(
        self,
        k: PositiveInt = 20,
        backend: Literal["auto", "torch", "torch-cluster", "scipy"] = "auto",
        self_loops: bool = True,
    ) -> None:
        super().__init__()
        self.k, self.backend, self.self_loops = k, backend, self_loops
        self._backend = BACKENDS[backend]()
        self.linear_work = backend in ("torch-cluster", "scipy")

    def _exported(self, features: Tensor, batch: Tensor | None = None) -> PortableGraph:
        require_one_sample(batch, "a network with knn")
        return nearest_neighbours(features, self.k, self.self_loops)

    @exported_as(_exported)
    @eagerly
    def forward(self, features: Tensor, batch: Tensor | None = None) -> Graph:
        """Return the graph.

        Args:
            features: floating-point ``[N, C]``.
            batch: number of each point's cloud, int64 ``[N]``, ascending; None for one cloud.

        Raises:
            ParameterError: these do not have that form, or there is no memory for so many edges.
            DataError: a feature is not finite; the sample is named.
        """
        sizes = cloud_sizes("knn", features, batch)
        edges = len(features) * min(self.k, max(sizes, default=0))
        if edges > _MANY and features.device.type == "cpu":
            require_memory(_BYTES * edges, "knn", k=self.k, points=len(features))
        if self.self_loops:
            return Graph.from_neighbours(self._backend(features, sizes, self.k))
        # The point itself is once in every row, whatever coincides with it: one more is asked for,
        # and the rows stay of one length without it.
        neighbours = self._backend(features, sizes, self.k + 1)
        points = torch.arange(len(neighbours), device=neighbours.device)
        others = neighbours[neighbours != points[:, None]]
        return Graph.from_neighbours(others.view(len(neighbours), max(0, neighbours.shape[1] - 1)))

    def extra_repr(self) -> str:
        """Return the settings for ``print(builder)``."""
        return f"k={self.k}, backend={self.backend!r}, self_loops={self.self_loops}"
