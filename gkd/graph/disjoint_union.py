"""Graphs side by side as one, as in a batch of samples."""

from __future__ import annotations

import weakref
from collections.abc import MutableMapping, Sequence
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor
from torch.utils.data import get_worker_info
from torch.utils.weak import WeakIdKeyDictionary

from gkd.eager import eagerly
from gkd.graph.graph import Graph, Pairs, Transpose, remember_graph

_usable_in_training = torch.inference_mode(mode=False)

# Below this many edges per sample, sorting the whole batch anew costs less than joining its parts.
_WORTH_KEEPING = 512
# Of all samples whose structure is kept, which takes about 100 bytes per edge: 1 GB.
_EDGES_AT_MOST = 10_000_000


class DisjointUnion(Graph):
    """Graphs over nodes of their own, as one graph over all of them.

    It equals the graph made from all edges, but what the parts know of themselves (compressed
    rows, transpose, pairs) is joined instead of found anew. Parts that are used again, such as the
    samples of a data set, are therefore sorted once.

    Args:
        graphs: at least one, all on one device; nodes are numbered through.
        edge_index: int64 ``[2, E]``, their edges side by side, where it exists already.

    >>> graph = Graph(torch.tensor([[1], [0]]), num_nodes=2)
    >>> DisjointUnion([graph, graph]).edge_index
    tensor([[1, 3],
            [0, 2]])
    """

    @eagerly
    @_usable_in_training
    def __init__(self, graphs: Sequence[Graph], edge_index: Tensor | None = None) -> None:
        self.graphs = tuple(graphs)
        self.num_nodes = sum(graph.num_nodes for graph in graphs)
        # Where each part's nodes and edges begin, as numbers: a tensor would wait for the device.
        self._nodes = list(accumulate((graph.num_nodes for graph in graphs), initial=0))
        self._edges = list(accumulate((graph.num_edges for graph in graphs), initial=0))
        if edge_index is None:
            edge_index = _join([graph.edge_index for graph in graphs], self._nodes)
        self.edge_index = edge_index

    @cached_property
    @eagerly
    @_usable_in_training
    def row_pointer(self) -> Tensor:
        """``[N+1]``; the in-edges of node i are ``row_pointer[i]`` up to ``row_pointer[i+1]``."""
        return _join_pointers([graph.row_pointer for graph in self.graphs], self._edges)

    @cached_property
    @eagerly
    @_usable_in_training
    def transpose(self) -> Transpose:
        """The edges by source."""
        # A permutation counts edges and columns count nodes: each is shifted by what lies before.
        parts = [graph.transpose for graph in self.graphs]
        permutation = _join([part.permutation for part in parts], self._edges)
        if self.is_symmetric:  # no memory of its own, and no pass to compare
            return Transpose(self.row_pointer, self.source, permutation)
        return Transpose(
            _join_pointers([part.row_pointer for part in parts], self._edges),
            _join([part.columns for part in parts], self._nodes),
            permutation,
        )

    @cached_property
    @eagerly
    def is_symmetric(self) -> bool:
        """Whether every edge has its reverse."""
        return all(graph.is_symmetric for graph in self.graphs)

    def _symmetric_pairs(self) -> Pairs:
        parts = [graph.pairs for graph in self.graphs]
        starts = list(accumulate((len(part.source) for part in parts), initial=0))
        positions = [part.position for part in parts if part.position is not None]
        return Pairs(
            _join_pointers([part.row_pointer for part in parts], starts),
            _join([part.target for part in parts], self._nodes),
            _join([part.source for part in parts], self._nodes),
            _join(positions, starts),
        )

    @property
    def knows_pairs(self) -> bool:
        """Whether :attr:`pairs` need no search."""
        return all(graph.knows_pairs for graph in self.graphs)

    @cached_property
    @eagerly
    @_usable_in_training
    def self_loops(self) -> Tensor:
        """Positions of the edges from a node to itself."""
        return _join([graph.self_loops for graph in self.graphs], self._edges)

    @cached_property
    @eagerly
    def _with_self_loops(self) -> Graph:
        return DisjointUnion([graph.with_self_loops() for graph in self.graphs])


def remember_union(edge_index: Tensor, samples: Sequence[tuple[Tensor, int]]) -> None:
    """Let ``Graph.of(edge_index)`` join the graphs of samples, where that is worth their memory.

    Args:
        edge_index: of the batch, int64 ``[2, E]``.
        samples: edge index and number of nodes of each sample; what is found out about a sample
            is kept as long as its tensor lives.
    """
    # In a loader's worker the batch leaves for another process, and what is kept stays behind.
    if edge_index.shape[1] < _WORTH_KEEPING * len(samples) or get_worker_info() is not None:
        return
    if not all(_has_room(edges) for edges, _ in samples):
        return
    graphs = [Graph.of(edges, num_nodes) for edges, num_nodes in samples]
    if len(graphs) == 1:
        remember_graph(edge_index, graphs[0])
        return
    # Where the samples are in order already, their batch is, too: no second copy of its edges.
    in_order = all(
        torch.equal(graph.edge_index, edges)
        for graph, (edges, _) in zip(graphs, samples, strict=True)
    )
    # Detached: the graph must not keep alive the tensor that it is remembered by.
    remember_graph(edge_index, DisjointUnion(graphs, edge_index.detach() if in_order else None))


def _has_room(edges: Tensor) -> bool:
    """Count the sample's edges among those whose structure is kept, if they do not exceed them."""
    if edges in _counted:
        return True
    count = edges.shape[1]
    if _total[0] + count > _EDGES_AT_MOST:
        return False
    # A sample is counted once, and given back when its tensor goes, as with its data set.
    _counted[edges] = count
    _total[0] += count
    weakref.finalize(edges, _release, count)
    return True


def _release(count: int) -> None:
    _total[0] -= count


_counted: MutableMapping[Tensor, int] = WeakIdKeyDictionary()
_total = [0]


def _join(parts: Sequence[Tensor], starts: Sequence[int]) -> Tensor:
    """Put numbers that count from each part's start side by side, along the last dimension."""
    # Shifted straight into the result: torch.cat would need every part shifted beforehand, twice
    # the memory and one more pass.
    result = parts[0].new_empty((*parts[0].shape[:-1], sum(part.shape[-1] for part in parts)))
    pieces = result.split_with_sizes([part.shape[-1] for part in parts], -1)
    for piece, part, start in zip(pieces, parts, starts, strict=False):
        torch.add(part, start, out=piece)
    return result


def _join_pointers(pointers: Sequence[Tensor], starts: Sequence[int]) -> Tensor:
    """Join row pointers, each of which ends where the next begins."""
    first, *others = pointers
    return _join([first, *(pointer[1:] for pointer in others)], starts)
