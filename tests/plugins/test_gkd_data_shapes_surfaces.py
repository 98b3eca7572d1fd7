from collections.abc import Callable

import numpy as np
import pytest

from gkd_data.mesh import Mesh, revolve, sample_surface
from gkd_data.shape_classes import SHAPES
from gkd_data.shape_clouds import ROTATIONS


# What every point of an unstretched surface satisfies, for the proportions that were drawn.
def on_cylinder(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.minimum(abs(np.hypot(x, y) - 1), abs(abs(z) - abs(z).max()))


def on_ellipsoid(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return abs(x**2 + y**2 + (z / abs(z).max()) ** 2 - 1)


def on_octahedron(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return abs(abs(x) + abs(y) + abs(z) / abs(z).max() - 1)


def on_bowl(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return abs(z - z.max() * (x**2 + y**2))


def on_saddle(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return abs(z - z.max() * (x**2 - y**2))


def on_torus(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return abs(np.hypot(np.hypot(x, y) - 1, z) - z.max())


def on_band(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return abs(np.hypot(x, y) - 1)


def on_moebius(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    # The cubic equation of the strip whose middle line is the unit circle.
    return abs(-y + x**2 * y + y**3 - 2 * x * z - 2 * x**2 * z + y * z**2 - 2 * y**2 * z)


EQUATIONS = {
    "cylinder": on_cylinder,
    "ellipsoid": on_ellipsoid,
    "octahedron": on_octahedron,
    "bowl": on_bowl,
    "saddle": on_saddle,
    "torus": on_torus,
    "band": on_band,
    "moebius": on_moebius,
}


class TestSurfaces:
    @pytest.mark.parametrize(("name", "equation"), EQUATIONS.items(), ids=EQUATIONS.keys())
    def test_vertices_satisfy_the_equation(self, name: str, equation: Callable) -> None:
        vertices = SHAPES[name](np.random.default_rng(0)).vertices
        np.testing.assert_allclose(equation(*vertices.T), 0, atol=1e-9)

    @pytest.mark.parametrize(("name", "equation"), EQUATIONS.items(), ids=EQUATIONS.keys())
    def test_points_are_close_to_the_surface(self, name: str, equation: Callable) -> None:
        mesh = SHAPES[name](np.random.default_rng(0))
        points = np.concatenate(
            [sample_surface(mesh, 500, np.random.default_rng(1)), mesh.vertices]
        )
        assert equation(*points.T).max() < 0.03

    @pytest.mark.parametrize("name", ["helix", "trefoil"])
    def test_tubes_are_round_and_upright_on_their_curve(self, name: str) -> None:
        rings = SHAPES[name](np.random.default_rng(0)).vertices.reshape(97, -1, 3)
        curve = rings[:, :-1].mean(1)
        arms = rings - curve[:, None]
        radii = np.linalg.norm(arms, axis=2)
        np.testing.assert_allclose(radii, radii[0, 0], rtol=1e-9)
        forward = (curve[2:] - curve[:-2]) / np.linalg.norm(curve[2:] - curve[:-2], axis=1)[:, None]
        slant = np.einsum("rvk,rk->rv", arms[1:-1], forward) / radii[0, 0]
        assert abs(slant).max() < 0.02

    def test_a_helix_climbs_around_a_cylinder(self) -> None:
        x, y, z = self.curve("helix")
        np.testing.assert_allclose(np.hypot(x, y), 1)
        np.testing.assert_allclose(np.diff(z), np.diff(z)[0])
        assert z[-1] > z[0]

    def test_a_trefoil_lies_on_its_torus(self) -> None:
        # With ρ² = x² + y² = 5 − 4 cos 3t and z = −sin 3t.
        x, y, z = self.curve("trefoil")
        np.testing.assert_allclose(((x**2 + y**2 - 5) / 4) ** 2 + z**2, 1)

    def curve(self, name: str) -> np.ndarray:
        rings = SHAPES[name](np.random.default_rng(0)).vertices.reshape(97, -1, 3)
        return rings[:, :-1].mean(1).T

    @pytest.mark.parametrize("name", SHAPES)
    def test_has_an_area_and_no_stray_vertex(self, name: str) -> None:
        mesh = SHAPES[name](np.random.default_rng(0))
        assert np.isfinite(mesh.vertices).all()
        assert mesh.areas().sum() > 0
        assert set(mesh.triangles.flat) == set(range(len(mesh.vertices)))

    @pytest.mark.parametrize("name", SHAPES)
    def test_proportions_differ(self, name: str) -> None:
        meshes = [SHAPES[name](np.random.default_rng(seed)) for seed in (0, 1)]
        assert not np.allclose(meshes[0].vertices, meshes[1].vertices)

    def test_area_of_a_cylinder(self) -> None:
        profile = np.array([[0, -1.5], [1, -1.5], [1, 1.5], [0, 1.5]])
        area = revolve(profile, 1000).areas().sum()
        assert area == pytest.approx(2 * np.pi + 2 * np.pi * 3, rel=1e-4)

    def test_box_has_the_area_of_a_box(self) -> None:
        profile = np.array([[0, -1.0], [1, -1.0], [1, 1.0], [0, 1.0]])
        side = np.sqrt(2)
        assert revolve(profile, 4).areas().sum() == pytest.approx(2 * side**2 + 4 * side * 2)


class TestSurfacePoints:
    def test_triangles_get_points_by_area(self) -> None:
        vertices = np.array([[0, 0, 0], [3, 0, 0], [0, 2, 0], [0, 0, 5], [1, 0, 5], [0, 2, 5.0]])
        mesh = Mesh(vertices, np.array([[0, 1, 2], [0, 0, 1], [3, 4, 5]]))
        points = sample_surface(mesh, 20_000, np.random.default_rng(0))
        assert mesh.areas().tolist() == [3.0, 0.0, 1.0]
        assert np.mean(points[:, 2] == 0) == pytest.approx(0.75, abs=0.01)

    def test_points_are_uniform_within_a_triangle(self) -> None:
        mesh = Mesh(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]]), np.array([[0, 1, 2]]))
        x, y, _ = sample_surface(mesh, 20_000, np.random.default_rng(0)).T
        assert np.all((x >= 0) & (y >= 0) & (x + y <= 1))
        # The four triangles between the middles of the sides have one area.
        shares = [np.mean(part) for part in (x > 0.5, y > 0.5, x + y < 0.5)]
        np.testing.assert_allclose(shares, 0.25, atol=0.01)

    @pytest.mark.parametrize("drawn", [0.0, float(np.nextafter(1, 0))])
    def test_never_takes_a_triangle_without_area(self, drawn: float) -> None:
        vertices = np.array([[9, 9, 9], [0, 0, 0], [1, 0, 0], [0, 1, 0.0]])
        mesh = Mesh(vertices, np.array([[0, 0, 0], [1, 2, 3], [0, 0, 0]]))

        points = sample_surface(mesh, 2, Constant(drawn))  # type: ignore[arg-type]
        assert points.max() <= 1


class Constant:
    """A generator that always draws the same number."""

    def __init__(self, number: float) -> None:
        self.number = number

    def random(self, shape: object) -> np.ndarray:
        return np.full(shape, self.number)


class TestRotations:
    @pytest.mark.parametrize("name", ROTATIONS)
    def test_are_rotations(self, name: str) -> None:
        for seed in range(5):
            matrix = ROTATIONS[name](np.random.default_rng(seed))
            np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
            assert np.linalg.det(matrix) == pytest.approx(1)

    def test_about_z_leave_z(self) -> None:
        matrix = ROTATIONS["z"](np.random.default_rng(0))
        assert matrix[2].tolist() == matrix[:, 2].tolist() == [0, 0, 1]

    def test_all_are_uniform(self) -> None:
        rng = np.random.default_rng(0)
        matrices = np.stack([ROTATIONS["all"](rng) for _ in range(2000)])
        # Every entry has mean 0 and mean square 1/3.
        np.testing.assert_allclose(matrices.mean(0), 0, atol=0.06)
        np.testing.assert_allclose((matrices**2).mean(0), 1 / 3, atol=0.04)
