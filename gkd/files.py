"""Files that are either whole or not there, whatever interrupts the writing, and say so."""

import hashlib
import json
import math
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from gkd.errors import DataError, shown

if TYPE_CHECKING:  # most of what reads and writes files has no tensors
    from torch import Tensor

_SEAL = "sha256"
_HALF_A_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")  # of UTF-16, in JSON
_LONG_NUMBER = re.compile(r"\d[\d_]{4300,}")
_CHECKSUM = re.compile(r"[0-9a-fA-F]{64}")
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
        # Some libraries write for the owner alone: every file gets the mode that a new one has.
        partial.touch()
        mode = partial.stat().st_mode
        write(partial)
        partial.chmod(mode)
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
    """Write a JSON file atomically, numbers that are none as null."""
    write_text(path, written_json(value, indent=1))


def written_json(value: Any, indent: int) -> str:
    """Return a value as JSON, in lines, numbers that are none as null."""
    return _lines(_in_json(value), indent)


def _lines(value: Any, indent: int) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n"


def _in_json(value: Any) -> Any:
    """Return a value without NaN and infinity, which JSON has not."""
    if isinstance(value, Mapping):
        return {key: _in_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_in_json(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_sealed_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object as :func:`write_json` does, with its content's checksum as ``sha256``."""
    value = _in_json(value)  # the checksum is that of what will be read
    write_text(path, _lines({**value, _SEAL: _digest(value)}, indent=1))


def read_json(path: Path) -> Any:
    """Return the content of a JSON file, numbers that are none as None.

    Raises:
        DataError: the file cannot be read or is damaged.
    """
    return _read_json(path)[1]


def read_sealed_json(path: Path) -> dict[str, Any]:
    """Return a JSON object without its checksum, which older files lack.

    Raises:
        DataError: the file cannot be read, is damaged or was changed.
    """
    text, value = _read_json(path)
    if not isinstance(value, dict):
        raise DataError(f"{path} is damaged: it holds no object")
    # A seal that is damaged, of another name or in another place, null included, is none that was
    # left out. No file has anything else of its form in its outermost object.
    sealed = f'"{_SEAL}"' in text or any(map(_is_checksum, value.values()))
    if sealed and value.pop(_SEAL, None) != _digest(value):
        raise DataError(f"{path} is damaged: its content is not what was written")
    return value


def _read_json(path: Path) -> tuple[str, Any]:
    try:
        # JSON has no NaN and no infinity: numbers that are none are null.
        text = path.read_text(encoding="utf-8")
        value = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
        if _HALF_A_CHARACTER.search(text):
            json.dumps(value, ensure_ascii=False).encode()  # or it could not be written again
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged: {shown(error)}") from error
    return text, value


def write_sealed_text(path: Path, text: str) -> None:
    """Write a text file in which ``#`` begins comments, the first and last of which are checksums.

    One may be cut off together with some of the text.
    """
    text = text if text.endswith("\n") else text + "\n"
    seal = f"{_COMMENT}{hashlib.sha256(text.encode()).hexdigest()}\n"
    write_text(path, f"{seal}{text}{seal}")


def parse_toml(text: str) -> dict[str, Any]:
    """Return the content of a TOML document.

    Raises:
        ValueError: it is none, with line and column; Python's own errors are in the same form.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    except ValueError as error:  # about an integer of thousands of digits
        start = match.start() if (match := _LONG_NUMBER.search(text)) else 0
        line, column = 1 + text.count("\n", 0, start), start - text.rfind("\n", 0, start)
        raise ValueError(f"{error} (at line {line}, column {column})") from error


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
        raise DataError(f"{path} is damaged: {shown(error)}") from error
    text, seals = whole, []
    if text.startswith(_COMMENT):
        first, _, text = text.partition("\n")
        seals.append(first.removeprefix(_COMMENT))
    text, found, last = text.rpartition(_COMMENT)
    if found:
        seals.append(last.strip())
    else:
        text = last
    if set(seals) - {hashlib.sha256(text.encode()).hexdigest()}:
        raise DataError(f"{path} is damaged: its content is not what was written")
    return text


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


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
        raise DataError(f"{path} cannot be read: {shown(error)}") from error


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


def _is_checksum(value: object) -> bool:
    return isinstance(value, str) and _CHECKSUM.fullmatch(value) is not None


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk, where the system can do that."""
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
