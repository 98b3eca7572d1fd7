"""Triangle meshes, and points on their surface."""

from dataclasses import dataclass

import numpy as np


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


def surface_points(mesh: Mesh, points: int, rng: np.random.Generator) -> np.ndarray:
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
    >>> surface_points(mesh, 4, np.random.default_rng(0)).sum(1).round(12).tolist()
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
