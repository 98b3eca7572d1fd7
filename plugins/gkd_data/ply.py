"""Point clouds in the Polygon File Format (PLY): the positions of the vertices."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from gkd import DataError
from gkd.data.archive import read_file
from gkd.errors import shown

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1",
    "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_COUNT = re.compile(r"\d{1,15}", re.ASCII)
_SHOWN = 200  # characters of names
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BYTE_ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True, slots=True)
class _Element:
    """What the header says of one element: how many, and their properties (name, type).

    The type of a list is that of its length, and that of its items: ``u1 i4``.
    """

    name: str
    count: int
    properties: list[tuple[str, str]]

    @property
    def has_list(self) -> bool:
        """Whether its records have lengths of their own."""
        return any(" " in kind for _, kind in self.properties)


@dataclass(frozen=True, slots=True)
class _Layout:
    """What the header says of the body: its format, its vertices, and what comes before them."""

    form: str
    before: list[_Element]
    vertex: _Element

    @property
    def columns(self) -> list[int]:
        """Where x, y and z are among the properties of a vertex."""
        names = [name for name, _ in self.vertex.properties]
        return [names.index(axis) for axis in "xyz"]

    @property
    def kind(self) -> str:
        """Floating type that holds the numbers of x, y and z exactly: float32 or float64."""
        kinds = [self.vertex.properties[column][1] for column in self.columns]
        return np.result_type(*kinds, "f4").str


def read_ply(path: Path) -> np.ndarray:
    """Read the vertices of a PLY file, ASCII or binary; faces are not looked at.

    Args:
        path: of the file.

    Returns:
        ``[P, 3]``, float32 where that holds the types of ``x``, ``y`` and ``z``, else float64.

    Raises:
        DataError: the file is damaged, or has no vertices with such positions.
    """
    content = read_file(path).removeprefix(_BYTE_ORDER_MARK)
    # A header whose lines end with a carriage return alone ends with one, too: what follows may be
    # a number that begins with the byte of a line feed.
    end = rb"\r" if re.match(rb"ply[ \t]*\r(?!\n)", content) else rb"\r?\n"
    header = re.match(rb"ply\s.*?[\r\n]end_header[ \t]*" + end, content, re.DOTALL)
    if header is None:
        raise DataError(f"{path} is no PLY file: it has no header from ply to end_header")
    layout = _layout(path, header[0])
    read = _ascii_positions if layout.form == "ascii" else _binary_positions
    return read(path, content[header.end() :], layout)


def _layout(path: Path, header: bytes) -> _Layout:
    form = ""
    elements: list[_Element] = []
    # Split as bytes: as text, lines would end at more characters, some of them within comments.
    # Latin-1 reads any byte, and comments may be in any encoding; all else is ASCII.
    for line in [line.decode("latin-1") for line in header.splitlines()]:
        match line.split():
            case ["format", name, *_]:
                form = name
            case ["element", name, count] if _COUNT.fullmatch(count):
                elements.append(_Element(name, int(count), []))
            case ["property", kind, name] if elements and kind in _TYPES:
                elements[-1].properties.append((name, _TYPES[kind]))
            case ["property", "list", length, kind, name] if elements and (
                _TYPES.get(length, "f")[0] in "iu" and kind in _TYPES
            ):
                elements[-1].properties.append((name, f"{_TYPES[length]} {_TYPES[kind]}"))
            case ["ply" | "end_header" | "comment" | "obj_info", *_] | []:
                pass
            case _:
                raise DataError(
                    f"{path}: the header has a line that is no PLY: {shown(line.strip())}"
                )
    if form not in _BYTE_ORDERS:
        raise DataError(f"{path}: format {shown(form)} is none of {', '.join(_BYTE_ORDERS)}")
    names = [element.name for element in elements]
    if "vertex" not in names:
        listing = ", ".join(names)[:_SHOWN] or "a header"
        raise DataError(f"{path} has no vertices, only {listing}")
    at = names.index("vertex")
    kinds = dict(elements[at].properties)
    if any(" " in kinds.get(axis, " ") for axis in "xyz"):
        raise DataError(f"{path}: vertices need x, y and z, each a number")
    return _Layout(form, elements[:at], elements[at])


def _ascii_positions(path: Path, body: bytes, layout: _Layout) -> np.ndarray:
    columns, count = layout.columns, layout.vertex.count
    if any(" " in kind for _, kind in layout.vertex.properties[: max(columns)]):
        raise DataError(f"{path}: vertex has a list before its position; put it behind")
    # An element without properties has lines that are blank: they are left out like all others.
    skipped = sum(element.count for element in layout.before if element.properties)
    lines = [line.decode("latin-1") for line in body.splitlines() if line.strip()]
    rows = lines[skipped : skipped + count]
    _check_complete(path, count, len(rows))
    try:
        positions: np.ndarray = np.loadtxt(
            rows, layout.kind, usecols=columns, ndmin=2, comments=None
        )
    except ValueError as error:
        raise DataError(f"{path}: the vertices cannot be read: {shown(str(error))}") from error
    return positions


def _binary_positions(path: Path, body: bytes, layout: _Layout) -> np.ndarray:
    order, vertex = _BYTE_ORDERS[layout.form], layout.vertex
    start = 0
    for element in layout.before:
        if element.has_list:
            for places in _walk(path, body, element, order, start):
                start = places[-1]
        else:
            start += element.count * _record(element, order).itemsize
    columns = layout.columns
    if vertex.has_list:
        walked = _walk(path, body, vertex, order, start)
        starts = np.array([[places[i] for i in columns] for places in walked], dtype=np.int64)
        _check_complete(path, vertex.count, len(starts))
        axes = [
            _gather(body, starts[:, axis], order + vertex.properties[column][1])
            for axis, column in enumerate(columns)
        ]
    else:
        record = _record(vertex, order)
        # Before the array is made: a damaged header may announce billions.
        _check_complete(path, vertex.count, max(0, len(body) - start) // record.itemsize)
        rows = np.frombuffer(body, record, vertex.count, start)
        axes = [rows[f"f{i}"] for i in columns]
    return np.stack(axes, axis=1).astype(layout.kind)


def _walk(
    path: Path, body: bytes, element: _Element, order: str, start: int
) -> Iterator[list[int]]:
    """Yield where each property of a record begins, and where the record ends, for every record."""
    endian: Literal["little", "big"] = "big" if order == ">" else "little"
    # Of a number its size; of a list those of its length and of an item.
    sizes = [[int(part[1]) for part in kind.split()] for _, kind in element.properties]
    signed = [kind.startswith("i") for _, kind in element.properties]
    for _ in range(element.count):
        places = [start]
        for (size, *item), sign in zip(sizes, signed, strict=True):
            length = int.from_bytes(body[start : start + size], endian, signed=sign)
            start += size
            if item:
                if length < 0:
                    raise DataError(f"{path}: {element.name} has a list of length {length}")
                start += length * item[0]
            places.append(start)
        if start > len(body):
            raise DataError(f"{path} is cut short: its {element.name} records are not all there")
        yield places


def _gather(body: bytes, starts: np.ndarray, kind: str) -> np.ndarray:
    """Return the numbers that begin at these bytes."""
    size = np.dtype(kind).itemsize
    every = np.frombuffer(body, np.uint8)[starts[:, None] + np.arange(size)]
    gathered: np.ndarray = every.reshape(-1).view(kind)
    return gathered


def _record(element: _Element, order: str) -> np.dtype[np.void]:
    # Numbered fields: nothing keeps a header from naming two properties alike.
    return np.dtype([(f"f{i}", order + kind) for i, (_, kind) in enumerate(element.properties)])


def _check_complete(path: Path, announced: int, found: int) -> None:
    if found < announced or announced == 0:
        raise DataError(
            f"{path} is cut short or empty: its header announces {announced} vertices, "
            f"and {min(found, announced)} follow"
        )
