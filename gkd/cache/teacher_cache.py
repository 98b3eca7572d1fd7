"""What teachers say, kept per sample."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from torch import nn

from gkd.cache.entries import Pieces, TeacherTerms
from gkd.cache.files import PieceFiles, require_folder
from gkd.cache.request import BatchRequest
from gkd.cache.store import Shelf
from gkd.cache.weights import autocast_dtype, weights_fingerprint, weights_hash
from gkd.errors import ParameterError
from gkd.loss import View


class TeacherCache:
    """What terms need of teachers, kept per sample, so that a frozen teacher runs once per sample.

    Kept are the teacher's logits and tapped outputs; or, where a loss can make a target of them
    that depends on the sample alone, the target in their place, which is often much smaller. A
    batch whose samples are all known is answered by putting these together; otherwise the teacher
    runs on the whole batch. What was kept is dropped when the teacher's weights change. One cache
    may serve several distillers.

    Batches need ``ids`` (a name per sample, different for different samples, also across splits)
    and ``ptr`` (``int64 [B + 1]``, where each sample's nodes begin), as :func:`gkd.collate` and
    PyTorch Geometric make them. The data must not be augmented, and the teacher must treat each
    sample of a batch by itself; both are checked.

    Args:
        limit_bytes: memory for what is kept, on the teacher's device.
        folder: for files with what memory has no room for. They are named after the content of
            the teacher's weights, the sample, its tap and its loss, so that other processes and
            later ones find them; several at once may use one folder. Without a folder, a warning
            says how many samples are kept; the others go to the teacher in every epoch.
        key: what else the files depend on: the code of teacher and losses, if it changes while
            the folder is in use.

    Attributes:
        hits: batches answered from what was kept.
        misses: batches that the teacher ran on.

    Raises:
        ParameterError: the limit is not a positive whole number, or the folder is a file or lies
            below one; in use, the batch has no ids, an output cannot be divided among the samples,
            or the teacher mixes them.
        DataError: a sample is not what it was when it was first seen.

    >>> TeacherCache(limit_bytes=2**30)
    TeacherCache(limit_bytes=1073741824, num_bytes=0, num_samples=0)
    """

    def __init__(
        self, limit_bytes: int = 2**30, folder: str | Path | None = None, key: str = ""
    ) -> None:
        if not isinstance(limit_bytes, int) or isinstance(limit_bytes, bool) or limit_bytes < 1:
            raise ParameterError(
                f"limit_bytes: expected a positive whole number, got {limit_bytes!r}"
            )
        self.limit_bytes = limit_bytes
        self.folder = None if folder is None else Path(folder)
        if self.folder is not None:
            require_folder(self.folder)
        self.key = key
        self.hits = 0
        self.misses = 0
        self._shelves: WeakKeyDictionary[nn.Module, Shelf] = WeakKeyDictionary()
        self._warned = False

    @property
    def num_samples(self) -> int:
        """Number of samples of which something is kept, counted once per teacher."""
        return sum(
            bool(sample.pieces)
            for shelf in self._shelves.values()
            for sample in shelf.samples.values()
        )

    @property
    def num_bytes(self) -> int:
        """Memory that the kept tensors take."""
        return sum(shelf.num_bytes for shelf in self._shelves.values())

    @property
    def num_bytes_in_files(self) -> int:
        """Content of the files that this process wrote or found."""
        return sum(shelf.num_bytes_in_files for shelf in self._shelves.values())

    def views(
        self,
        teacher: nn.Module,
        batch: object,
        inputs: Mapping[str, object],
        terms: TeacherTerms,
        names: Collection[str],
    ) -> dict[str, View]:
        """Return what terms see of the teacher, from what was kept if all samples are known.

        Args:
            teacher: in evaluation mode.
            batch: with ``ids`` and ``ptr``.
            inputs: what the teacher is called with, by name.
            terms: all that compare with this teacher.
            names: those whose views are wanted now.
        """
        request = BatchRequest(self._shelf(teacher), batch, inputs, terms)
        known = request.known()
        if known is None:
            self.misses += 1
            pieces = request.run(teacher)
            self._keep(request, pieces)
            return terms.views_of_pieces(batch, pieces, names)
        self.hits += 1
        request.check_independence(teacher, known)
        return terms.views_of_pieces(batch, known, names)

    def remember(
        self,
        teacher: nn.Module,
        batch: object,
        inputs: Mapping[str, object],
        terms: TeacherTerms,
    ) -> bool:
        """Make sure that ``batch`` is kept; False where there is no room for it.

        The arguments are those of :meth:`views`. A sample that was kept stays as it was.
        """
        request = BatchRequest(self._shelf(teacher), batch, inputs, terms)
        if request.known() is not None:
            return True
        self.misses += 1
        return self._keep(request, request.run(teacher))

    def clear(self) -> None:
        """Drop everything that is kept; files stay."""
        self._shelves.clear()

    def _shelf(self, teacher: nn.Module) -> Shelf:
        fingerprint = weights_fingerprint(teacher)
        shelf = self._shelves.get(teacher)
        if shelf is None or shelf.fingerprint != fingerprint:
            shelf = self._shelves[teacher] = self._new_shelf(teacher, fingerprint)
        return shelf

    def _new_shelf(self, teacher: nn.Module, fingerprint: object) -> Shelf:
        if self.folder is None:
            return Shelf(fingerprint)
        device = next((p.device for p in teacher.parameters()), torch.device("cpu"))
        content = [self.key, weights_hash(teacher), str(autocast_dtype(device.type))]
        return Shelf(fingerprint, PieceFiles(self.folder), content, device)

    def _keep(self, request: BatchRequest, pieces: Pieces) -> bool:
        complete = True
        for id, parts in request.new_parts(pieces):
            room = self.limit_bytes - self.num_bytes
            complete &= request.shelf.keep(id, parts, request.ids, room)
        if not complete and not self._warned:
            self._warned = True
            disk = "" if self.folder is None else f", and no room on the disk of {self.folder}"
            warnings.warn(
                f"teacher cache: full at {self.num_samples} samples (limit_bytes="
                f"{self.limit_bytes}{disk}); batches with other samples run the teacher every time",
                stacklevel=3,
            )
        return complete

    def __reduce__(self) -> tuple[type[TeacherCache], tuple[int, Path | None, str]]:
        # A copy, a checkpoint or another process starts empty: the tensors can be made again.
        return TeacherCache, (self.limit_bytes, self.folder, self.key)

    def __repr__(self) -> str:
        return (
            f"TeacherCache(limit_bytes={self.limit_bytes}, num_bytes={self.num_bytes}, "
            f"num_samples={self.num_samples})"
        )
