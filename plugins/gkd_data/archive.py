"""Files of a dataset, read from a folder or straight from a zip archive, with clear errors."""

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from gkd import DataError


class Archive:
    """Named files below one place.

    Args:
        place: a folder, or a zip archive whose members, in whatever folders, are the files.
        names: the files that must be there.

    Raises:
        DataError: the archive is not a readable zip, or a file is missing.
    """

    def __init__(self, place: Path, names: Iterable[str]) -> None:
        self.place = place
        self._read, self._present = _folder(place) if place.is_dir() else _zip(place)
        self.require(names)

    def require(self, names: Iterable[str]) -> None:
        """Raise :class:`DataError` unless all of these files are there."""
        missing = sorted(set(names) - self._present)
        if missing:
            raise DataError(
                f"{self.place} lacks {', '.join(missing)}; it has {_listing(self._present)}. "
                "Is it the archive of another dataset, or only partly unpacked?"
            )

    def where(self, name: str) -> str:
        """Return how error messages call a file."""
        return f"{self.place}: {name}"

    def json(self, name: str) -> Any:
        """Return the content of a JSON file; :class:`DataError` when it is not JSON."""
        try:
            return json.loads(self.content(name))
        except ValueError as error:
            raise DataError(f"{self.where(name)} is not valid JSON: {error}") from error

    def array(self, name: str, ndim: int) -> np.ndarray:
        """Return the finite real numbers of an ``.npy`` file with ``ndim`` axes.

        Raises:
            DataError: the file is no such array.
        """
        return npy_array(self.content(name), self.where(name), ndim)

    def lines(self, name: str) -> list[str]:
        """Return the lines of a text file that are not blank, without the space around them."""
        text = self.content(name).decode("utf-8", errors="replace")
        return [line.strip() for line in text.splitlines() if line.strip()]

    def content(self, name: str) -> bytes:
        """Return the bytes of a file."""
        try:
            return self._read(name)
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
            raise DataError(f"{self.where(name)} cannot be read: {error}") from error


def npy_array(content: bytes, where: str, ndim: int) -> np.ndarray:
    """Return the finite real numbers of an ``.npy`` file with ``ndim`` axes.

    Args:
        content: bytes of the file.
        where: how messages call it.
        ndim: number of axes.

    Raises:
        DataError: the file is no such array.
    """
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{where} is not a complete .npy array: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        kind = getattr(array, "dtype", type(array).__name__)
        raise DataError(f"{where} must hold real numbers, not {kind}")
    if array.ndim != ndim:
        raise DataError(f"{where} must have {ndim} axes, but has shape {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(f"{where} holds NaN or infinity")
    return array


_Reader = Callable[[str], bytes]


def _folder(place: Path) -> tuple[_Reader, set[str]]:
    present = {file.name for file in place.iterdir() if file.is_file()}
    return (lambda name: (place / name).read_bytes()), present


def _zip(place: Path) -> tuple[_Reader, set[str]]:
    try:
        with zipfile.ZipFile(place) as archive:
            members = _base_names(archive.namelist())
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{place} is not a complete zip archive ({error}); was its download cut short?"
        ) from error

    def read(name: str) -> bytes:
        with zipfile.ZipFile(place) as archive:
            return archive.read(members[name])

    return read, set(members)


def _base_names(members: Iterable[str]) -> dict[str, str]:
    """Members by their name without folders; of several, the one in the fewest folders."""
    files = [member for member in members if not member.endswith("/")]
    deepest_first = sorted(files, key=lambda member: (-member.count("/"), member))
    return {member.rpartition("/")[2]: member for member in deepest_first}


def _listing(names: set[str], shown: int = 6) -> str:
    if not names:
        return "no file"
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(sorted(names)[:shown]) + more
