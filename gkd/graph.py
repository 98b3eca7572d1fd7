"""Graphs as sorted, repetition-free edges, ready for sparse products."""

from __future__ import annotations

from collections.abc import MutableMapping
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from gkd.errors import ParameterError


class Transpose(NamedTuple):
    """The same edges in compressed rows by source.

    Attributes:
        row_pointer: ``[N+1]``, where each source's out-edges begin.
        columns: ``[E]``, targets of the edges in that order.
        permutation: ``[E]``, position of each of them in ``graph.edge_index``.
    """

    row_pointer: Tensor
    columns: Tensor
    permutation: Tensor


class Pairs(NamedTuple):
    """Pairs of nodes that edges join, in compressed rows by target.

    Where every edge has its reverse, the two are one pair: half the work for what is the same in
    both directions. Otherwise the pairs are the edges.

    Attributes:
        row_pointer: ``[N+1]``, where each target's pairs begin.
        target: ``[P]``, ascending.
        source: ``[P]``.
        position: ``[E]``, the pair of each edge; None when the pairs are the edges.
    """

    row_pointer: Tensor
    target: Tensor
    source: Tensor
    position: Tensor | None

    def per_edge(self, values: Tensor) -> Tensor:
        """Return the value of each edge's pair, ``[E]``, given those of the pairs."""
        return values if self.position is None else values.index_select(0, self.position)


class Graph:
    """A directed graph over ``num_nodes`` nodes; N(i) is the set of sources of i's in-edges.

    Edges are kept sorted by (target, source), each once, so that the in-edges of a node lie
    side by side and ``row_pointer`` (compressed sparse rows) delimits them. Two graphs with the
    same edges are therefore equal whatever order the edges came in. Do not modify the tensors.

    Args:
        edge_index: int64 ``[2, E]``; row 0 holds the source, row 1 the target of each edge. A
            repeated edge is one edge.
        num_nodes: N, at least one more than the largest node in ``edge_index``.

    Raises:
        ParameterError: wrong shape or dtype, or a node outside ``0 … N-1``.

    >>> graph = Graph(torch.tensor([[2, 0, 1, 0], [0, 1, 0, 1]]), num_nodes=3)
    >>> graph
    Graph(num_nodes=3, num_edges=3)
    >>> graph.edge_index
    tensor([[1, 2, 0],
            [0, 0, 1]])
    >>> graph.row_pointer
    tensor([0, 2, 3, 3])
    """

    __hash__ = None  # type: ignore[assignment]  # equality is by content, which lives in tensors

    def __init__(self, edge_index: Tensor, num_nodes: int) -> None:
        _check(edge_index, num_nodes)
        self.num_nodes = int(num_nodes)
        self.edge_index = _coalesced(edge_index.detach(), self.num_nodes)

    @staticmethod
    def of(edge_index: Tensor, num_nodes: int) -> Graph:
        """Return ``Graph(edge_index, num_nodes)``, the same object while the tensor is the same.

        Everything that sees one batch (teacher, student, losses) thereby shares one sorting and
        one transpose. A tensor that was modified in place gives a new graph.

        >>> edges = torch.tensor([[0, 1], [1, 2]])
        >>> Graph.of(edges, 3) is Graph.of(edges, 3)
        True
        """
        # Tensors made under inference_mode count no versions: their content is compared instead.
        version = None if edge_index.is_inference() else edge_index._version
        known = _memo.get(edge_index)
        if known is not None and known.matches(edge_index, version, num_nodes):
            return known.graph
        graph = Graph(edge_index, num_nodes)
        content = edge_index.clone() if version is None else None
        _memo[edge_index] = _Remembered(version, content, graph)
        return graph

    @property
    def num_edges(self) -> int:
        """E, the number of different edges."""
        return self.edge_index.shape[1]

    @property
    def source(self) -> Tensor:
        """Source of each edge, ``[E]``."""
        return self.edge_index[0]

    @property
    def target(self) -> Tensor:
        """Target of each edge, ``[E]``, ascending."""
        return self.edge_index[1]

    @property
    def device(self) -> torch.device:
        """Where the edges live."""
        return self.edge_index.device

    @cached_property
    def row_pointer(self) -> Tensor:
        """``[N+1]``; the in-edges of node i are ``row_pointer[i]`` up to ``row_pointer[i+1]``."""
        return _row_pointer(self.target, self.num_nodes)

    @cached_property
    def transpose(self) -> Transpose:
        """The edges by source, made once, for backward passes of sparse products."""
        permutation = _stable_order(self.source)
        columns = self.target.index_select(0, permutation)
        sources = self.source.index_select(0, permutation)
        return Transpose(_row_pointer(sources, self.num_nodes), columns, permutation)

    @cached_property
    def is_symmetric(self) -> bool:
        """Whether every edge has its reverse."""
        return torch.equal(self.transpose.columns, self.source) and torch.equal(
            self.transpose.row_pointer, self.row_pointer
        )

    @cached_property
    def pairs(self) -> Pairs:
        """The pairs of nodes that the edges join, for what does not depend on their direction."""
        if not self.is_symmetric:
            return Pairs(self.row_pointer, self.target, self.source, None)
        # Of j → i and i → j one is kept: by parity, so that all rows lose about half.
        odd = ((self.source + self.target) & 1).bool()
        kept = (self.source <= self.target) ^ odd
        rank = kept.cumsum(0) - 1
        # The n-th edge by source is the reverse of the n-th by target, as both orders agree.
        position = torch.where(kept, rank, rank.index_select(0, self.transpose.permutation))
        edges = kept.nonzero().squeeze(1)
        source, target = (end.index_select(0, edges) for end in self.edge_index)
        return Pairs(_row_pointer(target, self.num_nodes), target, source, position)

    @cached_property
    def self_loops(self) -> Tensor:
        """Positions of the edges from a node to itself."""
        return (self.source == self.target).nonzero().squeeze(1)

    def union(self, other: Graph) -> Graph:
        """Return the graph with the edges of either.

        Raises:
            ParameterError: the graphs differ in their number of nodes or in device.
        """
        if other is self:
            return self
        if other.num_nodes != self.num_nodes:
            raise ParameterError(
                f"union needs graphs over the same nodes: got {self.num_nodes} and "
                f"{other.num_nodes} nodes"
            )
        if other.device != self.device:
            raise ParameterError(
                f"union needs graphs on one device: got {self.device} and {other.device}"
            )
        return Graph(torch.cat([self.edge_index, other.edge_index], dim=1), self.num_nodes)

    def with_self_loops(self) -> Graph:
        """Return the graph in which every node is also its own neighbour."""
        return self._with_self_loops

    @cached_property
    def _with_self_loops(self) -> Graph:
        nodes = torch.arange(self.num_nodes, device=self.device)
        return self.union(Graph(torch.stack([nodes, nodes]), self.num_nodes))

    def to(self, device: torch.device | str) -> Graph:
        """Return the graph on ``device``: itself when it is already there."""
        moved = self.edge_index.to(device)
        if moved is self.edge_index:
            return self
        graph = Graph.__new__(Graph)  # what is valid and sorted stays so
        graph.edge_index, graph.num_nodes = moved, self.num_nodes
        return graph

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Graph):
            return NotImplemented
        return (
            self.num_nodes == other.num_nodes
            and self.device == other.device
            and torch.equal(self.edge_index, other.edge_index)
        )

    def __repr__(self) -> str:
        place = "" if self.device.type == "cpu" else f", device='{self.device}'"
        return f"Graph(num_nodes={self.num_nodes}, num_edges={self.num_edges}{place})"


class _Remembered(NamedTuple):
    version: int | None
    content: Tensor | None
    graph: Graph

    def matches(self, edge_index: Tensor, version: int | None, num_nodes: int) -> bool:
        if self.graph.num_nodes != num_nodes or self.version != version:
            return False
        return self.content is None or torch.equal(self.content, edge_index)


_memo: MutableMapping[Tensor, _Remembered] = WeakIdKeyDictionary()  # dies with the tensor


def _check(edge_index: Tensor, num_nodes: int) -> None:
    if not isinstance(edge_index, Tensor) or edge_index.dtype != torch.int64:
        got = edge_index.dtype if isinstance(edge_index, Tensor) else type(edge_index).__name__
        raise ParameterError(f"edge_index must be an int64 tensor of shape [2, E], got {got}")
    if edge_index.dim() != 2 or edge_index.shape[0] != 2:
        raise ParameterError(f"edge_index must have shape [2, E], got {list(edge_index.shape)}")
    if isinstance(num_nodes, bool) or not isinstance(num_nodes, int) or num_nodes < 0:
        raise ParameterError(f"num_nodes must be a non-negative integer, got {num_nodes!r}")
    if edge_index.shape[1] == 0:
        return
    low, high = torch.stack(torch.aminmax(edge_index)).tolist()
    if low < 0 or high >= num_nodes:
        outside = ((edge_index < 0) | (edge_index >= num_nodes)).nonzero()
        row, column = min(outside.tolist(), key=lambda place: place[1])
        allowed = f"the nodes 0 to {num_nodes - 1}" if num_nodes else "none"
        raise ParameterError(
            f"edge_index[{row}, {column}] is {edge_index[row, column].item()}, but a graph of "
            f"{num_nodes} nodes has {allowed}"
        )


def _coalesced(edge_index: Tensor, num_nodes: int) -> Tensor:
    key = edge_index[1] * num_nodes + edge_index[0]
    if bool((key[1:] > key[:-1]).all()):
        return edge_index.contiguous()
    order = _stable_order(edge_index[0])
    order = order[_stable_order(edge_index[1].index_select(0, order))]
    key = key.index_select(0, order)
    first = torch.ones_like(key, dtype=torch.bool)
    torch.gt(key[1:], key[:-1], out=first[1:])
    return edge_index.index_select(1, order[first])


def _stable_order(nodes: Tensor) -> Tensor:
    # int32 takes torch's radix sort, which is ten times as fast as the comparison sort of int64.
    narrow = nodes if nodes.numel() and int(nodes.max()) >= 2**31 else nodes.to(torch.int32)
    return narrow.argsort(stable=True)


def _row_pointer(ascending: Tensor, num_nodes: int) -> Tensor:
    return torch.searchsorted(ascending, torch.arange(num_nodes + 1, device=ascending.device))
