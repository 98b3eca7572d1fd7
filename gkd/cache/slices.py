"""Views of a batch taken apart by sample, and put together again."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor

from gkd.errors import ParameterError
from gkd.graph import Graph
from gkd.graph.disjoint_union import DisjointUnion
from gkd.loss import View

Value = TypeVar("Value")


def split_view(view: View, ptr: Tensor, place: str) -> list[View]:
    """Return the view of each sample, in memory of its own.

    It has no batch vector, and a graph only where there is nothing else in it: what has values
    on the edges of a graph is put together with that of its batch again.

    Args:
        view: of a batch: logits and features with a row per node or per sample, a graph over the
            nodes, values on its edges.
        ptr: int64 ``[B + 1]``, where each sample's nodes begin.
        place: what it is a view of, for messages.

    Raises:
        ParameterError: it cannot be divided among the samples.
    """
    starts = ptr.tolist()
    # Edges are sorted by target, so those of a sample lie side by side.
    borders = [] if view.graph is None else view.graph.row_pointer[ptr].tolist()
    none = [None] * (len(starts) - 1)
    logits = none if view.logits is None else _rows(view.logits, starts, f"{place}: logits")
    features = none if view.features is None else _rows(view.features, starts, place)
    graphs: Sequence[Graph | None] = none
    supplied = any(part is not None for part in (view.logits, view.features, view.edge_values))
    if view.graph is not None and not supplied:
        graphs = [
            Graph(view.graph.edge_index[:, first:last] - start, end - start)
            for (start, end), (first, last) in zip(pairwise(starts), pairwise(borders), strict=True)
        ]
    values: Sequence[Tensor | None] = none
    if view.edge_values is not None:
        num_edges = borders[-1] if borders else None
        if len(view.edge_values) != num_edges:
            raise ParameterError(
                f"teacher cache: {place} has values of shape {list(view.edge_values.shape)} for "
                f"the {'missing graph' if num_edges is None else f'{num_edges} edges of its graph'}"
            )
        values = _pieces(view.edge_values, borders)
    return [
        View(logits[i], features[i], graphs[i], edge_values=values[i]) for i in range(len(none))
    ]


def join_views(views: Sequence[View]) -> View:
    """Return the view of the batch that samples make up; undoes :func:`split_view`."""
    return View(
        logits=_joined([view.logits for view in views], torch.cat),
        features=_joined([view.features for view in views], torch.cat),
        graph=_joined([view.graph for view in views], DisjointUnion),
        edge_values=_joined([view.edge_values for view in views], torch.cat),
    )


def _rows(rows: Tensor, starts: list[int], place: str) -> list[Tensor]:
    samples = len(starts) - 1
    if len(rows) == starts[-1]:
        return _pieces(rows, starts)
    if len(rows) == samples:
        return _pieces(rows, list(range(samples + 1)))
    raise ParameterError(
        f"teacher cache: {place} of shape {list(rows.shape)} has neither a row per node "
        f"({starts[-1]}) nor per sample ({samples}), so it cannot be kept per sample"
    )


def _pieces(rows: Tensor, starts: list[int]) -> list[Tensor]:
    # Copies: a slice would keep the whole batch's memory alive.
    sizes = [end - start for start, end in pairwise(starts)]
    return [piece.clone() for piece in rows.detach().split_with_sizes(sizes)]


def _joined(values: Sequence[Value | None], join: Callable[[list[Value]], Value]) -> Value | None:
    there = [value for value in values if value is not None]
    return (there[0] if len(there) == 1 else join(there)) if there else None
