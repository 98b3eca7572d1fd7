"""Hypothesis strategies for graphs and features, edge cases included."""

import torch
from hypothesis import strategies as st
from torch import Tensor

from gkd import Graph


@st.composite
def edge_indices(draw: st.DrawFn, num_nodes: int, max_edges: int = 30) -> Tensor:
    """Edges in any order, with self-loops and repetitions; int64 ``[2, E]``, E may be 0."""
    if num_nodes == 0:
        return torch.zeros(2, 0, dtype=torch.int64)
    node = st.integers(0, num_nodes - 1)
    edges = draw(st.lists(st.tuples(node, node), max_size=max_edges))
    repeated = draw(st.lists(st.sampled_from(edges), max_size=5)) if edges else []
    return torch.tensor([*edges, *repeated], dtype=torch.int64).reshape(-1, 2).t().contiguous()


@st.composite
def graphs(draw: st.DrawFn, min_nodes: int = 0, max_nodes: int = 10) -> Graph:
    """Graphs; nodes without in-edges, one node and no node occur."""
    num_nodes = draw(st.integers(min_nodes, max_nodes))
    return Graph(draw(edge_indices(num_nodes)), num_nodes)


@st.composite
def features(
    draw: st.DrawFn, num_nodes: int, width: int | None = None, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Normally distributed features ``[N, F]`` of a drawn scale; some rows coincide or vanish."""
    width = draw(st.integers(1, 6)) if width is None else width
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31 - 1)))
    values = torch.randn(num_nodes, width, generator=generator, dtype=dtype)
    values = values * draw(st.sampled_from([0.1, 1.0, 3.0]))
    if num_nodes > 1 and draw(st.booleans()):
        values[draw(st.integers(1, num_nodes - 1))] = values[0]
    if num_nodes > 0 and draw(st.booleans()):
        values[draw(st.integers(0, num_nodes - 1))] = 0
    return values


@st.composite
def permutations(draw: st.DrawFn, size: int) -> Tensor:
    """A permutation of ``0 … size-1``."""
    return torch.tensor(draw(st.permutations(range(size))), dtype=torch.int64)


@st.composite
def rotations(draw: st.DrawFn, width: int) -> Tensor:
    """A random orthogonal float64 matrix ``[F, F]``."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31 - 1)))
    return torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64)).Q
