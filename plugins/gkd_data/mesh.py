"""Triangle meshes: points on their surface, and meshes of grids, turned profiles and tubes."""

from dataclasses import dataclass

import numpy as np

_SEGMENTS = 48
_TUBE_SEGMENTS = 10


@dataclass(frozen=True, slots=True)
class Mesh:
    """Triangles in space.

    Args:
        vertices: float64 ``[V, 3]``.
        triangles: corners of each triangle as rows of ``vertices``, int64 ``[T, 3]``.
    """

    vertices: np.ndarray
    triangles: np.ndarray

    def areas(self) -> np.ndarray:
        """Area of every triangle, ``[T]``."""
        a, b, c = self.vertices[self.triangles.T]
        areas: np.ndarray = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
        return areas


def sample_surface(mesh: Mesh, points: int, rng: np.random.Generator) -> np.ndarray:
    """Return points drawn uniformly from the surface of a mesh.

    A triangle is drawn by its area, and in it, with u, v ∈ U[0, 1],

        p = (1 − √u) a + √u (1 − v) b + √u v c.

    Args:
        mesh: its surface has an area.
        points: how many.
        rng: everything random is drawn from it.

    Returns:
        float64 ``[points, 3]``.

    Source: Osada et al., ACM Transactions on Graphics 2002, section 3.1, equation 1.

    >>> mesh = Mesh(np.eye(3), np.array([[0, 1, 2]]))
    >>> sample_surface(mesh, 4, np.random.default_rng(0)).sum(1).round(12).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    ends = np.cumsum(mesh.areas())
    # A draw that rounding takes to the very end belongs to the last triangle that has an area.
    place = np.minimum(rng.random(points) * ends[-1], np.nextafter(ends[-1], 0))
    a, b, c = mesh.vertices[mesh.triangles[np.searchsorted(ends, place, side="right")].T]
    root = np.sqrt(rng.random((points, 1)))
    v = rng.random((points, 1))
    drawn: np.ndarray = (1 - root) * a + root * (1 - v) * b + root * v * c
    return drawn


def grid_mesh(grid: np.ndarray) -> Mesh:
    """Return the surface through a grid of points; each cell is two triangles.

    Args:
        grid: ``[rows, columns, 3]``.
    """
    rows, columns = grid.shape[:2]
    corner = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = corner[:-1, :-1], corner[1:, :-1], corner[1:, 1:], corner[:-1, 1:]
    triangles = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
    return Mesh(grid.reshape(-1, 3), triangles)


def revolve(profile: np.ndarray, segments: int = _SEGMENTS) -> Mesh:
    """Return the surface of revolution of a profile about the z axis.

        p(s, θ) = (r(s) cos θ, r(s) sin θ, z(s)),   θ = 0, 2π/segments, …, 2π

    Few segments make prisms and pyramids.

    Args:
        profile: (r, z) along a line, ``[m, 2]``.
        segments: number of flat faces around.
    """
    angle = np.linspace(0, 2 * np.pi, segments + 1)[:, None]
    radius, height = profile.T
    parts = (radius * np.cos(angle), radius * np.sin(angle), height + 0 * angle)
    return grid_mesh(np.stack(parts, axis=-1))


def tube(curve: np.ndarray, tangent: np.ndarray, radius: float) -> Mesh:
    """Return the tube around a curve that is nowhere parallel to the z axis.

        p(s, φ) = c(s) + radius (cos φ n(s) + sin φ b(s)),
        n = (e_z × c′) / ‖e_z × c′‖,   b = (c′ × n) / ‖c′ × n‖

    Args:
        curve: points c on it, ``[m, 3]``.
        tangent: its derivative c′ there, of any length, ``[m, 3]``.
        radius: of the tube.
    """
    normal = np.cross([0.0, 0.0, 1.0], tangent)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    binormal = np.cross(tangent, normal)
    binormal /= np.linalg.norm(binormal, axis=1, keepdims=True)
    angle = np.linspace(0, 2 * np.pi, _TUBE_SEGMENTS + 1)[:, None]
    return grid_mesh(
        curve[:, None]
        + radius * (np.cos(angle) * normal[:, None] + np.sin(angle) * binormal[:, None])
    )
