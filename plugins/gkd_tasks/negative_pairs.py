"""Pairs of nodes without an edge."""

import torch
from torch import Tensor

_ROUNDS = 10  # in which pairs that are edges are drawn again


def negative_pairs(
    edge_index: Tensor,
    num_nodes: int,
    count: int,
    generator: torch.Generator,
    batch: Tensor | None = None,
) -> Tensor:
    """Draw pairs without an edge, from the source of each edge to any node of its graph.

    Uniform among the nodes of the same graph that are neither the source nor one that it has an
    edge to. A pair that is an edge is drawn again, ten times at most, and then left out: a node
    that is joined with nearly all others has fewer.

    Args:
        edge_index: E edges, int64 ``[2, E]``.
        num_nodes: N.
        count: pairs per edge.
        generator: on the device of the edges.
        batch: graph of each node, int64 ``[N]``, ascending; None where there is one graph.

    Returns:
        int64 ``[2, P]``, at most ``count`` times E pairs.

    >>> edges = torch.tensor([[0, 1], [1, 0]])
    >>> negative_pairs(edges, 3, 1, torch.Generator().manual_seed(0))
    tensor([[0, 1],
            [2, 2]])
    """
    source = edge_index[0].repeat(count)
    if batch is None:
        batch = torch.zeros(num_nodes, dtype=torch.int64, device=edge_index.device)
    sizes = torch.bincount(batch)
    start, size = (sizes.cumsum(0) - sizes)[batch[source]], sizes[batch[source]]
    keys = edge_index[0] * num_nodes + edge_index[1]
    target = torch.full_like(source, -1)
    open_ = torch.ones_like(source, dtype=torch.bool)
    for _ in range(_ROUNDS):
        share = torch.rand(len(source), generator=generator, device=source.device)
        # Rounding may take a share just below 1 to the end of the range.
        drawn = start + (share * size).long().clamp(max=size - 1)
        free = (drawn != source) & ~torch.isin(source * num_nodes + drawn, keys)
        target = torch.where(open_ & free, drawn, target)
        open_ &= ~free
    found = target >= 0
    return torch.stack([source[found], target[found]])
