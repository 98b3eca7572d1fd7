"""Rows of a tapped tensor: read as a layout says, or as what the batch says leaves one reading."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

import torch
from torch import Tensor

from gkd.data.batch_attributes import tensor_attribute
from gkd.data.batch_nodes import BatchNodes
from gkd.distillation.layout import ADVICE, Layout, layouts
from gkd.errors import DataError, TapError


def tapped_rows(
    features: Tensor,
    nodes: BatchNodes,
    layout: Layout | None,
    place: str,
    known: MutableMapping[str, Layout] | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Return the rows ``[N, F]`` of a tapped tensor, and the sample of each.

    Args:
        features: of two to four axes.
        nodes: of the batch that the network ran on.
        layout: what the axes are; None for what the batch says of them.
        place: what messages call the tensor.
        known: what earlier batches left as the one layout, by place, which this one is added to:
            sizes that coincide in one batch do not in another.

    Returns:
        The samples are None where the rows are not the batch's nodes.

    Raises:
        TapError: the layout is another's, or none is given and several, or none, can be.
        DataError: the mask of the layout is missing or does not fit.
    """
    if layout is None and features.ndim > 2:
        layout = _recognise(features, nodes, place, {} if known is None else known)
    if layout is None:
        return features, nodes.samples_of(len(features))
    axes = layout.form.split()
    if features.ndim != len(axes):
        raise TapError(
            f"{place} yields a tensor of shape {list(features.shape)}, which has not the "
            f"{len(axes)} axes of its layout {layout.form!r}"
        )
    rows = layout.rows(features)
    if not layout.per_sample:
        return rows, nodes.samples_of(len(rows))
    count = len(features)
    each = len(rows) // max(count, 1)
    samples = _by_sample(count, each, features.device)
    if layout.mask is None:
        return rows, samples
    mask = tensor_attribute(nodes.batch, layout.mask, f"layout of {place}")
    if mask.dtype != torch.bool or mask.shape != (count, each):
        raise DataError(
            f"{place} yields a tensor of shape {list(features.shape)}; the mask of its layout "
            f"{layout.form!r} must be boolean [{count}, {each}], but batch.{layout.mask} is "
            f"{str(mask.dtype).removeprefix('torch.')} {list(mask.shape)}"
        )
    chosen = mask.flatten()
    return rows[chosen], samples[chosen]


def _recognise(
    features: Tensor, nodes: BatchNodes, place: str, known: MutableMapping[str, Layout]
) -> Layout:
    """Return the one layout that the batch's numbers of nodes and samples allow."""
    shape = tuple(features.shape)
    readings = list(_readings(shape, nodes))
    if place in known:
        readings = [layout for layout in readings if layout.form == known[place].form]
    # Of layouts that make the same rows the first will do, but is not what the axes are.
    different = {(layout.mask, layout.reads_as(shape)): layout for layout in reversed(readings)}
    if len(different) == 1:
        if len(readings) == 1:
            known.setdefault(place, readings[0])
        return readings[0]
    counts = ((nodes.number, "nodes"), (nodes.num_samples, "samples"))
    said = " in ".join(
        f"{'an unknown number of' if count is None else count} {name}" for count, name in counts
    )
    several = " or ".join(repr(str(layout)) for layout in [*different.values()][::-1])
    if place in known:
        several = several or f"no {known[place].form!r}, which it was before"
    raise TapError(
        f"{place} yields a tensor of shape {list(shape)}, which for a batch of {said} may be "
        f"{several or 'none of the layouts there are'}; {ADVICE}"
    )


def _readings(shape: tuple[int, ...], nodes: BatchNodes) -> Iterator[Layout]:
    """Yield the layouts that a tensor of this shape may have."""
    named, samples = nodes.number, nodes.num_samples
    if samples is None:
        samples = next((len(tensor) for tensor in nodes.dense.values()), None)
    possible, masks = nodes.possible_numbers, nodes.masks
    for layout in layouts(len(shape)):
        count, width = layout.sizes(shape)
        if not layout.per_sample:
            if count in possible:
                yield layout
            continue
        # A width of 1 may be the place that pooling over nodes has left.
        if width == 1 or not shape[0] or samples not in (None, shape[0]):
            continue
        padding = [name for name, t in masks.items() if t.shape == (shape[0], count // shape[0])]
        if count in possible and _agree(count, shape[0], nodes):
            yield layout
            # Dense attributes count padding as nodes: whether a mask leaves it out must be said.
            padding = padding if named is None else []
        elif named is not None:
            padding = [name for name in padding if int(masks[name].sum()) == named]
        else:
            padding = []
        yield from (Layout(layout.form, name) for name in padding)


def _agree(count: int, num_samples: int, nodes: BatchNodes) -> bool:
    """Whether samples of equal size are what the batch says."""
    vector = nodes.samples_of(count)
    if vector is None:
        return True
    return torch.equal(vector, _by_sample(num_samples, count // num_samples, vector.device))


def _by_sample(num_samples: int, rows_each: int, device: torch.device) -> Tensor:
    return torch.arange(num_samples, device=device).repeat_interleave(rows_each)
