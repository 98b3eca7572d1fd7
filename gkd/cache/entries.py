"""Cache entries in files that are mapped into memory when they are read."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gkd.cache.keys import tensor_bytes
from gkd.errors import ParameterError
from gkd.files import write_atomically
from gkd.graph import Graph
from gkd.loss import View

_LEFT_FREE = 2**30  # bytes of the disk that others may need


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of one sample under one key.

    Args:
        view: the part of the teacher's outputs, or the target made of them.
        digest: of the sample's inputs.
        company: ids of the samples that the teacher saw together with it.
    """

    view: View
    digest: Mapping[str, int]
    company: tuple[str, ...]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Tensors of the view, by name; of a graph its edges."""
        named = {
            "logits": self.view.logits,
            "features": self.view.features,
            "edge_index": None if self.view.graph is None else self.view.graph.edge_index,
            "edge_values": self.view.edge_values,
        }
        return {name: tensor for name, tensor in named.items() if tensor is not None}

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
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._intact: set[str] = set()

    def write(self, name: str, entry: Entry) -> bool:
        """Write an entry; return whether the disk had room for it.

        Args:
            name: tells teacher, key and sample, whatever characters it has.
            entry: what to write.
        """
        from safetensors.torch import save_file

        graph = entry.view.graph
        tensors = {key: value.contiguous() for key, value in entry.tensors.items()}
        about = {
            "key": name,
            "checksum": _checksum(tensors),
            "num_nodes": None if graph is None else graph.num_nodes,
            "digest": dict(entry.digest),
            "company": list(entry.company),
        }
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self.folder).free < entry.num_bytes + _LEFT_FREE:
                return False
            metadata = {"about": json.dumps(about)}
            write_atomically(
                self._path(name), lambda partial: save_file(tensors, partial, metadata=metadata)
            )
        except OSError:
            return False
        self._intact.discard(name)  # whoever reads it next finds out
        return True

    def read(self, name: str, device: torch.device) -> Entry | None:
        """Return an entry whose tensors are read from the disk as they are used.

        None where there is no such file, or it is damaged.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._path(name), framework="pt", device=str(device)) as file:
                about = json.loads(file.metadata()["about"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            # Once per process: the checksum reads the whole file, and a hit should not.
            intact = name in self._intact or about["checksum"] == _checksum(tensors)
            if about["key"] != name or not intact:
                return None
            self._intact.add(name)
            edges, nodes = tensors.pop("edge_index", None), about["num_nodes"]
            graph = None if edges is None else Graph(edges, nodes)
            return Entry(View(graph=graph, **tensors), about["digest"], tuple(about["company"]))
        except (OSError, SafetensorError, ValueError, TypeError, KeyError):
            return None

    def _path(self, name: str) -> Path:
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:40]}.safetensors"


def require_folder(folder: Path) -> None:
    """Check that ``folder`` is a folder or can become one.

    Raises:
        ParameterError: it is a file, or lies below one.
    """
    for place in (folder, *folder.parents):
        if os.path.lexists(place) and not place.is_dir():
            raise ParameterError(f"folder: {place} is not a folder")


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
        digest.update(tensor_bytes(tensor))
    return digest.hexdigest()
