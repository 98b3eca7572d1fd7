"""Which graph an edge index stands for: found once, shared by everything that sees the tensor."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

if TYPE_CHECKING:
    from gkd.graph import Graph


def remembered_graph(edge_index: Tensor, num_nodes: int) -> Graph | None:
    """Return the graph that was remembered of the tensor, unless it was modified since."""
    known = _memo.get(edge_index)
    return known.graph if known is not None and known.matches(edge_index, num_nodes) else None


def remember_graph(edge_index: Tensor, graph: Graph) -> None:
    """Remember the graph of a tensor for as long as the tensor lives.

    Args:
        edge_index: int64 ``[2, E]``.
        graph: must not hold this very tensor object, or neither would ever be freed.
    """
    # Tensors made under inference_mode count no versions: their content is compared instead.
    counts = not edge_index.is_inference()
    version = edge_index._version if counts else None
    _memo[edge_index] = _Remembered(version, None if counts else edge_index.clone(), graph)


class _Remembered(NamedTuple):
    version: int | None
    content: Tensor | None
    graph: Graph

    def matches(self, edge_index: Tensor, num_nodes: int) -> bool:
        version = None if edge_index.is_inference() else edge_index._version
        if self.graph.num_nodes != num_nodes or self.version != version:
            return False
        return self.content is None or torch.equal(self.content, edge_index)


_memo: MutableMapping[Tensor, _Remembered] = WeakIdKeyDictionary()
