"""Cache entries in files that are mapped into memory when they are read."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from gkd.cache.keys import same_inputs
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
        company: ids of the samples that the teacher saw together with it.
    """

    view: View
    company: tuple[str, ...]

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

    Args:
        folder: of the files, made when it is needed.
        content: what entries follow from, besides sample and key; the same in any process.
    """

    def __init__(self, folder: Path, content: Iterable[str]) -> None:
        self._folder = folder
        self._content = hashlib.sha256(json.dumps([_FORMAT, *content]).encode()).hexdigest()
        self._intact: set[str] = set()

    def write(self, id: str, key: str, digest: Mapping[str, int], entry: Entry) -> bool:
        """Write an entry of a sample; return whether the disk had room for it."""
        name, path = self._place(id, key)
        graph = entry.view.graph
        about: dict[str, Any] = {
            "key": name,
            "num_nodes": None if graph is None else graph.num_nodes,
            "digest": dict(digest),
            "company": list(entry.company),
        }
        about["checksum"] = _checksum(about, entry.tensors)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self._folder).free < entry.num_bytes + _LEFT_FREE:
                return False
            write_tensors(path, entry.tensors, {"about": json.dumps(about)})
        except OSError:
            return False
        self._intact.discard(name)  # whoever reads it next finds out
        return True

    def read(self, id: str, key: str, digest: Mapping[str, int]) -> Entry | None:
        """Return an entry on the CPU, whose tensors are read from the disk as they are used.

        None where there is no such file, it is damaged, or another sample had this id, in other
        data: then it is written over.
        """
        name, path = self._place(id, key)
        try:
            tensors, metadata = read_tensors(path)
            about = json.loads(metadata["about"])
            # Once per process: the checksum reads the whole file, and a hit should not.
            intact = name in self._intact or about["checksum"] == _checksum(about, tensors)
            if about["key"] != name or not intact or not same_inputs(about["digest"], digest):
                return None
            self._intact.add(name)
            parts: dict[str, Any] = dict(tensors)
            edges = parts.pop("edge_index", None)
            parts["graph"] = None if edges is None else Graph(edges, about["num_nodes"])
            return Entry(View(**parts), tuple(about["company"]))
        except (DataError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def _place(self, id: str, key: str) -> tuple[str, Path]:
        name = json.dumps([self._content, key, id])  # whatever characters they have
        return name, self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:40]}.safetensors"


def _checksum(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return the checksum of a file's tensors and of all else that it says."""
    said = json.dumps({name: about[name] for name in sorted(about) if name != "checksum"})
    return hashlib.sha256((said + checksum(tensors)).encode()).hexdigest()
