"""Views of a batch taken apart by sample, and put together again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from gkd.cache.keys import indivisible
from gkd.errors import ParameterError
from gkd.graph import Graph
from gkd.graph.disjoint_union import DisjointUnion
from gkd.loss import View

_TENSORS = ("logits", "features", "edge_values")
_JOINS: Mapping[str, Callable[[list[Any]], object]] = {
    **dict.fromkeys(_TENSORS, torch.cat),
    "graph": DisjointUnion,
}


def tensors_of(view: View) -> dict[str, Tensor]:
    """Return the tensors that are kept of a view, by name."""
    return {name: part for name in _TENSORS if (part := getattr(view, name)) is not None}


def move(view: View, device: torch.device, dtype: torch.dtype | None) -> View:
    """Return the view on a device, its numbers in ``dtype`` where one is given."""
    graph = None if view.graph is None else view.graph.to(device)
    return replace(_changed(view, lambda z: z.to(device=device, dtype=dtype)), graph=graph)


def take_rows(view: View, rows: Tensor) -> View:
    """Return logits and features of some nodes, on whatever device the view is."""
    return _changed(view, lambda z: z.index_select(0, rows.to(z.device)))


def halve(view: View, place: str) -> View:
    """Return the view in half precision.

    Raises:
        ParameterError: it has numbers too large for that.
    """

    def halved(tensor: Tensor) -> Tensor:
        found = tensor.half()
        if (found.isinf() & tensor.isfinite()).any():
            raise ParameterError(
                f"teacher cache: {place} has numbers up to {tensor.abs().max():.3g}, which half "
                "precision has no room for (65504); keep it without half"
            )
        return found

    return _changed(view, halved)


def _changed(view: View, change: Callable[[Tensor], Tensor]) -> View:
    parts: dict[str, Any] = {name: change(part) for name, part in tensors_of(view).items()}
    return replace(view, **parts)


def agree(kept: View, made: View) -> bool:
    """Whether what was kept is the same as what is made now, but for rounding."""
    others = tensors_of(made)
    for name, ours in tensors_of(kept).items():
        theirs = others.get(name, ours)
        if ours.shape != theirs.shape:
            return False
        # Means, because a near-tie between neighbours may fall differently in another batch; and no
        # more digits than outputs have, which targets in double precision are made of.
        kinds = (ours.dtype, theirs.dtype, torch.float32)
        digits = max(torch.finfo(kind).eps for kind in kinds)
        difference = ours.to(theirs.device) - theirs
        if difference.abs().mean() > digits**0.5 * theirs.abs().mean():
            return False
    return True


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
    num_samples = len(starts) - 1
    # Edges are sorted by target, so those of a sample lie side by side.
    borders = [] if view.graph is None else view.graph.row_pointer[ptr].tolist()
    parts: dict[str, Sequence[Any]] = {}
    for name, what in (("logits", f"{place}: logits"), ("features", place)):
        rows = getattr(view, name)
        if rows is None:
            continue
        if len(rows) not in {starts[-1], num_samples}:
            raise indivisible(what, rows, starts[-1], num_samples)
        by_node = len(rows) == starts[-1]
        parts[name] = _pieces(rows, starts if by_node else range(num_samples + 1))
    if view.edge_values is not None:
        num_edges = borders[-1] if borders else None
        if len(view.edge_values) != num_edges:
            raise ParameterError(
                f"teacher cache: {place} has values of shape {list(view.edge_values.shape)} for "
                f"the {'missing graph' if num_edges is None else f'{num_edges} edges of its graph'}"
            )
        parts["edge_values"] = _pieces(view.edge_values, borders)
    if view.graph is not None and not parts:
        parts["graph"] = [
            Graph(view.graph.edge_index[:, first:last] - start, end - start)
            for (start, end), (first, last) in zip(pairwise(starts), pairwise(borders), strict=True)
        ]
    return [View(**{name: p[i] for name, p in parts.items()}) for i in range(num_samples)]


def join_views(views: Sequence[View]) -> View:
    """Return the view of the batch that samples make up; undoes :func:`split_view`.

    Raises:
        ParameterError: they do not go together, as where each is padded to another length.
    """
    parts: dict[str, Any] = {}
    for name, join in _JOINS.items():
        there = [part for view in views if (part := getattr(view, name)) is not None]
        shapes = {tuple(part.shape[1:]) for part in there if isinstance(part, Tensor)}
        if len(shapes) > 1:
            raise ParameterError(
                f"teacher cache: {name} of samples have other sizes {sorted(shapes)} than their "
                "rows, as where samples are padded to the largest of their batch, so they cannot "
                "be put together; pass teacher_cache=None"
            )
        if there:
            parts[name] = there[0] if len(there) == 1 else join(there)
    return View(**parts)


def _pieces(rows: Tensor, starts: Sequence[int]) -> list[Tensor]:
    # Copies: a slice would keep the whole batch's memory alive.
    sizes = [end - start for start, end in pairwise(starts)]
    return [piece.clone() for piece in rows.detach().split_with_sizes(sizes)]
