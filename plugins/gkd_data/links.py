"""Links of graphs as sorted, directed edges, and the parts of a graph that they join."""

import numpy as np
import torch

from gkd import Graph


def symmetric_edges(
    source: np.ndarray, target: np.ndarray, num_nodes: int, self_loops: bool
) -> np.ndarray:
    """Return both directions of every link once, sorted by (target, source).

    Args:
        source: one end of each link, ``int64 [L]``.
        target: the other end, ``int64 [L]``; a link may be listed often, and in both directions.
        num_nodes: number of nodes N.
        self_loops: whether the self-loops among the links stay.

    Returns:
        ``int64 [2, E]``, row 0 the sources.

    >>> symmetric_edges(np.array([0, 1, 2]), np.array([1, 0, 2]), 3, self_loops=True).tolist()
    [[1, 0, 2], [0, 1, 2]]
    >>> symmetric_edges(np.array([0, 1, 2]), np.array([1, 0, 2]), 3, self_loops=False).tolist()
    [[1, 0], [0, 1]]
    """
    both = np.stack([np.concatenate([source, target]), np.concatenate([target, source])])
    edges: np.ndarray = Graph(torch.from_numpy(both), num_nodes).edge_index.numpy()
    # A mask as an index would leave the two rows interleaved in memory.
    return edges if self_loops else edges.compress(edges[0] != edges[1], axis=1)


def component_of_each(edges: np.ndarray, num_nodes: int) -> np.ndarray:
    """Return the smallest node that each node is joined with, directly or not, ``int64 [N]``.

    Args:
        edges: ``int64 [2, E]``, each in both directions.
        num_nodes: N.

    >>> component_of_each(np.array([[0, 3, 1, 2], [3, 0, 2, 1]]), 5).tolist()
    [0, 1, 1, 0, 4]
    """
    component = np.arange(num_nodes)
    while True:
        smaller = component.copy()
        np.minimum.at(smaller, edges[1], component[edges[0]])
        # What a node's component is joined with, the node is, too: halves the way in each round.
        smaller = smaller[smaller]
        if np.array_equal(smaller, component):
            return component
        component = smaller


def edges_among(edges: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return the edges between the nodes that are kept, which are numbered anew in their order.

    Args:
        edges: ``int64 [2, E]``.
        kept: bool ``[N]``.

    >>> edges_among(np.array([[0, 2, 1], [2, 0, 2]]), np.array([True, False, True])).tolist()
    [[0, 1], [1, 0]]
    """
    number: np.ndarray = np.cumsum(kept) - 1
    among: np.ndarray = number[edges.compress(kept[edges].all(0), axis=1)]
    return among
