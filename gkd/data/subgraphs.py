"""Nodes of a large graph with the nodes that their in-edges lead to."""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple, TypeAlias

import torch
from pydantic import Field
from torch import Tensor

from gkd.functional.draws import distinct_draws
from gkd.graph.edge_index import row_pointer_of, stable_order

FanOut: TypeAlias = Annotated[int, Field(ge=1, le=10_000)] | Literal["all"]
"""How many in-edges of a node are drawn at most."""


class Subgraph(NamedTuple):
    """A part of a graph: some nodes, and in-edges of theirs and of those that these lead to.

    Attributes:
        nodes: int64 ``[M]``, their rows in the graph, those that were asked for first.
        edge_index: int64 ``[2, E]``, edges in the numbers of the part.
        edges: int64 ``[E]``, which edges of the graph these are.
    """

    nodes: Tensor
    edge_index: Tensor
    edges: Tensor


class Subgraphs:
    """The neighbourhoods of any nodes of a graph; a repeated edge stays one of several.

    Args:
        edge_index: int64 ``[2, E]``, checked.
        num_nodes: of the graph.

    >>> found = Subgraphs(torch.tensor([[0, 1, 2], [1, 2, 3]]), num_nodes=4)
    >>> found.around(torch.tensor([3]), ["all", "all"]).nodes
    tensor([3, 2, 1])
    """

    def __init__(self, edge_index: Tensor, num_nodes: int) -> None:
        source, target = edge_index
        # Where edges are sorted by target, as those of gkd's data are, nothing is copied.
        ascending = bool((target[1:] >= target[:-1]).all())
        self._order = None if ascending else stable_order(target, num_nodes)
        if self._order is not None:
            source, target = source[self._order], target[self._order]
        self._source = source
        self.pointer = row_pointer_of(target.contiguous(), num_nodes)
        """Where the in-edges of each node begin among those sorted by target, ``[N + 1]``."""
        self._local = torch.full((num_nodes,), -1, device=source.device)

    def around(
        self, nodes: Tensor, fan_outs: Sequence[FanOut], generator: torch.Generator | None = None
    ) -> Subgraph:
        """Return some nodes with a neighbourhood of as many hops as there are fan-outs.

        Args:
            nodes: int64 ``[S]``, each once.
            fan_outs: of these nodes, of those that their edges lead to, and so on.
            generator: of the draws, on the device of the nodes; "all" needs none.
        """
        local, count, device = self._local, len(nodes), nodes.device
        found, ends, edges = [nodes], [], []
        try:
            local[nodes] = torch.arange(count, device=device)
            frontier = nodes
            for fan_out in fan_outs:
                begin = count - len(frontier)
                drawn, owner = self._drawn(frontier, fan_out, generator)
                sources = self._source.index_select(0, drawn)
                frontier = torch.unique(sources[local[sources] < 0])
                local[frontier] = torch.arange(count, count + len(frontier), device=device)
                count += len(frontier)
                found.append(frontier)
                ends.append(torch.stack([local[sources], owner + begin]))
                edges.append(drawn if self._order is None else self._order[drawn])
        finally:
            for each in found:
                local[each] = -1
        return Subgraph(torch.cat(found), torch.cat(ends, dim=1), torch.cat(edges))

    def _drawn(
        self, nodes: Tensor, fan_out: FanOut, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Return places of drawn edges among those sorted by target, and which node's each is."""
        begins = self.pointer[nodes]
        degrees = self.pointer[nodes + 1] - begins
        counts = degrees if fan_out == "all" else degrees.clamp(max=fan_out)
        owner = torch.arange(len(nodes), device=nodes.device).repeat_interleave(counts)
        within = torch.arange(len(owner), device=nodes.device) - (counts.cumsum(0) - counts)[owner]
        if fan_out != "all" and (more := degrees > fan_out).any():
            assert generator is not None
            within[more[owner]] = distinct_draws(degrees[more], fan_out, generator).flatten()
        return begins[owner] + within, owner
