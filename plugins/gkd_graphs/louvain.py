"""Clusters of the nodes of each sample, by the edges alone."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from gkd import Graph


def communities(graph: Graph, pointer: Tensor, keys: Tensor) -> Tensor:
    """Return the number of each node's cluster, int64 ``[N]``; no cluster has two samples' nodes.

    By the Louvain method (Blondel et al., 2008): clusters with many edges inside. It goes through
    nodes one after another, here in the order of their keys, always with the same seed: what comes
    out depends neither on the order of the rows nor on what else is in the batch. A sample that is
    seen again costs next to nothing.

    Args:
        graph: edges, none between samples.
        pointer: int64 ``[B+1]``, where the rows of each sample begin.
        keys: int64 ``[N]``, another number for each row of a sample.

    >>> edges = torch.tensor([[0, 1, 1, 2, 0, 2, 3, 4], [1, 0, 2, 1, 2, 0, 4, 3]])
    >>> communities(Graph(edges, 5), torch.tensor([0, 5]), torch.arange(5)).tolist()
    [0, 0, 0, 1, 1]
    """
    sizes = pointer.diff()
    samples = torch.arange(len(sizes), device=keys.device).repeat_interleave(sizes)
    order = keys.argsort(stable=True)
    order = order[samples[order].argsort(stable=True)]
    edges = Graph(order.argsort()[graph.edge_index], graph.num_nodes).edge_index.cpu().numpy()
    starts = pointer.cpu().numpy()
    ends = np.searchsorted(edges[1], starts)
    labels, count = [], 0
    for start, stop, first, last in zip(starts, starts[1:], ends, ends[1:], strict=False):
        found = louvain(int(stop - start), (edges[:, first:last] - start).tobytes())
        labels.append(found + count)
        count += int(found.max(initial=-1)) + 1
    result = torch.empty_like(order)
    result[order] = torch.from_numpy(np.concatenate([np.empty(0, np.int64), *labels])).to(order)
    return result


@lru_cache(maxsize=2**14)
def louvain(num_nodes: int, edges: bytes) -> np.ndarray:
    """Cluster of each node of one graph, int64 ``[N]``, numbered by their first nodes.

    Args:
        num_nodes: N.
        edges: bytes of int64 ``[2, E]``.
    """
    import networkx

    graph = networkx.Graph()
    graph.add_nodes_from(range(num_nodes))
    graph.add_edges_from(np.frombuffer(edges, np.int64).reshape(2, -1).T.tolist())
    found = networkx.community.louvain_communities(graph, seed=0) if num_nodes else []
    labels = np.empty(num_nodes, np.int64)
    for number, members in enumerate(sorted(found, key=min)):
        labels[list(members)] = number
    return labels
