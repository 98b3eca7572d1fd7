"""Meshes of generated surfaces: from a grid of points, a profile that turns, or a tube."""

import numpy as np

from gkd_data.mesh import Mesh

_SEGMENTS = 48
_TUBE_SEGMENTS = 10


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


def revolved(profile: np.ndarray, segments: int = _SEGMENTS) -> Mesh:
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
    normal = _unit(np.cross([0.0, 0.0, 1.0], tangent))[:, None]
    binormal = _unit(np.cross(tangent, normal[:, 0]))[:, None]
    angle = np.linspace(0, 2 * np.pi, _TUBE_SEGMENTS + 1)[:, None]
    return grid_mesh(curve[:, None] + radius * (np.cos(angle) * normal + np.sin(angle) * binormal))


def _unit(vectors: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
