"""A linear map and a neighbour sum, in the order that costs less."""

from torch import Tensor
from torch.nn import functional

from gkd import Graph
from gkd.functional.edge_products import neighbour_sum


def linear_sum(x: Tensor, weight: Tensor, weights: Tensor, graph: Graph) -> Tensor:
    r"""Weighted sum of the neighbours of every node under a linear map.

    .. math:: y_i = \sum_{j \in N(i)} w_{ij} W x_j = W \sum_{j \in N(i)} w_{ij} x_j

    Args:
        x: ``[N, C]``.
        weight: ``W``, ``[F, C]``.
        weights: ``w``, ``[E]``.
        graph: E edges over N nodes.

    Returns:
        ``[N, F]``.
    """
    # Both orders are one sparse product, of the map's output or of its input: the narrower one.
    if weight.shape[0] < weight.shape[1]:
        mapped = functional.linear(x, weight)
        return neighbour_sum(weights, mapped, graph).to(mapped.dtype)
    return functional.linear(neighbour_sum(weights, x, graph).to(x.dtype), weight)
