"""Graphs, features on their nodes, and other orders of these."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

from gkd.graph import Graph

# What goes wrong does so in special cases: these are the rule here, and shrink to the others.
_OFTEN = st.sampled_from([False, True, True])


@st.composite
def edge_indices(draw: st.DrawFn, sizes: Sequence[int], max_edges: int = 12) -> Tensor:
    """Draw edges within samples of these sizes, int64 ``[2, E]`` in any order.

    Self-loops and repeated edges occur; nodes without edges do, and no edges at all.

    Args:
        draw: given by hypothesis.
        sizes: number of nodes of each sample; those of one sample are consecutive.
        max_edges: of each sample, before some are repeated.
    """
    edges: list[tuple[int, int]] = []
    start = 0
    for size in sizes:
        if size:
            node = st.integers(start, start + size - 1)
            edges += draw(st.lists(st.tuples(node, node), max_size=max_edges))
        start += size
    repeated = draw(st.lists(st.sampled_from(edges), max_size=3)) if edges else []
    return torch.tensor([*edges, *repeated], dtype=torch.int64).reshape(-1, 2).t().contiguous()


@st.composite
def graphs(draw: st.DrawFn, min_nodes: int = 1, max_nodes: int = 8) -> Graph:
    """Draw graphs with isolated nodes, self-loops and repeated edges; without any edge, too."""
    num_nodes = draw(st.integers(min_nodes, max_nodes))
    return Graph(draw(edge_indices([num_nodes])), num_nodes)


@dataclass(frozen=True)
class Structure:
    """The edges of one or more samples.

    Attributes:
        edge_index: int64 ``[2, E]`` in any order, with repetitions.
        num_nodes: N.
        batch: sample of each node, int64 ``[N]``, ascending; None where there is one sample.
    """

    edge_index: Tensor
    num_nodes: int
    batch: Tensor | None

    @property
    def graph(self) -> Graph:
        """The same edges, sorted and each once."""
        return Graph(self.edge_index, self.num_nodes)


@st.composite
def structures(draw: st.DrawFn, max_nodes: int = 5, max_samples: int = 3) -> Structure:
    """Draw edges of up to ``max_samples`` samples of 1 to ``max_nodes`` nodes each."""
    sizes = draw(st.lists(st.integers(1, max_nodes), min_size=1, max_size=max_samples))
    numbered = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    batch = None if len(sizes) == 1 else numbered
    return Structure(draw(edge_indices(sizes)), sum(sizes), batch)


@st.composite
def features(
    draw: st.DrawFn, num_nodes: int, width: int | None = None, smooth: bool = False
) -> Tensor:
    """Draw normally distributed features, float64 ``[N, F]`` with F from 1 to 5.

    They are multiples of 1/8, so that a printed example is the example, and sums of squares are
    exact: equal rows have a distance of exactly 0. Some rows are equal, or zero.

    Args:
        draw: given by hypothesis.
        num_nodes: N.
        width: F, where it is given.
        smooth: all digits, and no two rows or numbers equal: nowhere near a kink.
    """
    width = draw(st.integers(1, 5)) if width is None else width
    # One draw for all numbers: hypothesis shrinks sizes, which is what a reader wants, and not each
    # number, which would take most of the search.
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31 - 1)))
    values = torch.randn(num_nodes, width, generator=random, dtype=torch.float64)
    if smooth:
        return values
    values = (values * draw(st.sampled_from([8.0, 24.0]))).round() / 8
    if num_nodes > 1 and draw(_OFTEN):
        values[draw(st.integers(1, num_nodes - 1)) :] = values[0]
    if num_nodes > 0 and draw(_OFTEN):
        values[draw(st.integers(0, num_nodes - 1))] = 0
    return values


@st.composite
def relabellings(draw: st.DrawFn, num_nodes: int, batch: Tensor | None = None) -> Tensor:
    """Draw another order of the nodes, int64 ``[N]``: the n-th node was ``order[n]``.

    Nodes stay within their sample.
    """
    sizes = [num_nodes] if batch is None else torch.bincount(batch).tolist()
    order: list[int] = []
    for size in sizes:
        start = len(order)
        order += draw(st.permutations(range(start, start + size)))
    return torch.tensor(order, dtype=torch.int64)
