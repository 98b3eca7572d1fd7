"""Pieces of what a teacher said, in files that are mapped into memory when they are read."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gkd.cache.weights import tensor_bytes
from gkd.errors import ParameterError
from gkd.files import write_atomically
from gkd.graph import Graph
from gkd.loss import View

_LEFT_FREE = 2**30  # bytes of the disk that others may need


@dataclass(frozen=True)
class FiledPiece:
    """A piece of one sample, with what it is known by.

    Args:
        view: the piece.
        digest: of the sample's inputs.
        company: ids of the samples that the teacher saw together with it.
    """

    view: View
    digest: Mapping[str, int]
    company: Sequence[str]


class PieceFiles:
    """One file per piece, which is either whole or not there.

    Processes may share a folder: a name stands for one content, so it does not matter which of two
    writes it last. A file that was damaged counts as missing, and is written anew.

    Args:
        folder: of the files, made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._intact: set[str] = set()

    def write(self, key: str, piece: FiledPiece) -> bool:
        """Write a piece; return whether the disk had room for it.

        Args:
            key: names the teacher, the piece and the sample, whatever characters it has.
            piece: what to write.
        """
        from safetensors.torch import save_file

        tensors = _tensors(piece.view)
        about = {
            "key": key,
            "checksum": _checksum(tensors),
            "num_nodes": None if piece.view.graph is None else piece.view.graph.num_nodes,
            "digest": dict(piece.digest),
            "company": list(piece.company),
        }
        size = sum(tensor.nbytes for tensor in tensors.values())
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self.folder).free < size + _LEFT_FREE:
                return False
            metadata = {"about": json.dumps(about)}
            write_atomically(
                self._path(key), lambda partial: save_file(tensors, partial, metadata=metadata)
            )
        except OSError:
            return False
        self._intact.discard(key)  # whoever reads it next finds out
        return True

    def read(self, key: str, device: torch.device) -> FiledPiece | None:
        """Return a piece whose tensors are read from the disk as they are used.

        None where there is no such file, or it is damaged.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._path(key), framework="pt", device=str(device)) as file:
                about = json.loads(file.metadata()["about"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            intact = key in self._intact or about["checksum"] == _checksum(tensors)
            if about["key"] != key or not intact:
                return None
            self._intact.add(key)
            return FiledPiece(_view(tensors, about["num_nodes"]), about["digest"], about["company"])
        except (OSError, SafetensorError, ValueError, TypeError, KeyError):
            return None

    def _path(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.safetensors"


def require_folder(folder: Path) -> None:
    """Check that ``folder`` is a folder or can become one.

    Raises:
        ParameterError: it is a file, or lies below one.
    """
    for place in (folder, *folder.parents):
        if os.path.lexists(place) and not place.is_dir():
            raise ParameterError(f"folder: {place} is not a folder")


def _tensors(view: View) -> dict[str, Tensor]:
    named = {
        "logits": view.logits,
        "features": view.features,
        "edge_index": None if view.graph is None else view.graph.edge_index,
        "edge_values": view.edge_values,
    }
    return {name: value.contiguous() for name, value in named.items() if value is not None}


def _view(tensors: Mapping[str, Tensor], num_nodes: int | None) -> View:
    graph = None if num_nodes is None else Graph(tensors["edge_index"], num_nodes)
    named = {name: tensors.get(name) for name in ("logits", "features", "edge_values")}
    return View(graph=graph, **named)


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
        digest.update(tensor_bytes(tensor))
    return digest.hexdigest()
