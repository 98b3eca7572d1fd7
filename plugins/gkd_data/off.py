"""Meshes in the Object File Format (OFF), as ModelNet has them."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gkd import DataError
from gkd.data.archive import read_file
from gkd.errors import shown
from gkd_data.mesh import Mesh

# Letters before OFF announce texture coordinates, colours and normals behind the position: in the
# format's order as in any other that programs write.
_HEADER = re.compile(r"(?:ST|C|N){0,3}OFF(.*)")
_COUNT = re.compile(r"\d{1,15}", re.ASCII)
# Not within a number: 1.#QNAN is how some programs write NaN, not a 1.
_COMMENT = re.compile(r"(?<![\d.])#")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_off(path: Path) -> Mesh:
    """Read an ASCII OFF file; polygons become fans of triangles.

    A polygon with corners c_1 … c_k becomes the triangles (c_1, c_j, c_{j+1}), 1 < j < k. Comments,
    blank lines, colours and normals are skipped. Many files of ModelNet have the counts on the
    line of the keyword, with no space in between: they are read like the others.

    Args:
        path: of the file.

    Raises:
        DataError: the file is damaged or degenerate: a vertex is not finite, a face has fewer than
            3 corners or one that is not a vertex, or the surface has no area.
    """
    content = read_file(path)
    lines = list(_content_lines(content))
    (num_vertices, num_faces), body = _counts(path, lines)
    # Before anything is read by these numbers: a damaged header may announce billions.
    if len(body) < num_vertices + num_faces:
        raise DataError(
            f"{path} is cut short: its header announces {num_vertices} vertices and {num_faces} "
            f"faces, but {len(body)} lines follow"
        )
    vertices = _table(path, body[:num_vertices], range(3))
    faces = body[num_vertices : num_vertices + num_faces]
    # A face may be a line or a point, as in many exports of CAD; the whole surface must not be.
    mesh = Mesh(vertices, _triangles(path, faces, num_vertices))
    with np.errstate(over="ignore", invalid="ignore"):
        area = mesh.areas().sum()
    if not 0 < area < np.inf:
        raise DataError(f"{path} is degenerate: its surface has area {area}")
    return mesh


_Line = tuple[int, str]


def _content_lines(content: bytes) -> Iterator[_Line]:
    # Split as bytes: as text, lines would end at more characters, some of them within comments.
    lines = content.removeprefix(_BYTE_ORDER_MARK).splitlines()
    for number, line in enumerate(lines, start=1):
        # Latin-1 reads any byte, and comments may be in any encoding; all else is ASCII.
        text = _COMMENT.split(line.decode("latin-1"), maxsplit=1)[0].strip()
        if text:
            yield number, text


def _counts(path: Path, lines: list[_Line]) -> tuple[tuple[int, int], list[_Line]]:
    header = _HEADER.fullmatch(lines[0][1]) if lines else None
    if header is None:
        raise DataError(f"{path} is no OFF file: it does not begin with OFF")
    rest, body = header[1].strip(), lines[1:]
    if not rest and body:
        rest, body = body[0][1], body[1:]
    counts = rest.split()
    # The number of edges, which nobody needs, is sometimes left out.
    if len(counts) not in (2, 3) or not all(map(_COUNT.fullmatch, counts)):
        raise DataError(
            f"{path}: expected the numbers of vertices, faces and edges after OFF, "
            f"got {shown(rest)}"
        )
    if int(counts[0]) == 0 or int(counts[1]) == 0:
        raise DataError(f"{path} has {counts[0]} vertices and {counts[1]} faces: it has no surface")
    return (int(counts[0]), int(counts[1])), body


def _triangles(path: Path, lines: list[_Line], num_vertices: int) -> np.ndarray:
    sizes = _table(path, lines, range(1))[:, 0]
    # The upper bound keeps a damaged size from asking for as many columns.
    bad = (sizes < 3) | (sizes > num_vertices) | (sizes % 1 != 0)
    if bad.any():
        first = int(np.argmax(bad))
        raise DataError(
            f"{path}: line {lines[first][0]} is a face with {sizes[first]:g} corners; "
            f"expected 3 to {num_vertices}"
        )
    # All faces of one size at once, since a loop over faces would be slow.
    fans = []
    for size in np.unique(sizes).astype(int).tolist():
        chosen = [lines[i] for i in np.flatnonzero(sizes == size)]
        corners = _table(path, chosen, range(1, size + 1))
        bad = ((corners < 0) | (corners >= num_vertices) | (corners % 1 != 0)).any(1)
        if bad.any():
            raise DataError(
                f"{path}: line {chosen[int(np.argmax(bad))][0]} is a face of vertices that do not "
                f"exist; there are {num_vertices}, numbered from 0"
            )
        fans += [corners[:, [0, j, j + 1]].astype(np.int64) for j in range(1, size - 1)]
    return np.concatenate(fans)


def _table(path: Path, lines: list[_Line], columns: range) -> np.ndarray:
    """Finite numbers in some columns of the lines, ``[lines, columns]``."""
    try:
        rows = [text for _, text in lines]
        # Comments are gone already; loadtxt would look for its own in every line.
        table: np.ndarray = np.loadtxt(rows, usecols=columns, ndmin=2, comments=None)
    except ValueError as error:
        number = next((n for n, text in lines if not _readable(text, columns)), lines[0][0])
        raise DataError(
            f"{path}: line {number} is not what was expected: {shown(error)}"
        ) from error
    finite = np.isfinite(table).all(1)
    if not finite.all():
        raise DataError(f"{path}: line {lines[int(np.argmin(finite))][0]} has NaN or infinity")
    return table


def _readable(text: str, columns: range) -> bool:
    words = text.split()
    try:
        return all(isinstance(float(words[column]), float) for column in columns)
    except (ValueError, IndexError):
        return False
