"""Teacher outputs, kept per sample."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from pydantic import NonNegativeInt
from torch import Tensor, nn

from gkd.cache.keys import autocast_dtype, sample_digests, weights_fingerprint, weights_hash
from gkd.cache.slices import agree, halve, join_views, move, split_view, take_rows
from gkd.cache.store import Entry, EntryFiles, Store
from gkd.data.batch_nodes import BatchNodes
from gkd.errors import DataError, ParameterError, validated
from gkd.functional.network_input import device_of
from gkd.loss import View


@dataclass(frozen=True)
class Question:
    """What a cache is asked about a batch: the entries of a teacher, by key.

    Args:
        teacher: the network, in evaluation mode.
        label: what messages call it.
        call: what it is called with, and where its logits are; the same in any process.
        keys: names of all entries that are kept of a sample, the same for every batch.
        nodes: of the batch, which has ``ids`` and ``ptr``.
        content: all of the batch that entries follow from, by name.
        run: runs the teacher, and returns the entries of the batch.
    """

    teacher: nn.Module
    label: str
    call: str
    keys: Sequence[str]
    nodes: BatchNodes
    content: Mapping[str, object]
    run: Callable[[], Mapping[str, View]]

    @cached_property
    def ptr(self) -> Tensor:
        """Where the nodes of each sample begin, ``[B + 1]``.

        Raises:
            DataError: the batch does not say it.
            ParameterError: it does not name each of its samples.
        """
        kind, ids, ptr = type(self.nodes.batch).__name__, self.nodes.ids, self.nodes.ptr
        if ptr is None:
            raise DataError(
                f"teacher cache: the batch ({kind}) has no 'ptr', where the nodes of each sample "
                "begin ([0, N] for a single sample), as gkd.collate makes it beside the samples' "
                "'ids'"
            )
        if len(ids) != len(ptr) - 1:
            raise ParameterError(
                f"teacher cache: the batch ({kind}) has {len(ptr) - 1} samples and {len(ids)} "
                "'ids'; name the samples or pass teacher_cache=None"
            )
        return ptr

    @cached_property
    def digests(self) -> list[dict[str, int]]:
        """What tells each sample from others of the same id."""
        edge_index = getattr(self.nodes.batch, "edge_index", None)
        return sample_digests(self.content, self.ptr, edge_index)

    @cached_property
    def company(self) -> str:
        """What tells this batch's samples from those of any other batch."""
        return hashlib.sha256(repr(self.nodes.ids).encode()).hexdigest()


class TeacherCache:
    """What terms need of teachers, kept per sample, so that a frozen teacher runs once per sample.

    Kept are the teacher's logits and tapped outputs; or, where a loss makes a target of them
    that depends on the sample and nothing else, the target in their place, which is often much
    smaller. A batch whose samples are all known is answered by putting these together; otherwise
    the teacher runs on the whole batch. What was kept is dropped when the teacher's weights change,
    or what it is called with. One cache may serve several distillers.

    Batches need ``ids`` (a name per sample, different for different samples, also across splits)
    and ``ptr`` (``int64 [B + 1]``, where each sample's nodes begin), as :func:`gkd.collate` and
    PyTorch Geometric make them. The data must not be augmented, and the teacher must treat each
    sample of a batch by itself; both are checked.

    Args:
        limit_bytes: memory for what is kept, on the teacher's device; 0 for files alone, which are
            mapped into memory, so that of one large graph no more is read than a batch needs.
        folder: for files with what memory has no room for. They are named after the content of
            the teacher's weights, what it is called with, the sample, its tap and its loss, so that
            other processes and later ones find them; several at once may use one folder. Without a
            folder, a warning says how many samples are kept; the others go to the teacher in every
            epoch.
        key: what else the files depend on: the code of teacher and losses, if it changes while
            the folder is in use.
        half: keep numbers in half precision (float16): half the room, three digits.

    Attributes:
        hits: batches answered from what was kept.
        misses: batches that the teacher ran on.

    Raises:
        ParameterError: the limit is no whole number from 0 on, or the folder is a file or lies
            below one; in use, the batch has no ids, an output cannot be divided among the samples,
            or the teacher mixes them.
        DataError: a sample has changed since its teacher outputs were cached.

    >>> TeacherCache(limit_bytes=2**30)
    TeacherCache(limit_bytes=1073741824, num_bytes=0, num_samples=0)
    """

    @validated
    def __init__(
        self,
        limit_bytes: NonNegativeInt = 2**30,
        folder: str | Path | None = None,
        key: str = "",
        half: bool = False,
    ) -> None:
        self.limit_bytes = limit_bytes
        self.half = half
        self.folder = None if folder is None else Path(folder)
        for place in () if self.folder is None else (self.folder, *self.folder.parents):
            if os.path.lexists(place) and not place.is_dir():
                raise ParameterError(f"folder: {place} is not a folder")
        self.key = key
        self.hits = 0
        self.misses = 0
        self._stores: WeakKeyDictionary[nn.Module, Store] = WeakKeyDictionary()
        self._warned = False

    @property
    def num_samples(self) -> int:
        """Number of samples of which something is kept, counted once per teacher."""
        return sum(store.num_samples for store in self._stores.values())

    @property
    def num_bytes(self) -> int:
        """Memory that the kept tensors take."""
        return sum(store.num_bytes for store in self._stores.values())

    @property
    def num_bytes_in_files(self) -> int:
        """Content of the files that this process wrote or found."""
        return sum(store.num_bytes_in_files for store in self._stores.values())

    def views(self, question: Question, rows: Tensor | None = None) -> Mapping[str, View]:
        """Return the entries of a batch by key, from what was kept if all samples are known.

        Args:
            question: about the batch.
            rows: int64 ``[M]``, nodes to answer for where the batch is one graph; None for all.
        """
        store, found = self._look_up(question)
        if found is None:
            views, _ = self._run_and_keep(question, store)
        else:
            views = self._join(question, store, found)
        device = device_of(question.teacher)
        dtype = next(question.teacher.parameters(), torch.empty(0)).dtype if self.half else None
        # They move when samples are joined and rows are taken: to move the samples of a batch one
        # by one takes most of a step, and of a graph in a file no more is read than those rows.
        return {
            key: move(view if rows is None else take_rows(view, rows), device, dtype)
            for key, view in views.items()
        }

    def remember(self, question: Question) -> bool:
        """Make sure that a batch is kept; False where there is no room for it.

        A sample that was kept stays as it was.
        """
        store, found = self._look_up(question)
        return found is not None or self._run_and_keep(question, store)[1]

    def clear(self) -> None:
        """Drop everything that is kept; files stay."""
        self._stores.clear()

    def _look_up(self, question: Question) -> tuple[Store, dict[str, list[Entry]] | None]:
        """Return where a teacher's entries are, and those of a batch if all are there."""
        teacher = question.teacher
        fingerprint = weights_fingerprint(teacher), question.call
        store = self._stores.get(teacher)
        if store is None or store.fingerprint != fingerprint:
            content = []
            if self.folder is not None:
                # Hashing all weights takes a while: only files need names that others can find.
                content = [self.key, weights_hash(teacher), question.call]
                content += [str(autocast_dtype(teacher)), *(["half"] if self.half else [])]
            store = Store(fingerprint, EntryFiles(self.folder, content))
            self._stores[teacher] = store
        return store, store.find(question.nodes.ids, question.digests, question.keys)

    def _join(
        self, question: Question, store: Store, found: Mapping[str, Sequence[Entry]]
    ) -> dict[str, View]:
        """Return the kept entries of a batch; the first in other company only if they are right."""
        self.hits += 1
        views = {key: join_views([each.view for each in entries]) for key, entries in found.items()}
        unsure = [
            key
            for key, entries in found.items()
            if key not in store.independent
            and any(entry.company != question.company for entry in entries)
        ]
        if unsure:
            made = question.run()
            for key in unsure:
                if not agree(views[key], made[key]):
                    why = (
                        "for a sample depend on the other samples in the batch"
                        if agree(made[key], question.run()[key])
                        else "are drawn at random, also in evaluation mode"
                    )
                    raise ParameterError(
                        f"teacher cache: the outputs of the {question.label} {why}, so they cannot "
                        "be kept; pass teacher_cache=None"
                    )
            store.independent.update(unsure)
        return views

    def _run_and_keep(self, question: Question, store: Store) -> tuple[dict[str, View], bool]:
        """Run the teacher; return its entries, and whether there was room for those of all."""
        self.misses += 1
        views, parts = dict(question.run()), {}
        for key, view in views.items():
            kind, _, tap = key.partition(":")
            place = f"{question.label}: {f'tap {tap!r}' if kind == 'features' else key}"
            if self.half:
                views[key] = halve(view, place)
            parts[key] = split_view(views[key], question.ptr, place)
        room = self.limit_bytes - self.num_bytes
        complete = store.keep(question.nodes.ids, parts, question.company, room)
        if not complete and not self._warned:
            self._warned = True
            disk = "" if self.folder is None else f", and no room on the disk of {self.folder}"
            warnings.warn(
                f"teacher cache: full at {self.num_samples} samples (limit_bytes="
                f"{self.limit_bytes}{disk}); batches with other samples run the teacher every time",
                stacklevel=4,
            )
        return views, complete

    def __reduce__(self) -> tuple[type[TeacherCache], tuple[int, Path | None, str, bool]]:
        # A copy, a checkpoint or another process starts empty: the tensors can be made again.
        return TeacherCache, (self.limit_bytes, self.folder, self.key, self.half)

    def __repr__(self) -> str:
        return (
            f"TeacherCache(limit_bytes={self.limit_bytes}, num_bytes={self.num_bytes}, "
            f"num_samples={self.num_samples})"
        )
