"""Cache entries of one teacher, with one state of its weights: in memory, or in files."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from gkd.cache.keys import NODES, same_inputs
from gkd.cache.slices import tensors_of
from gkd.errors import DataError
from gkd.files import checksum, read_tensors, write_tensors
from gkd.graph import Graph
from gkd.loss import View

_FORMAT = 2  # to be raised when an entry of the same key comes to mean something else
_LEFT_FREE = 2**30  # bytes of the disk that others may need


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of one sample under one key.

    Args:
        view: the part of the teacher's outputs, or the target made of them.
        company: stands for the samples that the teacher saw together with it.
    """

    view: View
    company: str

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Tensors of the view, by name; of a graph its edges."""
        named, graph = tensors_of(self.view), self.view.graph
        return named if graph is None else named | {"edge_index": graph.edge_index}

    @property
    def num_bytes(self) -> int:
        """What the tensors take."""
        return sum(tensor.nbytes for tensor in self.tensors.values())


class EntryFiles:
    """One file per entry, which is either whole or not there.

    A safetensors file holds the view's tensors (``logits``, ``features``, ``edge_index``,
    ``edge_values``) and in its metadata, as JSON under ``about``, the name, a checksum, the number
    of nodes of the graph, the sample's digest and its company. Processes may share a folder: a
    name stands for one content, so it does not matter which of two writes it last. A file that was
    damaged counts as missing, and is written anew.

    Attributes:
        sizes: bytes of each entry that this process wrote or found, by sample and key.

    Args:
        folder: of the files, made when it is needed; None for no files.
        content: what entries follow from, besides sample and key; the same in any process.
    """

    def __init__(self, folder: Path | None, content: Iterable[str] = ()) -> None:
        self._folder = folder
        self._content = hashlib.sha256(json.dumps([_FORMAT, *content]).encode()).hexdigest()
        self.sizes: dict[tuple[str, str], int] = {}

    def write(self, id: str, key: str, digest: Mapping[str, int], entry: Entry) -> bool:
        """Write an entry of a sample; return whether the disk had room for it."""
        if self._folder is None:
            return False
        name, path = self._place(self._folder, id, key)
        graph = entry.view.graph
        about: dict[str, Any] = {
            "key": name,
            "num_nodes": None if graph is None else graph.num_nodes,
            "digest": dict(digest),
            "company": entry.company,
        }
        about["checksum"] = _checksum(about, entry.tensors)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self._folder).free < entry.num_bytes + _LEFT_FREE:
                return False
            write_tensors(path, entry.tensors, {"about": json.dumps(about)})
        except OSError:
            return False
        self.sizes[id, key] = entry.num_bytes
        return True

    def read(self, id: str, key: str, digest: Mapping[str, int]) -> Entry | None:
        """Return an entry on the CPU, whose tensors are read from the disk as they are used.

        None where there is no such file, it is damaged, or another sample had this id, in other
        data: then it is written over.
        """
        if self._folder is None:
            return None
        name, path = self._place(self._folder, id, key)
        trusted = self.sizes.pop((id, key), None) is not None
        try:
            tensors, metadata = read_tensors(path)
            about = json.loads(metadata["about"])
            # Once per process: the checksum reads the whole file, and a hit should not.
            intact = trusted or about["checksum"] == _checksum(about, tensors)
            if about["key"] != name or not intact or not same_inputs(about["digest"], digest):
                return None
            parts: dict[str, Any] = dict(tensors)
            edges = parts.pop("edge_index", None)
            parts["graph"] = None if edges is None else Graph(edges, about["num_nodes"])
            entry = Entry(View(**parts), about["company"])
        except (DataError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        self.sizes[id, key] = entry.num_bytes
        return entry

    def _place(self, folder: Path, id: str, key: str) -> tuple[str, Path]:
        name = json.dumps([self._content, key, id])  # whatever characters they have
        return name, folder / f"{hashlib.sha256(name.encode()).hexdigest()[:40]}.safetensors"


class Store:
    """Entries by sample and key.

    Attributes:
        num_bytes: of the entries in memory.
        independent: keys of which entries made in other company have been compared.

    Args:
        fingerprint: of the teacher's weights and of its call, in this process.
        files: where entries go that memory has no room for.
    """

    def __init__(self, fingerprint: object, files: EntryFiles) -> None:
        self.fingerprint = fingerprint
        self.independent: set[str] = set()
        self.num_bytes = 0
        self._files = files
        self._digests: dict[str, dict[str, int]] = {}
        self._entries: dict[tuple[str, str], Entry] = {}

    @property
    def num_bytes_in_files(self) -> int:
        """Content of the files that this process wrote or found."""
        return sum(self._files.sizes.values())

    @property
    def num_samples(self) -> int:
        """Number of samples of which something is kept."""
        return len({id for id, _ in (*self._entries, *self._files.sizes)})

    def find(
        self, ids: Sequence[str], digests: Sequence[Mapping[str, int]], keys: Sequence[str]
    ) -> dict[str, list[Entry]] | None:
        """Return the entries of samples, by key; None where one is missing.

        Raises:
            DataError: a sample has changed since its teacher outputs were cached.
        """
        found: dict[str, list[Entry]] = {key: [] for key in keys}
        complete = True
        for id, digest in zip(ids, digests, strict=True):
            known = self._digests.setdefault(id, dict(digest))
            if not same_inputs(known, digest):
                then, now = known[NODES], digest[NODES]
                sizes = f" (it had {then} nodes and now has {now})" if then != now else ""
                raise DataError(
                    f"teacher cache: sample {id!r} has changed since its teacher outputs were "
                    f"cached{sizes}; two samples share this id, or the data is augmented: then its "
                    "dataset says augmented = True, and a Distiller takes teacher_cache=None"
                )
            known |= digest
            for key in keys:
                entry = self._entries.get((id, key)) or self._files.read(id, key, known)
                if entry is None:
                    complete = False
                else:
                    found[key].append(entry)
        return found if complete else None

    def keep(
        self, ids: Sequence[str], views: Mapping[str, Sequence[View]], company: str, room: int
    ) -> bool:
        """Keep what is missing of samples: of each all in memory, or all in files.

        Args:
            ids: of the samples, which :meth:`find` was asked for.
            views: by key, one for each sample.
            company: stands for the samples that the teacher saw together.
            room: bytes that may be taken in memory.

        Returns:
            Whether there was room for all, in memory or in files.
        """
        complete = True
        for position, id in enumerate(ids):
            new = {
                (id, key): Entry(parts[position], company)
                for key, parts in views.items()
                if (id, key) not in self._entries and (id, key) not in self._files.sizes
            }
            size = sum(entry.num_bytes for entry in new.values())
            if size <= room:
                self._entries |= new
                self.num_bytes += size
                room -= size
            else:
                digest = self._digests[id]
                complete &= all(self._files.write(*n, digest, entry) for n, entry in new.items())
        return complete


def _checksum(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return the checksum of a file's tensors and of all else that it says."""
    said = json.dumps({name: about[name] for name in sorted(about) if name != "checksum"})
    return hashlib.sha256((said + checksum(tensors)).encode()).hexdigest()
