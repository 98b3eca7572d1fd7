"""What is kept of one teacher, with one state of its weights."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import torch

from gkd.cache.digest import NODES
from gkd.cache.files import FiledPiece, PieceFiles
from gkd.errors import DataError
from gkd.graph import Graph
from gkd.loss import View

_FORMAT = 1  # to be raised when a piece of the same name comes to mean something else


@dataclass
class KeptPiece:
    """One piece of one sample.

    Args:
        view: the piece; None where it is in a file.
        company: ids of the samples that the teacher saw together with it.
        num_bytes: what it takes, here or there.
    """

    view: View | None
    company: tuple[str, ...]
    num_bytes: int


@dataclass
class KeptSample:
    """What is kept of one sample: the digest of its inputs, and pieces by name."""

    digest: dict[str, int] = field(default_factory=dict)
    pieces: dict[str, KeptPiece] = field(default_factory=dict)

    def require_same(self, id: str, digest: Mapping[str, int]) -> None:
        """Make sure that the sample is what it was when it was first seen.

        Raises:
            DataError: it is not.
        """
        if self.agrees(digest):
            self.digest |= digest
            return
        then, now = self.digest[NODES], digest[NODES]
        sizes = f" (it had {then} nodes and now has {now})" if then != now else ""
        raise DataError(
            f"teacher cache: sample {id!r} is not what it was when its outputs were kept{sizes}; "
            "two samples share this id, or the data is augmented: then its dataset says "
            "augmented = True, and a Distiller takes teacher_cache=None"
        )

    def agrees(self, digest: Mapping[str, int]) -> bool:
        """Whether inputs that were looked at both times were the same."""
        return all(digest.get(name, number) == number for name, number in self.digest.items())


class Shelf:
    """Pieces of samples in memory, or in files where that is full.

    Attributes:
        num_bytes: of the pieces in memory.
        num_bytes_in_files: of the others.

    Args:
        fingerprint: of the teacher's weights, in this process.
        files: where pieces go that memory has no room for.
        content: what the pieces follow from, besides sample and loss; the same in any process.
        device: that the teacher is on.
    """

    def __init__(
        self,
        fingerprint: object,
        files: PieceFiles | None = None,
        content: Iterable[str] = (),
        device: torch.device | None = None,
    ) -> None:
        self.fingerprint = fingerprint
        self.files = files
        self.device = device or torch.device("cpu")
        self.num_bytes = self.num_bytes_in_files = 0
        self.samples: dict[str, KeptSample] = {}
        self.independent: set[str] = set()
        self._content = hashlib.sha256(json.dumps([_FORMAT, *content]).encode()).hexdigest()

    def sample(self, id: str, digest: Mapping[str, int]) -> KeptSample:
        """Return what is kept of a sample, perhaps nothing yet.

        Raises:
            DataError: the sample is not what it was.
        """
        sample = self.samples.setdefault(id, KeptSample(dict(digest)))
        sample.require_same(id, digest)
        return sample

    def look_for(self, id: str, names: Collection[str]) -> None:
        """Find pieces of a sample in files that another process, or an earlier one, left."""
        sample = self.samples[id]
        for name in names:
            if self.files is None or name in sample.pieces:
                continue
            found = self.files.read(self._key(id, name), self.device)
            # Another sample may have had this id, in other data: its file is written over.
            if found is not None and sample.agrees(found.digest):
                self._put(sample, name, KeptPiece(None, tuple(found.company), _size(found.view)))

    def piece(self, id: str, name: str) -> View | None:
        """Return a piece, None where its file is gone or damaged."""
        piece = self.samples[id].pieces[name]
        if piece.view is not None or self.files is None:
            return piece.view
        found = self.files.read(self._key(id, name), self.device)
        if found is None:
            self.num_bytes_in_files -= self.samples[id].pieces.pop(name).num_bytes
            return None
        return found.view

    def keep(self, id: str, parts: Mapping[str, View], company: tuple[str, ...], room: int) -> bool:
        """Keep pieces of a sample, in memory if together they take at most ``room`` bytes.

        Returns:
            Whether there was room for them, in memory or in files.
        """
        sample = self.samples[id]
        fits = sum(map(_size, parts.values())) <= room
        for name, view in parts.items():
            filed = FiledPiece(view, sample.digest, company)
            if not fits and not (self.files and self.files.write(self._key(id, name), filed)):
                return False
            self._put(sample, name, KeptPiece(view if fits else None, company, _size(view)))
        return True

    def _put(self, sample: KeptSample, name: str, piece: KeptPiece) -> None:
        sample.pieces[name] = piece
        if piece.view is None:
            self.num_bytes_in_files += piece.num_bytes
        else:
            self.num_bytes += piece.num_bytes

    def _key(self, id: str, name: str) -> str:
        return json.dumps([self._content, name, id])


def _size(view: View) -> int:
    graph = view.graph.edge_index if isinstance(view.graph, Graph) else None
    tensors = (view.logits, view.features, graph, view.edge_values)
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)
