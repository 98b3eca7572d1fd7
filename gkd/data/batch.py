"""Batches: several samples as one disconnected graph."""

from collections.abc import Mapping, Sequence
from itertools import accumulate

import torch
from torch import Tensor

from gkd.data.sample import Sample, Tensors, holds_nodes, is_edge_index
from gkd.errors import DataError
from gkd.graph.disjoint_union import remember_union


class Batch(Tensors):
    """Several samples as one disconnected graph; made by :func:`collate`.

    Besides the samples' tensors it has ``batch`` (``int64 [N]``, the sample of each node,
    ascending) and ``ptr`` (``int64 [B + 1]``, where each sample's nodes begin).

    Args:
        tensors: the samples' tensors, concatenated, with ``batch`` and ``ptr``.
        ids: the samples' ids, ``B`` of them.
        extents: rows (columns, for numbers of nodes) that each sample has of each tensor.
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        ids: tuple[str, ...],
        extents: Mapping[str, tuple[int, ...]],
    ) -> None:
        super().__init__(tensors)
        self.ids = ids
        self.extents = extents
        self.num_nodes = int(tensors["batch"].numel())

    @property
    def num_graphs(self) -> int:
        """Number of samples B."""
        return len(self.ids)

    def split(self) -> list[Sample]:
        """Return the samples again, in order: the inverse of :func:`collate`."""
        starts = self.ptr.tolist()
        columns: dict[str, Sequence[Tensor]] = {}
        for name, extents in self.extents.items():
            whole = getattr(self, name)
            if holds_nodes(name, whole):
                parts = torch.split_with_sizes(whole, extents, dim=-1)
                columns[name] = [part - start for part, start in zip(parts, starts, strict=False)]
            else:
                columns[name] = torch.split_with_sizes(whole, extents)
        return [
            Sample(
                id=id,
                num_nodes=starts[i + 1] - starts[i],
                **{name: parts[i] for name, parts in columns.items()},
            )
            for i, id in enumerate(self.ids)
        ]

    def __repr__(self) -> str:
        return f"Batch({self.num_graphs} graphs, {self._shapes()})"


def collate(samples: Sequence[Sample]) -> Batch:
    """Concatenate samples into one batch, with numbers of nodes offset by the nodes before them.

    Edges sorted by (target, source) in every sample are so in the batch. Where samples have many
    edges, the graph of the batch joins the structure of theirs, which is found once per sample.

    Args:
        samples: at least one, all with the same names, dtypes and trailing shapes.

    Raises:
        DataError: there is no sample, or two do not go together.

    >>> a = Sample(id="a", x=torch.zeros(2, 1), edge_index=torch.tensor([[0], [1]]))
    >>> b = Sample(id="b", x=torch.ones(3, 1), edge_index=torch.tensor([[2], [0]]))
    >>> batch = collate([a, b])
    >>> batch.edge_index.tolist(), batch.ptr.tolist(), batch.batch.tolist()
    ([[0, 4], [1, 2]], [0, 2, 5], [0, 0, 1, 1, 1])
    """
    if not samples:
        raise DataError("a batch needs at least one sample")
    for sample in samples[1:]:
        _check_alike(samples[0], sample)
    sizes = [sample.num_nodes for sample in samples]
    starts = [0, *accumulate(sizes)]
    tensors: dict[str, Tensor] = {}
    extents: dict[str, tuple[int, ...]] = {}
    device: torch.device | None = None
    for name, first in samples[0].items():
        parts = [getattr(sample, name) for sample in samples]
        numbered = holds_nodes(name, first)
        dim = -1 if numbered else 0
        extents[name] = tuple(part.shape[dim] for part in parts)
        if numbered:
            # starts has one more entry than there are samples: where the last one ends.
            shifted = [part + start for part, start in zip(parts, starts, strict=False)]
            tensors[name] = torch.cat(shifted, dim)
            if is_edge_index(name):
                # What was found out about their graphs need not be found again for the batch.
                remember_union(tensors[name], list(zip(parts, sizes, strict=True)))
        else:
            tensors[name] = torch.cat(parts, dim)
        device = first.device
    tensors["batch"] = torch.arange(len(samples), device=device).repeat_interleave(
        torch.tensor(sizes, device=device)
    )
    tensors["ptr"] = torch.tensor(starts, device=device)
    return Batch(tensors, tuple(sample.id for sample in samples), extents)


def _check_alike(first: Sample, other: Sample) -> None:
    pair = f"samples {first.id!r} and {other.id!r} cannot be batched"
    if set(first.keys()) != set(other.keys()):
        raise DataError(f"{pair}: one has {sorted(first.keys())}, the other {sorted(other.keys())}")
    for name, tensor in first.items():
        twin = getattr(other, name)
        # Of numbers of nodes a sample has as many columns as it likes, of all others rows.
        numbered = holds_nodes(name, tensor) and holds_nodes(name, twin)
        rest = slice(None, -1) if numbered else slice(1, None)
        if tensor.dtype != twin.dtype or tensor.shape[rest] != twin.shape[rest]:
            raise DataError(
                f"{pair}: {name} is {tensor.dtype} {list(tensor.shape)} in one, "
                f"{twin.dtype} {list(twin.shape)} in the other"
            )
