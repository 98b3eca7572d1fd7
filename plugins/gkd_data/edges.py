"""Edge lists in the form that every part of gkd expects."""

import numpy as np


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
    keys = np.unique(np.concatenate([target * num_nodes + source, source * num_nodes + target]))
    edges = np.stack([keys % num_nodes, keys // num_nodes]) if num_nodes else keys.reshape(2, 0)
    # A mask as an index would leave the two rows interleaved in memory.
    return edges if self_loops else edges.compress(edges[0] != edges[1], axis=1)
