"""Outputs of teachers, kept per sample."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import torch
from torch import nn

from gkd.distillation.batch_attributes import tensor_attribute
from gkd.distillation.network_outputs import NetworkOutputs, NetworkTaps, network_outputs
from gkd.distillation.sample_digest import bit_sum, sample_digests
from gkd.distillation.sample_slices import joined_outputs, split_outputs
from gkd.errors import DataError, ParameterError
from gkd.graph import Graph


@dataclass(frozen=True)
class _Kept:
    digest: tuple[int, ...]
    company: tuple[str, ...]
    outputs: NetworkOutputs

    def covers(self, taps: NetworkTaps) -> bool:
        return self.outputs.features.keys() >= set(taps.features) and (
            self.outputs.graphs.keys() >= set(taps.graphs)
        )


@dataclass
class _Shelf:
    """What is kept of one teacher, with one state of its weights."""

    fingerprint: object
    kept: dict[str, _Kept] = field(default_factory=dict)
    num_bytes: int = 0
    independence_checked: bool = False


class TeacherCache:
    """Logits and tapped outputs of teachers, so that a frozen teacher runs once per sample.

    A batch whose samples are all known is answered by concatenating what was kept; otherwise the
    teacher runs on the whole batch. What was kept is dropped when the teacher's weights change.
    One cache may serve several distillers.

    Batches need ``ids`` (a name per sample, different for different samples, also across splits)
    and ``ptr`` (``int64 [B + 1]``, where each sample's nodes begin), as :func:`gkd.collate` and
    PyTorch Geometric make them. The data must not be augmented, and the teacher must treat each
    sample of a batch by itself; both are checked.

    Args:
        limit_bytes: memory for what is kept. When the next sample does not fit, a warning says how
            many are kept; the others go to the teacher in every epoch.

    Attributes:
        hits: batches answered from memory.
        misses: batches that the teacher ran on.

    Raises:
        ParameterError: the limit is not a positive whole number; in use, the batch has no ids, an
            output cannot be divided among the samples, or the teacher mixes them.
        DataError: a sample is not what it was when it was first seen.

    >>> TeacherCache(limit_bytes=2**30)
    TeacherCache(limit_bytes=1073741824, num_bytes=0, num_samples=0)
    """

    def __init__(self, limit_bytes: int = 2**30) -> None:
        if not isinstance(limit_bytes, int) or isinstance(limit_bytes, bool) or limit_bytes < 1:
            raise ParameterError(
                f"limit_bytes: expected a positive whole number, got {limit_bytes!r}"
            )
        self.limit_bytes = limit_bytes
        self.hits = 0
        self.misses = 0
        self._shelves: WeakKeyDictionary[nn.Module, _Shelf] = WeakKeyDictionary()
        self._warned = False

    @property
    def num_samples(self) -> int:
        """Number of samples kept, counted once per teacher."""
        return sum(len(shelf.kept) for shelf in self._shelves.values())

    @property
    def num_bytes(self) -> int:
        """Memory that the kept tensors take."""
        return sum(shelf.num_bytes for shelf in self._shelves.values())

    def outputs(
        self,
        teacher: nn.Module,
        batch: object,
        inputs: Mapping[str, object],
        taps: NetworkTaps,
    ) -> NetworkOutputs:
        """Return the teacher's outputs for ``batch``, from memory if all its samples are known.

        Args:
            teacher: in evaluation mode.
            batch: with ``ids`` and ``ptr``.
            inputs: what the teacher is called with, by name.
            taps: what the outputs must hold.
        """
        ptr = tensor_attribute(batch, "ptr", "teacher cache")
        ids = _ids(batch, len(ptr) - 1)
        edge_index = getattr(batch, "edge_index", None)
        digests = sample_digests(inputs, ptr, edge_index)
        shelf = self._shelf(teacher)
        for id, digest in zip(ids, digests, strict=True):
            if id in shelf.kept:
                _require_same(id, digest, shelf.kept[id].digest)
        known = [shelf.kept[id] for id in ids if id in shelf.kept and shelf.kept[id].covers(taps)]
        if len(known) < len(ids):
            self.misses += 1
            outputs = network_outputs(teacher, inputs, taps)
            self._keep(shelf, ids, digests, split_outputs(outputs, ptr, taps.name))
            return outputs
        self.hits += 1
        outputs = joined_outputs([kept.outputs for kept in known], taps)
        if not shelf.independence_checked and any(kept.company != ids for kept in known):
            _require_independence(outputs, network_outputs(teacher, inputs, taps), taps.name)
            shelf.independence_checked = True
        return outputs

    def clear(self) -> None:
        """Drop everything that is kept."""
        self._shelves.clear()

    def _shelf(self, teacher: nn.Module) -> _Shelf:
        fingerprint = _fingerprint(teacher)
        shelf = self._shelves.get(teacher)
        if shelf is None or shelf.fingerprint != fingerprint:
            shelf = self._shelves[teacher] = _Shelf(fingerprint)
        return shelf

    def _keep(
        self,
        shelf: _Shelf,
        ids: tuple[str, ...],
        digests: Sequence[tuple[int, ...]],
        samples: Sequence[NetworkOutputs],
    ) -> None:
        for id, digest, outputs in zip(ids, digests, samples, strict=True):
            cost = _num_bytes(outputs)
            if known := shelf.kept.get(id):
                outputs = _merged(known.outputs, outputs)
                cost = _num_bytes(outputs) - _num_bytes(known.outputs)
            if self.num_bytes + cost <= self.limit_bytes:
                shelf.kept[id] = _Kept(digest, ids, outputs)
                shelf.num_bytes += cost
            elif not self._warned:
                self._warned = True
                warnings.warn(
                    f"teacher cache: full at {self.num_samples} samples (limit_bytes="
                    f"{self.limit_bytes}); batches with other samples run the teacher every time",
                    stacklevel=2,
                )

    def __reduce__(self) -> tuple[type[TeacherCache], tuple[int]]:
        # A copy, a checkpoint or another process starts empty: the tensors can be made again.
        return TeacherCache, (self.limit_bytes,)

    def __repr__(self) -> str:
        return (
            f"TeacherCache(limit_bytes={self.limit_bytes}, num_bytes={self.num_bytes}, "
            f"num_samples={self.num_samples})"
        )


def _ids(batch: object, num_samples: int) -> tuple[str, ...]:
    ids = tuple(getattr(batch, "ids", ()))
    if len(ids) != num_samples:
        raise ParameterError(
            f"teacher cache: the batch ({type(batch).__name__}) has {num_samples} samples and "
            f"{len(ids)} 'ids'; name the samples or pass teacher_cache=None"
        )
    return ids


def _require_same(id: str, digest: tuple[int, ...], first: tuple[int, ...]) -> None:
    if digest == first:
        return
    sizes = f" (it had {first[0]} nodes and now has {digest[0]})" if digest[0] != first[0] else ""
    raise DataError(
        f"teacher cache: sample {id!r} is not what it was when its outputs were kept{sizes}; "
        "two samples share this id, or the data is augmented and needs teacher_cache=None"
    )


def _require_independence(kept: NetworkOutputs, run: NetworkOutputs, name: str) -> None:
    pairs = [(kept.logits, run.logits)]
    pairs += [(kept.features[tap], run.features[tap]) for tap in kept.features]
    for ours, theirs in pairs:
        # Means, because a near-tie between neighbours may fall differently in another batch.
        tolerance = torch.finfo(theirs.dtype).eps ** 0.5 * theirs.abs().mean()
        if (ours - theirs).abs().mean() > tolerance:
            raise ParameterError(
                f"teacher cache: the outputs of the {name} for a sample depend on the other "
                "samples in the batch, so they cannot be kept; pass teacher_cache=None"
            )


def _fingerprint(teacher: nn.Module) -> object:
    """Value that changes when a weight does, whether in place, through ``.data`` or by exchange."""
    tensors = [*teacher.parameters(), *teacher.buffers()]
    places = [(t.data_ptr(), None if t.is_inference() else t._version) for t in tensors]
    sums = [bit_sum(t) for t in tensors]
    device = tensors[0].device.type if tensors else "cpu"
    autocast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    return places, torch.stack(sums).tolist() if sums else [], autocast


def _merged(known: NetworkOutputs, new: NetworkOutputs) -> NetworkOutputs:
    """Return both distillers' taps, where two that use different ones share a cache."""
    features = {**known.features, **new.features}
    return NetworkOutputs(new.logits, features, {**known.graphs, **new.graphs})


def _num_bytes(outputs: NetworkOutputs) -> int:
    graphs = [g.edge_index if isinstance(g, Graph) else g for g in outputs.graphs.values()]
    return sum(t.nbytes for t in (outputs.logits, *outputs.features.values(), *graphs))
