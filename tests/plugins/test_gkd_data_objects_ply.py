from pathlib import Path

import numpy as np
import pytest
import torch
from object_folders import cloud, objects, save

from gkd import DataError
from gkd_data.ply import read_ply


def ply(header: str, body: bytes) -> bytes:
    return b"ply\n" + header.encode() + b"end_header\n" + body


def vertices(count: int, kind: str = "float") -> str:
    axes = "".join(f"property {kind} {axis}\n" for axis in "xyz")
    return f"element vertex {count}\n{axes}"


ASCII = "format ascii 1.0\n"
LITTLE = "format binary_little_endian 1.0\n"


FACES = "element face {}\nproperty list uchar int vertex_indices\n"
ORDERS = {"little": "<", "big": ">"}


class TestPly:
    def read(self, tmp_path: Path, content: bytes) -> np.ndarray:
        return read_ply(save(tmp_path / "a.ply", content))

    @pytest.mark.parametrize(("kind", "dtype"), [("float", "f4"), ("float64", "f8")])
    @pytest.mark.parametrize(("form", "order"), [("little", "<"), ("big", ">")])
    def test_reads_binary_clouds(
        self, tmp_path: Path, form: str, order: str, kind: str, dtype: str
    ) -> None:
        header = f"format binary_{form}_endian 1.0\ncomment made by hand\n{vertices(20, kind)}"
        expected = cloud(0, dtype=dtype)
        positions = self.read(tmp_path, ply(header, expected.astype(order + dtype).tobytes()))
        assert positions.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(positions, expected)

    def test_reads_text(self, tmp_path: Path) -> None:
        expected = cloud(0)
        body = "".join(" ".join(map(repr, row)) + "\n" for row in expected.tolist())
        positions = self.read(tmp_path, ply(ASCII + vertices(20), body.encode()))
        assert positions.dtype == np.float32
        np.testing.assert_array_equal(positions, expected)

    def test_finds_positions_among_other_properties(self, tmp_path: Path) -> None:
        header = (
            LITTLE + "element camera 2\nproperty uchar id\nproperty double x\nelement vertex 3\n"
            "property uchar red\nproperty double z\nproperty double x\nproperty short flag\n"
            "property double y\nelement face 1\nproperty list uchar int vertex_indices\n"
        )
        record = np.dtype("u1, <f8, <f8, <i2, <f8")
        rows = np.array([(9, 3, 1, 7, 2), (9, 6, 4, 7, 5), (9, 9, 7, 7, 8)], record)
        content = ply(header, bytes(18) + rows.tobytes() + b"\x03" + bytes(12))
        assert self.read(tmp_path, content).tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]

    def test_finds_positions_in_text_behind_other_elements(self, tmp_path: Path) -> None:
        header = (
            ASCII + "element face 1\nproperty list uchar int vertex_indices\nelement vertex 2\n"
            "property uchar red\nproperty float x\nproperty float y\nproperty float z\n"
        )
        body = b"3 0 1 1\n255 1 2 3\n255 4 5 6\n"
        assert self.read(tmp_path, ply(header, body)).tolist() == [[1, 2, 3], [4, 5, 6]]

    def test_reads_comments_in_any_encoding(self, tmp_path: Path) -> None:
        # The second byte of this letter ends a line in Latin-1.
        content = ply(ASCII + "comment 1 Å is small\n" + vertices(1), b"1 2 3\n")
        assert self.read(tmp_path, content).tolist() == [[1, 2, 3]]

    def test_reads_headers_made_on_windows(self, tmp_path: Path) -> None:
        content = ply(ASCII + vertices(1), b"1 2 3\n").replace(b"\n", b"\r\n")
        assert self.read(tmp_path, content).tolist() == [[1, 2, 3]]

    def test_reads_headers_made_on_old_macintoshes(self, tmp_path: Path) -> None:
        text = ply(ASCII + vertices(1), b"1 2 3\n").replace(b"\n", b"\r")
        assert self.read(tmp_path, text).tolist() == [[1, 2, 3]]
        # The first byte of the body is a line feed, and belongs to a number.
        header = ply(LITTLE + vertices(1, "int"), b"").replace(b"\n", b"\r")
        binary = header + np.array([10, 2, 3], "<i4").tobytes()
        assert self.read(tmp_path, binary).tolist() == [[10, 2, 3]]

    def test_passes_over_a_byte_order_mark_and_blank_lines(self, tmp_path: Path) -> None:
        content = b"\xef\xbb\xbf" + ply(ASCII + vertices(2), b"\n1 2 3\n\n4 5 6\n")
        assert self.read(tmp_path, content).tolist() == [[1, 2, 3], [4, 5, 6]]

    @pytest.mark.parametrize(
        ("kind", "dtype", "read"),
        [("uchar", "u1", "f4"), ("short", "i2", "f4"), ("int", "i4", "f8"), ("uint32", "u4", "f8")],
    )
    @pytest.mark.parametrize("form", ORDERS)
    def test_reads_places_on_a_grid(
        self, tmp_path: Path, form: str, kind: str, dtype: str, read: str
    ) -> None:
        expected = np.array([[0, 1, 2], [127, 3, 100]], ORDERS[form] + dtype)
        header = f"format binary_{form}_endian 1.0\n{vertices(2, kind)}"
        positions = self.read(tmp_path, ply(header, expected.tobytes()))
        assert positions.dtype == np.dtype(read)
        np.testing.assert_array_equal(positions, expected)
        rows = "".join(" ".join(map(str, row)) + "\n" for row in expected.tolist())
        text = self.read(tmp_path, ply(ASCII + vertices(2, kind), rows.encode()))
        np.testing.assert_array_equal(text, expected)

    def test_reads_axes_of_several_types(self, tmp_path: Path) -> None:
        header = LITTLE + vertices(1).replace("float z", "double z")
        content = ply(header, np.array([(1.5, 2.5, 0.1)], "<f4, <f4, <f8").tobytes())
        positions = self.read(tmp_path, content)
        assert positions.dtype == np.float64
        assert positions.tolist() == [[1.5, 2.5, 0.1]]

    @pytest.mark.parametrize("form", ORDERS)
    def test_reads_binary_clouds_behind_and_among_lists(self, tmp_path: Path, form: str) -> None:
        order = ORDERS[form]
        faces = b"".join(
            bytes([n]) + np.arange(n, dtype=order + "i4").tobytes() for n in (3, 0, 200)
        )
        header = f"format binary_{form}_endian 1.0\n{FACES.format(3)}"
        expected = cloud(0)
        body = expected.astype(order + "f4")
        content = ply(header + vertices(20), faces + body.tobytes())
        np.testing.assert_array_equal(self.read(tmp_path, content), expected)
        # Each vertex has a list of the faces around it, before its position.
        lists = vertices(20).replace("\n", "\nproperty list ushort uchar faces\n", 1)
        rows = b"".join(
            np.array([i], order + "u2").tobytes() + bytes(i) + row.tobytes()
            for i, row in enumerate(body)
        )
        content = ply(header + lists, faces + rows)
        np.testing.assert_array_equal(self.read(tmp_path, content), expected)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "no PLY file"),
            (b"OFF\n", "no PLY file"),
            (b"ply\nformat ascii 1.0\n", "no header from ply to end_header"),
            (ply(vertices(1), b"1 2 3\n"), "format '' is none of ascii, binary_little_endian"),
            (ply("format morse 1.0\n" + vertices(1), b""), "format 'morse' is none of"),
            (ply(ASCII + "element face 1\n", b"\n"), "has no vertices, only face"),
            (ply(ASCII, b"\n"), "has no vertices, only a header"),
            (ply(ASCII + vertices(1, "quad"), b"1 2 3\n"), "no PLY: 'property quad x'"),
            (ply(ASCII + "element vertex many\n", b""), "no PLY: 'element vertex many'"),
            (ply(ASCII + "property float x\n", b""), "no PLY: 'property float x'"),
            (ply(ASCII + f"element vertex {'7' * 5000}\n", b""), "a line that is no PLY"),
            (
                ply(ASCII + vertices(1).replace("property float z\n", ""), b"1 2\n"),
                "vertices need x, y and z",
            ),
            (ply(ASCII + vertices(2), b"1 2 3\n"), "announces 2 vertices, and 1 follow"),
            (ply(ASCII + vertices(2), b"1 2 3\n\n\n"), "announces 2 vertices, and 1 follow"),
            (ply(ASCII + vertices(0), b""), "announces 0 vertices, and 0 follow"),
            (ply(ASCII + vertices(1), b"1 2\n"), "the vertices cannot be read"),
            (ply(ASCII + vertices(1), b"1 2 x\n"), "the vertices cannot be read"),
            (ply(LITTLE + vertices(2), bytes(23)), "announces 2 vertices, and 1 follow"),
            (ply(LITTLE + vertices(2), b""), "announces 2 vertices, and 0 follow"),
            (
                ply(LITTLE + FACES.format(2) + vertices(1), b"\xff" + bytes(99)),
                "cut short: its face records are not all there",
            ),
            (
                ply(LITTLE + FACES.format(10**9) + vertices(1), bytes(99)),
                "cut short: its face records are not all there",
            ),
            (
                ply(LITTLE + FACES.format(1).replace("uchar", "char") + vertices(1), b"\xff" * 99),
                "face has a list of length -1",
            ),
            (ply(LITTLE + FACES.format(1).replace("uchar", "float"), b""), "a line that is no PLY"),
            (
                ply(
                    ASCII + "element vertex 1\nproperty list uchar int i\n"
                    "property float x\nproperty float y\nproperty float z\n",
                    b"1 0 1 2 3\n",
                ),
                "vertex has a list before its position",
            ),
        ],
    )
    def test_names_the_file_and_what_is_wrong(
        self, tmp_path: Path, content: bytes, message: str
    ) -> None:
        with pytest.raises(DataError, match=message) as caught:
            self.read(tmp_path, content)
        assert str(tmp_path / "a.ply") in str(caught.value)

    def test_is_an_object(self, tmp_path: Path) -> None:
        body = cloud(0).tobytes()
        for name in ("ant", "bee"):
            for i in range(3):
                save(tmp_path / name / f"{i}.npy", cloud(0))
        scan = save(tmp_path / "bee" / "scan.ply", ply(LITTLE + vertices(20), body))
        data = objects(tmp_path, augment=False, points=20)
        found = {s.id: s.pos for s in (*data.train, *data.validation, *data.test)}
        pair = (found["bee/scan.ply"], found["bee/0.npy"])
        assert torch.equal(*(pos[pos[:, 0].argsort()] for pos in pair))
        broken = body[:24] + np.float32(np.nan).tobytes() + body[28:]
        save(scan, ply(LITTLE + vertices(20), broken))
        with pytest.raises(DataError, match=r"scan\.ply holds NaN or infinity at point 2$"):
            objects(tmp_path)
