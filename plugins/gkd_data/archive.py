"""Files of a dataset, read from a folder or straight from a zip archive, with clear errors."""

import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from gkd import DataError

_SHOWN = 6
# What the decompressors raise on damaged data; RuntimeError is a password or an unknown method.
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


class Archive:
    """Named files below one place.

    A zip archive is read, never unpacked: no name in it becomes a path, and nothing is left behind.

    Args:
        place: a folder, or a zip archive whose members, in whatever folders, are the files.
        names: the files that must be there.

    Raises:
        DataError: the archive is not a readable zip, or a file is missing.
    """

    def __init__(self, place: Path, names: Iterable[str]) -> None:
        self.place = place
        self._zipped = not place.is_dir()
        if self._zipped:
            try:
                with zipfile.ZipFile(place) as archive:
                    members = [name for name in archive.namelist() if not name.endswith("/")]
            except _UNREADABLE as error:
                raise DataError(
                    f"{place} is not a complete zip archive ({error}); was its download cut short?"
                ) from error
        else:
            members = [file.name for file in place.iterdir() if file.is_file()]
        # Copies of one data set differ in their folders, so a file goes by its own name. Of several
        # called alike the one in the fewest folders counts: packers add theirs, as __MACOSX/.
        members.sort(key=lambda member: (-member.count("/"), member))
        self._members = {member.rpartition("/")[2]: member for member in members}
        self.require(names)

    @property
    def names(self) -> frozenset[str]:
        """Names of all files that are there."""
        return frozenset(self._members)

    def require(self, names: Iterable[str]) -> None:
        """Raise :class:`DataError` unless all of these files are there."""
        missing = sorted(set(names) - self._members.keys())
        if missing:
            present = sorted(self._members)
            listing = ", ".join(present[:_SHOWN]) or "no file"
            more = f" and {len(present) - _SHOWN} more" if len(present) > _SHOWN else ""
            raise DataError(
                f"{self.place} lacks {', '.join(missing)}; it has {listing}{more}. "
                "Is it the archive of another dataset, or only partly unpacked?"
            )

    def where(self, name: str) -> str:
        """Return how error messages call a file."""
        return f"{self.place}: {name}"

    def json(self, name: str) -> Any:
        """Return the content of a JSON file; :class:`DataError` when it is not JSON."""
        try:
            return json.loads(self.content(name))
        except (ValueError, RecursionError) as error:
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
            if not self._zipped:
                return (self.place / name).read_bytes()
            with zipfile.ZipFile(self.place) as archive:
                return archive.read(self._members[name])
        except _UNREADABLE as error:
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
        # Unpickling a foreign file could run its code.
        array = np.load(io.BytesIO(content), allow_pickle=False)
    # NumPy reads the header by Python's own parser, which has errors of its own for damage.
    except (ValueError, EOFError, OSError, SyntaxError, TokenError, MemoryError) as error:
        raise DataError(f"{where} is not a complete .npy array: {error}") from error
    # np.load opens .npz archives as well, which are no array.
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        kind = getattr(array, "dtype", type(array).__name__)
        raise DataError(f"{where} must hold real numbers, not {kind}")
    if array.ndim != ndim:
        raise DataError(f"{where} must have {ndim} axes, but has shape {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(f"{where} holds NaN or infinity")
    return array
