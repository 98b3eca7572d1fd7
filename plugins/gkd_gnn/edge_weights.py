"""Weights of a graph's edges that follow from its structure, made once per graph and dtype."""

from collections.abc import Callable, MutableMapping

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from gkd import DataError, Graph, ParameterError
from gkd.eager import eagerly, exported_as
from gkd.functional.portable import PortableGraph
from gkd.functional.segments import segment_sum


def _once_per_graph(
    make: Callable[[Graph, torch.dtype], Tensor],
) -> Callable[[Graph, torch.dtype], Tensor]:
    made: MutableMapping[Graph, dict[torch.dtype, Tensor]] = WeakIdKeyDictionary()

    @exported_as(make)
    @eagerly
    @torch.no_grad()
    def call(graph: Graph, dtype: torch.dtype) -> Tensor:
        by_dtype = made.setdefault(graph, {})
        if dtype not in by_dtype:
            # A tensor made under inference_mode could not be saved for a later backward pass.
            with torch.inference_mode(mode=False):
                by_dtype[dtype] = make(graph, dtype)
        return by_dtype[dtype]

    call.__doc__ = make.__doc__
    return call


@_once_per_graph
def unit_weights(graph: Graph, dtype: torch.dtype) -> Tensor:
    """Return 1 for every edge, ``[E]``: the neighbour sum is the plain one."""
    return torch.ones(graph.num_edges, dtype=dtype, device=graph.device)


@_once_per_graph
def mean_weights(graph: Graph, dtype: torch.dtype) -> Tensor:
    r"""Return :math:`1/|N(i)|` for every edge j → i, ``[E]``: the neighbour sum is the mean."""
    degree = _in_degrees(unit_weights(graph, dtype), graph)
    return degree.reciprocal().index_select(0, graph.target)


@_once_per_graph
def symmetric_weights(graph: Graph, dtype: torch.dtype) -> Tensor:
    r"""Return :math:`1/\sqrt{|N(i)|\,|N(j)|}` for every edge j → i, ``[E]``."""
    return normalise_symmetrically(unit_weights(graph, dtype), graph)


def _in_degrees(weights: Tensor, graph: Graph | PortableGraph) -> Tensor:
    """Sum of the weights of every node's in-edges, ``[N]``."""
    if isinstance(graph, PortableGraph):
        return graph.sum(torch.where(graph.kept, weights, torch.zeros_like(weights)))
    return segment_sum(weights, graph.row_pointer)


def _exported_normalisation(weights: Tensor, graph: PortableGraph) -> Tensor:
    """Return :func:`normalise_symmetrically`, whatever the sign of a degree."""
    return _divided(weights, _in_degrees(weights, graph), graph)


@exported_as(_exported_normalisation)
@eagerly
def normalise_symmetrically(weights: Tensor, graph: Graph) -> Tensor:
    r"""Divide weights of edges by the square roots of both ends' degrees.

    .. math::
        \hat w_{ij} = \frac{w_{ij}}{\sqrt{d_i d_j}}, \qquad d_i = \sum_{j \in N(i)} w_{ij}

    Args:
        weights: ``w``, ``[E]``, in the order of the graph's edges.
        graph: E edges over N nodes.

    Returns:
        ``[E]``; 0 where an end has the degree 0.

    Raises:
        DataError: the degree of a node is negative.

    Source:
        Kipf and Welling, Semi-Supervised Classification with Graph Convolutional Networks, ICLR
        2017, equation 2.

    >>> graph = Graph(torch.tensor([[0, 1, 1], [1, 0, 1]]), num_nodes=2)
    >>> normalise_symmetrically(torch.ones(3), graph)
    tensor([0.7071, 0.7071, 0.5000])
    """
    degree = _in_degrees(weights, graph)
    if bool((degree < 0).any()):
        node = int((degree < 0).nonzero()[0])
        raise DataError(
            f"edge_weight: the weights of the edges to node {node} sum to {degree[node].item():g}, "
            "where their sum must be at least 0 to have a square root"
        )
    return _divided(weights, degree, graph)


def _divided(weights: Tensor, degree: Tensor, graph: Graph | PortableGraph) -> Tensor:
    alone = degree == 0
    # Filled before the root, too: its slope at 0 is infinite, and would make a NaN of the gradient.
    factor = degree.masked_fill(alone, 1).rsqrt().masked_fill(alone, 0)
    return weights * factor.index_select(0, graph.target) * factor.index_select(0, graph.source)


def _exported_order(edge_weight: Tensor, edge_index: Tensor, graph: PortableGraph) -> Tensor:
    """Return :func:`weights_in_order` for distinct edges."""
    order = (edge_index[1] * graph.num_nodes + edge_index[0]).sort().indices
    weights = edge_weight[order]
    if not graph.loops:
        return weights
    source, target = edge_index[:, order]
    is_loop = (source == target).to(weights.dtype)
    own, known = (
        weights.new_zeros(graph.num_nodes).scatter_add(0, target, values)
        for values in (weights * is_loop, is_loop)
    )
    return torch.cat([weights, torch.where(known > 0, own, torch.ones_like(own))])


@exported_as(_exported_order)
@eagerly
def weights_in_order(edge_weight: Tensor, edge_index: Tensor, graph: Graph) -> Tensor:
    """Return the weights of the caller's edges in the order of the graph's.

    Args:
        edge_weight: ``[E]``, one for each column of ``edge_index``.
        edge_index: int64 ``[2, E]``, each edge once.
        graph: of these edges and perhaps of self-loops, which weigh 1 where ``edge_index`` has
            none.

    Raises:
        ParameterError: another number of weights than of edges, or a repeated edge.

    >>> edges = torch.tensor([[1, 0], [0, 1]])
    >>> graph = Graph(edges, num_nodes=2).with_self_loops()
    >>> weights_in_order(torch.tensor([5.0, 7.0]), edges, graph)
    tensor([1., 5., 7., 1.])
    """
    if edge_weight.shape != (edge_index.shape[1],):
        raise ParameterError(
            f"edge_weight must have one number for each of the {edge_index.shape[1]} edges, got "
            f"{list(edge_weight.shape)}"
        )
    known, given = (
        target * graph.num_nodes + source for source, target in (graph.edge_index, edge_index)
    )
    position = torch.searchsorted(known, given)
    in_order = position.sort().values
    if bool((in_order.diff() == 0).any()):
        place = int((in_order.diff() == 0).nonzero()[0])
        source, target = graph.edge_index[:, in_order[place]].tolist()
        raise ParameterError(
            f"edge_index has the edge from {source} to {target} more than once, and edge_weight a "
            "weight for each: add them up first (torch_geometric.utils.coalesce does)"
        )
    return edge_weight.new_ones(graph.num_edges).index_put((position,), edge_weight)
