"""Point clouds in the Polygon File Format (PLY): the positions of the vertices."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gkd import DataError

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1",
    "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_BYTE_ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True, slots=True)
class _Element:
    """What the header says of one element: how many, and their properties (name, type)."""

    name: str
    count: int
    properties: list[tuple[str, str]]


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
        """Type of x, y and z."""
        return self.vertex.properties[self.columns[0]][1]


def read_ply(path: Path) -> np.ndarray:
    """Read the vertices of a PLY file, ASCII or binary; faces are not looked at.

    Args:
        path: of the file.

    Returns:
        ``[P, 3]``, in the floating type of the file's ``x``, ``y`` and ``z``.

    Raises:
        DataError: the file is damaged, or has no vertices with such positions.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    header = re.match(rb"ply\s.*?\nend_header[ \t]*\r?\n", content, re.DOTALL)
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
            case ["element", name, count] if count.isdecimal():
                elements.append(_Element(name, int(count), []))
            case ["property", kind, name] if elements and kind in _TYPES:
                elements[-1].properties.append((name, _TYPES[kind]))
            case ["property", "list", _, _, name] if elements:
                elements[-1].properties.append((name, "list"))
            case ["ply" | "end_header" | "comment" | "obj_info", *_] | []:
                pass
            case _:
                raise DataError(f"{path}: the header has a line that is no PLY: {line.strip()!r}")
    if form not in _BYTE_ORDERS:
        raise DataError(f"{path}: format {form!r} is none of {', '.join(_BYTE_ORDERS)}")
    names = [element.name for element in elements]
    if "vertex" not in names:
        raise DataError(f"{path} has no vertices, only {', '.join(names) or 'a header'}")
    at = names.index("vertex")
    # One type for all axes, as the array will have; whole numbers would be places on a grid.
    kinds = {dict(elements[at].properties).get(axis) for axis in "xyz"}
    if not (kinds == {"f4"} or kinds == {"f8"}):
        raise DataError(f"{path}: vertices need x, y and z, all float or all double")
    return _Layout(form, elements[:at], elements[at])


def _ascii_positions(path: Path, body: bytes, layout: _Layout) -> np.ndarray:
    columns, count = layout.columns, layout.vertex.count
    if any(kind == "list" for _, kind in layout.vertex.properties[: max(columns)]):
        raise DataError(f"{path}: vertex has a list before its position; put it behind")
    skipped = sum(element.count for element in layout.before)
    rows = [line.decode("latin-1") for line in body.splitlines()[skipped : skipped + count]]
    _check_complete(path, count, len(rows))
    try:
        positions: np.ndarray = np.loadtxt(
            rows, layout.kind, usecols=columns, ndmin=2, comments=None
        )
    except ValueError as error:
        raise DataError(f"{path}: the vertices cannot be read: {error}") from error
    # Again, as loadtxt passes over blank lines.
    _check_complete(path, count, len(positions))
    return positions


def _binary_positions(path: Path, body: bytes, layout: _Layout) -> np.ndarray:
    # Behind a list nothing is where arithmetic says: each record has a length of its own.
    for element in (*layout.before, layout.vertex):
        if any(kind == "list" for _, kind in element.properties):
            raise DataError(
                f"{path}: {element.name} has a list, of unknown length, before the vertices end; "
                "put it behind them"
            )
    order, count = _BYTE_ORDERS[layout.form], layout.vertex.count
    start = sum(element.count * _record(element, order).itemsize for element in layout.before)
    record = _record(layout.vertex, order)
    # Before the array is made: a damaged header may announce billions.
    _check_complete(path, count, max(0, len(body) - start) // record.itemsize)
    rows = np.frombuffer(body, record, count, start)
    return np.stack([rows[f"f{i}"] for i in layout.columns], axis=1).astype(layout.kind)


def _record(element: _Element, order: str) -> np.dtype[np.void]:
    # Numbered fields: nothing keeps a header from naming two properties alike.
    return np.dtype([(f"f{i}", order + kind) for i, (_, kind) in enumerate(element.properties)])


def _check_complete(path: Path, announced: int, found: int) -> None:
    if found < announced or announced == 0:
        raise DataError(
            f"{path} is cut short or empty: its header announces {announced} vertices, "
            f"and {min(found, announced)} follow"
        )
