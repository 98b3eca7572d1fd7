"""Graphs as sorted, repetition-free edges, ready for sparse products."""

from __future__ import annotations

from collections.abc import MutableMapping
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from gkd.eager import eagerly
from gkd.errors import ParameterError
from gkd.graph.edge_index import (
    as_plain,
    check_edge_index,
    check_neighbours,
    coalesce,
    edges_of,
    row_pointer_of,
    stable_order,
)

# Tensors made under inference_mode could not be saved for a backward pass later on.
_usable_in_training = torch.inference_mode(mode=False)

_IN_EDGES_KEPT = 2  # as of terms on a mask and on the other rows


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


class InEdges(NamedTuple):
    """The edges into some nodes of a graph: all that losses of these nodes look at.

    Attributes:
        graph: those edges alone, over the nodes that are kept.
        nodes: int64 ``[M]``, ascending, the nodes that are kept, numbered as they lie here; None
            where all are, under their own numbers.
        positions: int64 ``[E']``, of the edges in ``edge_index`` of the whole graph; None for all.
        num_nodes: N, of the whole graph.
    """

    graph: Graph
    nodes: Tensor | None
    positions: Tensor | None
    num_nodes: int

    def of_nodes(self, values: Tensor) -> Tensor:
        """Return the rows of the nodes that are kept, given those of all, ``[N, ...]``."""
        if self.nodes is None:
            return values
        if len(values) != self.num_nodes:
            raise ParameterError(
                f"expected a row for each of {self.num_nodes} nodes, got {list(values.shape)}"
            )
        return values.index_select(0, self.nodes)

    def of_edges(self, values: Tensor) -> Tensor:
        """Return the values of these edges, given those of all, ``[E, ...]``."""
        return values if self.positions is None else values.index_select(0, self.positions)

    def to_all(self, values: Tensor) -> Tensor:
        """Return ``[N]``, given a value for each node that is kept; 0 for the others."""
        if self.nodes is None:
            return values
        return values.new_zeros(self.num_nodes).index_copy(0, self.nodes, values)


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

    @eagerly
    @_usable_in_training
    def __init__(self, edge_index: Tensor, num_nodes: int) -> None:
        check_edge_index(edge_index, num_nodes)
        edge_index = as_plain(edge_index)
        # Detached: not the very object, which the memo below holds weakly.
        edges = edge_index.clone() if edge_index.is_inference() else edge_index.detach()
        self.num_nodes = num_nodes
        self.edge_index = coalesce(edges, num_nodes)

    @staticmethod
    @eagerly
    def of(edge_index: Tensor, num_nodes: int) -> Graph:
        """Return ``Graph(edge_index, num_nodes)``, the same object while the tensor is the same.

        Everything that sees one batch (teacher, student, losses) thereby shares one sorting and
        one transpose. A tensor whose edges were changed in place gives a new graph, also where
        they were changed through numpy or shared memory. On an accelerator, where to compare them
        would mean to wait, changes through ``edge_index.data`` go unseen.

        >>> edges = torch.tensor([[0, 1], [1, 2]])
        >>> Graph.of(edges, 3) is Graph.of(edges, 3)
        True
        """
        if not isinstance(edge_index, Tensor):
            return Graph(edge_index, num_nodes)  # type: ignore[unreachable]  # it explains
        graph = recall_graph(edge_index, num_nodes)
        if graph is None:
            graph = Graph(edge_index, num_nodes)
            remember_graph(edge_index, graph)
        return graph

    @staticmethod
    @eagerly
    @_usable_in_training
    def from_neighbours(neighbours: Tensor) -> Graph:
        """Return the graph with an edge to node i from every node in ``neighbours[i]``.

        Args:
            neighbours: int64 ``[N, K]`` in any order; -1 is no node.

        Raises:
            ParameterError: wrong shape or dtype, or a node outside ``0 … N-1``.

        >>> graph = Graph.from_neighbours(torch.tensor([[1, 0], [0, 1]]))
        >>> graph.edge_index
        tensor([[0, 1, 0, 1],
                [0, 0, 1, 1]])
        """
        check_neighbours(neighbours)
        graph = Graph._from_ordered(edges_of(neighbours), len(neighbours))
        if graph.num_edges == neighbours.numel():  # rows of one length: their ends are known
            pointer = torch.arange(len(neighbours) + 1, device=neighbours.device)
            graph.row_pointer = pointer * neighbours.shape[1]
        return graph

    @staticmethod
    def _from_ordered(edge_index: Tensor, num_nodes: int) -> Graph:
        """Return the graph of edges known to be valid, in order and each once."""
        graph = Graph.__new__(Graph)
        graph.edge_index, graph.num_nodes = edge_index, num_nodes
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
    @eagerly
    @_usable_in_training
    def row_pointer(self) -> Tensor:
        """``[N+1]``; the in-edges of node i are ``row_pointer[i]`` up to ``row_pointer[i+1]``."""
        return row_pointer_of(self.target, self.num_nodes)

    @property
    @eagerly
    def neighbours(self) -> Tensor | None:
        """``[N, K]``, sources of each node's in-edges; None unless every node has as many.

        >>> Graph(torch.tensor([[1, 0, 0, 1], [1, 0, 1, 0]]), num_nodes=2).neighbours
        tensor([[0, 1],
                [0, 1]])
        """
        degree = self.num_edges // max(1, self.num_nodes)
        if not bool((self.row_pointer.diff() == degree).all()):
            return None
        return self.source.view(self.num_nodes, degree)

    @cached_property
    @eagerly
    @_usable_in_training
    def transpose(self) -> Transpose:
        """The edges by source, made once, for backward passes of sparse products."""
        # Stable: the targets of a source stay ascending, so that the transpose is in order, too.
        permutation = stable_order(self.source, self.num_nodes)
        columns = self.target.index_select(0, permutation)
        row_pointer = row_pointer_of(self.source.index_select(0, permutation), self.num_nodes)
        if torch.equal(columns, self.source) and torch.equal(row_pointer, self.row_pointer):
            return Transpose(self.row_pointer, self.source, permutation)  # no memory of its own
        return Transpose(row_pointer, columns, permutation)

    @cached_property
    @eagerly
    def is_symmetric(self) -> bool:
        """Whether every edge has its reverse."""
        # In order and each once, a graph has one form only: equal tensors are equal graphs.
        pointer, columns, _ = self.transpose
        return torch.equal(columns, self.source) and torch.equal(pointer, self.row_pointer)

    @cached_property
    @eagerly
    @_usable_in_training
    def pairs(self) -> Pairs:
        """The pairs of nodes that the edges join, for what does not depend on their direction."""
        if not self.is_symmetric:
            return Pairs(self.row_pointer, self.target, self.source, None)
        return self._symmetric_pairs()

    def _symmetric_pairs(self) -> Pairs:
        # Of j → i and i → j one is kept: by parity, so that all rows lose about half.
        odd = ((self.source + self.target) & 1).bool()
        kept = (self.source <= self.target) ^ odd
        rank = kept.cumsum(0) - 1
        # The n-th edge by source is the reverse of the n-th by target, as both orders agree.
        position = torch.where(kept, rank, rank.index_select(0, self.transpose.permutation))
        edges = kept.nonzero().squeeze(1)
        source, target = (end.index_select(0, edges) for end in self.edge_index)
        return Pairs(row_pointer_of(target, self.num_nodes), target, source, position)

    @property
    def knows_pairs(self) -> bool:
        """Whether :attr:`pairs` has been found already."""
        return "pairs" in self.__dict__

    @cached_property
    @eagerly
    @_usable_in_training
    def self_loops(self) -> Tensor:
        """Positions of the edges from a node to itself."""
        return (self.source == self.target).nonzero().squeeze(1)

    @eagerly
    @_usable_in_training
    def union(self, other: Graph) -> Graph:
        """Return the graph with the edges of either.

        Raises:
            ParameterError: the graphs differ in their number of nodes or in device.
        """
        # Student and teacher mostly share their graph. To compare costs far less than to merge, and
        # self brings the transpose and the pairs that were found already.
        if other is self or other == self:
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
        both = torch.cat([self.edge_index, other.edge_index], dim=1)
        return Graph._from_ordered(coalesce(both, self.num_nodes), self.num_nodes)

    @eagerly
    def with_self_loops(self) -> Graph:
        """Return the graph in which every node is also its own neighbour."""
        return self._with_self_loops

    @cached_property
    def _with_self_loops(self) -> Graph:
        # Kept, as networks ask for it in every step, and with it the transpose of the result.
        nodes = torch.arange(self.num_nodes, device=self.device)
        return self.union(Graph(torch.stack([nodes, nodes]), self.num_nodes))

    @eagerly
    @_usable_in_training
    def subgraph(self, nodes: Tensor) -> tuple[Graph, Tensor]:
        """Return the graph among some nodes, and the positions in ``edge_index`` of its edges.

        Args:
            nodes: int64 ``[M]``, ascending; node i of the result is ``nodes[i]``.

        >>> graph = Graph(torch.tensor([[0, 1, 2], [1, 2, 0]]), num_nodes=3)
        >>> part, edges = graph.subgraph(torch.tensor([1, 2]))
        >>> part.edge_index.tolist(), edges.tolist()
        ([[0], [1]], [2])
        """
        number = torch.full((self.num_nodes,), -1, device=self.device)
        number[nodes] = torch.arange(len(nodes), device=self.device)
        ends = number[self.edge_index]
        edges = (ends >= 0).all(0).nonzero().squeeze(1)
        # Ascending numbers leave the order of the edges as it is.
        return Graph._from_ordered(ends.index_select(1, edges), len(nodes)), edges

    @eagerly
    @_usable_in_training
    def in_edges(self, nodes: Tensor | None) -> InEdges:
        """Return the edges into some nodes, with the nodes at either end.

        Where these are less than half of all, they are numbered anew, so that what is computed for
        each node is not computed for the rest. The last results are kept: a mask of the training
        rows is the same in every step.

        Args:
            nodes: int64 ``[M]``, ascending; None for all.

        >>> graph = Graph(torch.tensor([[4, 5, 1], [0, 4, 2]]), num_nodes=6)
        >>> part = graph.in_edges(torch.tensor([4]))
        >>> part.graph.edge_index.tolist(), part.nodes.tolist(), part.positions.tolist()
        ([[1], [0]], [4, 5], [2])
        """
        if nodes is None or len(nodes) == self.num_nodes:
            return InEdges(self, None, None, self.num_nodes)
        nodes = nodes.to(self.device)
        for known, part in self._recent_in_edges:
            if torch.equal(known, nodes):
                return part
        first, last = self.row_pointer[:-1][nodes], self.row_pointer[1:][nodes]
        ends = (last - first).cumsum(0)
        count = int(ends[-1]) if len(ends) else 0
        shifts = (last - ends).repeat_interleave(last - first, output_size=count)
        positions = torch.arange(count, device=self.device) + shifts
        edge_index = self.edge_index.index_select(1, positions)
        met = torch.zeros(self.num_nodes, dtype=torch.bool, device=self.device)
        met[nodes] = True
        met[edge_index[0]] = True
        kept: Tensor | None = met.nonzero().squeeze(1)
        assert kept is not None
        if 2 * len(kept) < self.num_nodes:
            number = torch.empty(self.num_nodes, dtype=torch.int64, device=self.device)
            number[kept] = torch.arange(len(kept), device=self.device)
            # Ascending numbers leave the order of the edges as it is.
            graph = Graph._from_ordered(number[edge_index], len(kept))
        else:  # to gather nearly all features would cost more than to pass over the rest
            graph, kept = Graph._from_ordered(edge_index, self.num_nodes), None
        part = InEdges(graph, kept, positions, self.num_nodes)
        self._recent_in_edges[_IN_EDGES_KEPT - 1 :] = []
        self._recent_in_edges.insert(0, (nodes.clone(), part))
        return part

    @cached_property
    def _recent_in_edges(self) -> list[tuple[Tensor, InEdges]]:
        return []

    def to(self, device: torch.device | str) -> Graph:
        """Return the graph on ``device``: itself when it is already there."""
        with torch.inference_mode(mode=False):
            moved = self.edge_index.to(device)
        if moved is self.edge_index:
            return self
        return Graph._from_ordered(moved, self.num_nodes)  # what is valid and in order stays so

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


def recall_graph(edge_index: Tensor, num_nodes: int) -> Graph | None:
    """Return the graph that was remembered of the tensor, unless it was modified since."""
    known = _memo.get(edge_index)
    return known.graph if known is not None and known.matches(edge_index, num_nodes) else None


def remember_graph(edge_index: Tensor, graph: Graph) -> None:
    """Remember the graph of a tensor for as long as the tensor lives.

    Args:
        edge_index: int64 ``[2, E]``.
        graph: must not hold this very tensor object, or neither would ever be freed.
    """
    version = _version(edge_index)
    # Numpy, other processes and ``.data`` write without a new version. To compare the edges costs
    # about a hundredth of sorting them, but for an accelerator, which would have to be waited for.
    unseen = version is None or edge_index.device.type == "cpu"
    _memo[edge_index] = _Remembered(version, edge_index.clone() if unseen else None, graph)


class _Remembered(NamedTuple):
    version: int | None
    content: Tensor | None
    graph: Graph

    def matches(self, edge_index: Tensor, num_nodes: int) -> bool:
        if self.graph.num_nodes != num_nodes or self.version != _version(edge_index):
            return False
        return self.content is None or torch.equal(self.content, edge_index)


def _version(tensor: Tensor) -> int | None:
    """Return what in-place changes raise; None for tensors of inference_mode, which lack it."""
    return None if tensor.is_inference() else tensor._version


_memo: MutableMapping[Tensor, _Remembered] = WeakIdKeyDictionary()
