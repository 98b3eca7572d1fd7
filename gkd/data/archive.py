"""Files of a dataset, read from a folder or straight from a zip archive, with clear errors."""

import io
import json
import lzma
import math
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal

import numpy as np

from gkd.errors import DataError, shown
from gkd.functional.memory import in_bytes, memory_shortage

_SHOWN, _LONGEST = 6, 80  # names, characters of each
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# What the decompressors raise on damaged data; RuntimeError is a password or an unknown method.
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,  # RecursionError and NotImplementedError, too
    OverflowError,
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
                    f"{place} is not a complete zip archive ({shown(error)}); "
                    "was its download cut short?"
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
            raise DataError(
                f"{self.place} lacks {_listing(missing)}; it has {_listing(present)}. "
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
            raise DataError(f"{self.where(name)} is not valid JSON: {shown(error)}") from error

    def array(self, name: str, ndim: int) -> np.ndarray:
        """Return the finite real numbers of an ``.npy`` file with ``ndim`` axes.

        Raises:
            DataError: the file is no such array.
        """
        return npy_array(self.content(name), self.where(name), ndim)

    def lines(self, name: str) -> list[str]:
        """Return the lines of a text file that are not blank, without the space around them."""
        text = self.content(name).decode("utf-8-sig", errors="replace")
        return [line.strip() for line in text.splitlines() if line.strip()]

    def content(self, name: str) -> bytes:
        """Return the bytes of a file."""
        try:
            if not self._zipped:
                return read_file(self.place / name)
            with zipfile.ZipFile(self.place) as archive:
                member = archive.getinfo(self._members[name])
                # Some kilobytes may be packed gigabytes.
                if shortage := memory_shortage(member.file_size):
                    raise DataError(f"{self.where(name)} would take {shortage}")
                with archive.open(member) as file:
                    # Not without a number, which unpacks more than the archive announces.
                    return file.read(member.file_size)
        except DataError:
            raise
        except _UNREADABLE as error:
            raise DataError(f"{self.where(name)} cannot be read: {shown(error)}") from error


def _listing(names: Sequence[str]) -> str:
    # Names may be those that a damaged file lists, of any length.
    listing = ", ".join(name[:_LONGEST] for name in names[:_SHOWN]) or "no file"
    return listing + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def read_file(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        DataError: it cannot be read, or is larger than the memory.
    """
    try:
        if shortage := memory_shortage(path.stat().st_size):
            raise DataError(f"{path} would take {shortage}")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def npy_array(content: bytes, where: str, ndim: int) -> np.ndarray:
    """Return the finite real numbers of an ``.npy`` file with ``ndim`` axes.

    Args:
        content: bytes of the file.
        where: how messages call it.
        ndim: number of axes.

    Raises:
        DataError: the file is no such array.
    """
    file = io.BytesIO(content)
    try:
        # The header alone: np.load allocates what it announces, and could unpickle.
        version = np.lib.format.read_magic(file)
        try:
            shape, column_major, dtype = _HEADERS[version](file)
        except MemoryError:  # a header is short: it is the parser's stack that has no room
            raise DataError(f"{where}: its header is nested too deep") from None
        rest = content[file.tell() :]
        if dtype.kind not in "biuf":
            raise DataError(f"{where} must hold real numbers, not {dtype}")
        if len(shape) != ndim:
            raise DataError(f"{where} must have {ndim} axes, but has shape {shown(shape)}")
        if math.prod(shape) * dtype.itemsize != len(rest) or min(shape, default=0) < 0:
            raise DataError(
                f"{where} is cut short or damaged: its header announces {shown(shape)} numbers of "
                f"{dtype}, and {in_bytes(len(rest))} follow"
            )
        order: Literal["F", "C"] = "F" if column_major else "C"
        array = np.frombuffer(rest, dtype).reshape(shape, order=order).copy()
    except DataError:
        raise
    # NumPy reads the header by Python's own parser, which has errors of its own for damage.
    except (*_UNREADABLE, KeyError, SyntaxError, TokenError, TypeError) as error:
        raise DataError(f"{where} is not a complete .npy array: {shown(error)}") from error
    if dtype.kind == "f" and not (finite := np.isfinite(array)).all():
        first = np.argwhere(~finite)[0].tolist()
        raise DataError(f"{where} holds NaN or infinity, first at {first}")
    return array


def single_precision(array: np.ndarray, where: str) -> np.ndarray:
    """Return numbers as float32.

    Raises:
        DataError: one is too large for that.
    """
    with np.errstate(over="ignore"):
        converted = array.astype(np.float32)
    if not (finite := np.isfinite(converted)).all():
        first = tuple(np.argwhere(~finite)[0])
        raise DataError(
            f"{where} holds {array[first]!s} at {[int(i) for i in first]}: too large for float32"
        )
    return converted
