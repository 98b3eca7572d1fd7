"""Other ways to write the same edges down."""

import torch
from hypothesis import strategies as st
from torch import Tensor


@st.composite
def edge_orders(draw: st.DrawFn, edge_index: Tensor, repeat: bool = True) -> Tensor:
    """Draw the same edges in another order, not contiguous in memory.

    Args:
        draw: given by hypothesis.
        edge_index: int64 ``[2, E]``.
        repeat: whether some may be listed twice.
    """
    edges = edge_index.t().tolist()
    shuffled = draw(st.permutations(edges))
    repeated = draw(st.lists(st.sampled_from(edges), max_size=2)) if edges and repeat else []
    return torch.tensor([*shuffled, *repeated], dtype=torch.int64).reshape(-1, 2).t()
