r"""Graph operations in plain operators: what a network is made of while it is exported.

``torch.export`` and ONNX know neither sparse products, nor what depends on the content of tensors,
nor autograd's own functions. While they trace a network, the functions of gkd are replaced by those
of this module (see :func:`gkd.eager.exported_as`): the same results, of any number of nodes and
edges, with memory for the features of every edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from gkd.errors import ParameterError


@dataclass(frozen=True, slots=True)
class PortableGraph:
    """A graph whose repeated edges are not removed, which would make a number of edges, but marked.

    Args:
        source: int64 ``[E]``.
        target: int64 ``[E]``.
        kept: bool ``[E]``, edges that are there: one of those that are equal.
        num_nodes: N.
        loops: whether the last N edges are the loops of all nodes.
    """

    source: Tensor
    target: Tensor
    kept: Tensor
    num_nodes: int
    loops: bool = False

    @classmethod
    def of(cls, edge_index: Tensor, num_nodes: int) -> PortableGraph:
        """Return the graph of ``edge_index``, int64 ``[2, E]``.

        >>> PortableGraph.of(torch.tensor([[1, 0, 1], [0, 1, 0]]), 2).kept
        tensor([ True, False,  True])
        """
        key, order = (edge_index[1] * num_nodes + edge_index[0]).sort()
        # Of what comes before each: key[1:] would ask for three edges at least in every call.
        before = torch.cat([key.new_full((1,), -1), key])[: key.shape[0]]
        return cls(edge_index[0][order], edge_index[1][order], key != before, num_nodes)

    @property
    def num_edges(self) -> int:
        """E, the marked ones among them."""
        return self.source.shape[0]

    @property
    def device(self) -> torch.device:
        """Where it lives."""
        return self.source.device

    def with_self_loops(self) -> PortableGraph:
        """Return the graph with one edge from every node to itself."""
        nodes = torch.arange(self.num_nodes, device=self.device)
        return PortableGraph(
            torch.cat([self.source, nodes]),
            torch.cat([self.target, nodes]),
            torch.cat([self.kept & (self.source != self.target), nodes >= 0]),
            self.num_nodes,
            loops=True,
        )

    def sum(self, values: Tensor) -> Tensor:
        """Sum over the in-edges of every node, ``[N]`` or ``[N, F]``; marked ones count, too."""
        total = values.new_zeros((self.num_nodes, *values.shape[1:]))
        # Not index_put: ONNX Runtime adds its rows in several threads at once, and loses some.
        return total.scatter_add(0, self._places(values), values)

    def maximum(self, values: Tensor) -> Tensor:
        """Maximum over the in-edges of every node, ``[N, F]`` of ``[E, F]``; -inf without any."""
        there = values.masked_fill(~self.kept[:, None], -torch.inf)
        lowest = values.new_full((self.num_nodes, values.shape[1]), -torch.inf)
        return lowest.scatter_reduce(0, self._places(values), there, "amax")

    def _places(self, values: Tensor) -> Tensor:
        """Return the target of each value's edge, in the shape of the values."""
        if values.ndim == 1:
            return self.target
        return self.target[:, None].expand(-1, values.shape[1])


def neighbour_sum(weights: Tensor, features: Tensor, graph: PortableGraph) -> Tensor:
    """Return :func:`gkd.functional.edge_products.neighbour_sum`."""
    weights = torch.where(graph.kept, weights, torch.zeros_like(weights))
    return graph.sum(weights[:, None] * features[graph.source])


def neighbour_attention(
    features: Tensor,
    source_scores: Tensor,
    target_scores: Tensor,
    graph: PortableGraph,
    negative_slope: float = 0.2,
    dropout_mask: Tensor | None = None,
) -> Tensor:
    """Return :func:`gkd.functional.attention.neighbour_attention`, without dropout."""
    scores = source_scores[graph.source] + target_scores[graph.target]
    scores = functional.leaky_relu(scores, negative_slope)
    largest = graph.maximum(scores)
    weights = (scores - largest[graph.target]).exp()
    weights = torch.where(graph.kept[:, None], weights, torch.zeros_like(weights))
    total = graph.sum(weights)
    # A node without in-edges has no weights, and 0.
    total = torch.where(total > 0, total, torch.ones_like(total))
    products = (weights[:, :, None] * features[graph.source]).flatten(1)
    return graph.sum(products).view(features.shape) / total[:, :, None]


def neighbour_max(features: Tensor, graph: PortableGraph) -> Tensor:
    """Return :func:`gkd.functional.neighbour_max.neighbour_max`."""
    return graph.maximum(features[graph.source])


def nearest_neighbours(features: Tensor, k: int, self_loops: bool = True) -> PortableGraph:
    """Return the graph of each point's k nearest of one cloud, which has at least so many.

    Args:
        features: ``[N, C]``.
        k: number of neighbours, the point itself among them.
        self_loops: whether the point itself is one of the k; otherwise k others are taken.

    >>> nearest_neighbours(torch.tensor([[0.0], [3.0], [1.0]]), 2).source
    tensor([0, 2, 1, 2, 2, 0])
    """
    # In float64: in float32 the difference of large squares would choose other neighbours.
    points = features.double()
    points = points - points.mean(dim=0)
    squares = points.square().sum(dim=1)
    distances = squares[:, None] + squares - 2 * points @ points.T
    nodes = torch.arange(features.shape[0], device=features.device)
    itself = nodes[:, None] == nodes
    distances = distances.masked_fill(itself, -torch.inf if self_loops else torch.inf)
    source = distances.topk(k, dim=1, largest=False).indices.flatten()
    target = nodes[:, None].expand(-1, k).flatten()
    return PortableGraph(source, target, source >= 0, features.shape[0])


def pool_rows(features: Tensor, pool: str) -> Tensor:
    """Return the maximum, mean or sum of each feature over all rows, ``[1, F]``.

    >>> pool_rows(torch.tensor([[1.0], [3.0]]), "mean")
    tensor([[2.]])
    """
    match pool:
        case "max":
            return features.amax(0, keepdim=True)
        case "mean":
            return features.mean(0, keepdim=True)
    return features.sum(0, keepdim=True)


def require_one_sample(batch: Tensor | None, network: str) -> None:
    """Raise :class:`ParameterError` where several samples are to be exported at once."""
    if batch is not None:
        raise ParameterError(
            f"{network} is exported for one graph or cloud in each call: leave the batch vector out"
        )
