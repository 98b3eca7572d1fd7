"""Files that are either whole or not there, whatever interrupts the writing, and say so."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from gkd.errors import DataError

if TYPE_CHECKING:  # most of what reads and writes files has no tensors
    from torch import Tensor

_SEAL = "sha256"
_COMMENT = f"# {_SEAL} "


def write_atomically(
    path: Path, write: Callable[[Path], object], former: Path | None = None
) -> None:
    """Let ``write`` fill a neighbour of ``path``, then put it in the place of ``path``.

    Of several processes that write one path at once, the last one wins. What was there before goes
    to ``former``, or is lost, only when the new content is on the disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not by the number of the process, which one on another machine may have, too.
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        write(partial)
        _sync(partial)
        if former is not None and path.exists():
            path.replace(former)
        partial.replace(path)
        _sync(path.parent)  # the name, too
    finally:
        partial.unlink(missing_ok=True)


def remove_partial_files(folder: Path) -> None:
    """Remove what killed processes left below ``folder`` in the middle of writing."""
    for partial in folder.rglob(".*.partial"):
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_sealed_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object atomically, with a checksum of its content under ``sha256``."""
    write_json(path, {**value, _SEAL: _digest(value)})


def read_sealed_json(path: Path) -> dict[str, Any]:
    """Return a JSON object without its checksum, which older files lack.

    Raises:
        DataError: the file cannot be read, is damaged or was changed.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} is damaged: it holds no object")
    seal = value.pop(_SEAL, None)
    if seal is not None and seal != _digest(value):
        raise DataError(f"{path} is damaged: its content is not what was written")
    return value


def write_sealed_text(path: Path, text: str) -> None:
    """Write a text file in which ``#`` begins comments, the last of which is a checksum."""
    text = text if text.endswith("\n") else text + "\n"
    write_text(path, f"{text}{_COMMENT}{hashlib.sha256(text.encode()).hexdigest()}\n")


def read_sealed_text(path: Path) -> str:
    """Return a text file without its checksum, which older files lack.

    Raises:
        DataError: the file cannot be read, is damaged or was changed.
    """
    try:
        whole = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is damaged: {error}") from error
    text, found, seal = whole.rpartition(_COMMENT)
    if not found:
        return whole
    if seal.strip() != hashlib.sha256(text.encode()).hexdigest():
        raise DataError(f"{path} is damaged: its content is not what was written")
    return text


def write_tensors(path: Path, tensors: Mapping[str, "Tensor"], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file atomically.

    With more than one entry of metadata, equal files may differ in the order of these.
    """
    from safetensors.torch import save_file

    plain = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_atomically(path, lambda partial: save_file(plain, partial, metadata=dict(metadata)))


def read_tensors(path: Path, device: str = "cpu") -> tuple[dict[str, "Tensor"], dict[str, str]]:
    """Return the tensors of a safetensors file, and its metadata.

    On the CPU tensors are mapped into memory, and read from the disk as they are used.

    Raises:
        DataError: the file cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device=device) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except (OSError, SafetensorError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def checksum(tensors: Mapping[str, "Tensor"]) -> str:
    """Return a hash of the names, types, shapes and values of some tensors, in any order."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
        plain = tensor.detach().cpu().contiguous().flatten()
        digest.update(plain.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _digest(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk, where the system can do that."""
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
