from pathlib import Path

import numpy as np
import pytest
from object_folders import CUBE, SQUARES, box, off, save

from gkd import DataError
from gkd_data.mesh import Mesh
from gkd_data.off import read_off


class TestOff:
    def read(self, tmp_path: Path, text: str) -> Mesh:
        return read_off(save(tmp_path / "a.off", text))

    @pytest.mark.parametrize(
        "header",
        [
            "OFF\n{} {} 0\n",
            "OFF{} {} 0\n",
            "OFF {} {} 0\n",
            "OFF\n{} {}\n",
            "# made by hand\n\nOFF # a cube\n# counts\n {} {} 12 \n\n",
            "OFF\r\n{} {} 0\r\n",
            "\ufeffOFF\n{} {} 0\n",
        ],
    )
    def test_reads_headers_of_all_kinds(self, tmp_path: Path, header: str) -> None:
        mesh = self.read(tmp_path, off(CUBE, SQUARES, header))
        np.testing.assert_array_equal(mesh.vertices, CUBE)
        assert mesh.areas().sum() == pytest.approx(6)

    @pytest.mark.parametrize(
        "letters", ["", "N", "C", "ST", "CN", "NC", "STC", "CST", "STN", "NST", "STCN", "NCST"]
    )
    def test_reads_positions_before_normals_colours_and_texture(
        self, tmp_path: Path, letters: str
    ) -> None:
        more = (0.25,) * (3 * ("N" in letters) + 4 * ("C" in letters) + 2 * ("ST" in letters))
        text = off([(*vertex, *more) for vertex in CUBE], SQUARES, letters + "OFF\n{} {} 12\n")
        mesh = self.read(tmp_path, text)
        np.testing.assert_array_equal(mesh.vertices, CUBE)
        assert mesh.areas().sum() == pytest.approx(6)

    def test_polygons_become_fans(self, tmp_path: Path) -> None:
        hexagon = [(np.cos(a), np.sin(a), 0) for a in np.arange(6) * np.pi / 3]
        mesh = self.read(tmp_path, off(hexagon, [range(6), (0, 2, 4)]))
        assert mesh.triangles.tolist() == [[0, 2, 4], [0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5]]
        assert mesh.areas()[1:].sum() == pytest.approx(1.5 * np.sqrt(3))

    def test_skips_colours_normals_and_comments(self, tmp_path: Path) -> None:
        text = (
            "COFF\n3 1 0\n0 0 0 255 0 0 255\n1 0 0 0 255 0 255\n# last\n0 1 0 1 1 1 1\n"
            "3 0 1 2 0.5 0.5 0.5 # red\n"
        )
        mesh = self.read(tmp_path, text)
        assert mesh.triangles.tolist() == [[0, 1, 2]]
        assert mesh.vertices[2].tolist() == [0, 1, 0]

    def test_skips_comments_in_any_encoding(self, tmp_path: Path) -> None:
        # The second byte of this letter ends a line in Latin-1.
        text = off(CUBE, SQUARES, "OFF\n# 1 Å is small\n{} {} 0\n")
        np.testing.assert_array_equal(self.read(tmp_path, text).vertices, CUBE)

    def test_keeps_degenerate_triangles_of_a_surface_that_has_area(self, tmp_path: Path) -> None:
        mesh = self.read(tmp_path, off(CUBE, [*SQUARES, (0, 0, 1), (0, 1, 1, 0)]))
        assert mesh.areas().sum() == pytest.approx(6)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "no OFF file: it does not begin with OFF"),
            ("ply\n", "no OFF file"),
            ("OFF\n", "expected the numbers of vertices, faces and edges after OFF, got ''"),
            ("OFF BINARY\n", "after OFF, got 'BINARY'"),
            (f"OFF\n{'8' * 5000} 6 0\n", "after OFF, got '888"),
            (box(1).replace("0 0 0\n", "0 0 1.#QNAN\n", 1), "line 3 is not what was expected"),
            (box(1).replace("0 0 0\n", "0 0 -1.#IND # a\n", 1), "line 3 is not what"),
            ("OFF\n8 6.5 0\n", "after OFF, got '8 6.5 0'"),
            ("OFF\n-8 6 0\n", "after OFF, got '-8 6 0'"),
            ("OFF\n0 0 0\n", "0 vertices and 0 faces: it has no surface"),
            (off(CUBE, []), "8 vertices and 0 faces: it has no surface"),
            (box(1)[:-12], "cut short: its header announces 8 vertices and 6 faces, but 13 lines"),
            (box(1).replace("1 1 1\n", "1 one 1\n", 1), "line 10 is not what was expected"),
            (box(1).replace("0 0 0\n", "0 0\n", 1), "line 3 is not what was expected"),
            (box(1).replace("1 1 1\n", "nan 1 1\n", 1), "line 10"),
            (off([(0, 0, 0), (1e400, 0, 0), (0, 1, 0)], [(0, 1, 2)]), "line 4 has NaN or infinity"),
            (off(CUBE, [(0, 1)]), "line 11 is a face with 2 corners; expected 3 to 8"),
            (off(CUBE, [*SQUARES, (5,)]), "line 17 is a face with 1 corners"),
            (off(CUBE, [(0, 1, 2), (0, 1, 8)]), "line 12 is a face of vertices that do not exist"),
            (off(CUBE, [(0, -1, 2)]), "there are 8, numbered from 0"),
            (off(CUBE, [(0, 1.5, 2)]), "line 11 is a face of vertices"),
            (off(CUBE, [(0, 1, 2)]).replace("3 0 1 2", "3 0 1"), "line 11 is not what"),
            (
                off(CUBE, [(0, 1, 2)]).replace("3 0 1 2", "1000000000000 0"),
                "face with 1e.12 corners",
            ),
            (off([(0, 0, 0), (1, 1, 1), (2, 2, 2)], [(0, 1, 2)]), "degenerate: .* has area 0.0"),
            (off([(1, 2, 3)] * 4, [(0, 1, 2, 3)]), "degenerate"),
            (off([(0, 0, 0), (1e300, 0, 0), (0, 1e300, 0)], [(0, 1, 2)]), "degenerate"),
        ],
    )
    def test_names_the_line_and_what_is_wrong(
        self, tmp_path: Path, text: str, message: str
    ) -> None:
        with pytest.raises(DataError, match=message) as caught:
            self.read(tmp_path, text)
        assert str(tmp_path / "a.off") in str(caught.value)
