"""The classes of ``shapes``: surfaces of random proportions; every function returns one mesh.

Most of them turn a profile (r, z), a curve with the parameter t or a line through some points,
about the z axis, by θ ∈ [0, 2π]. Proportions are drawn uniformly from the ranges in brackets.

Hard to tell apart, once stretched and partly out of view: ellipsoid and capsule; cylinder, prism
and box; cone, pyramid and frustum; torus, band and moebius; helix and trefoil; bowl and saddle.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from gkd_data.mesh import Mesh, grid_mesh, revolve, tube

_TURN = np.linspace(0, 2 * np.pi, 49)
_HALF_TURN = np.linspace(-np.pi / 2, np.pi / 2, 24)  # even: a capsule's halves part at t = 0
_RADII = np.linspace(0, 1, 13)
_TUBE_POINTS = 97


def ellipsoid(rng: np.random.Generator) -> Mesh:
    """R = cos t, z = h sin t, |t| ≤ π/2; h [0.7, 1.5]."""
    h = rng.uniform(0.7, 1.5)
    return revolve(np.stack([np.cos(_HALF_TURN), h * np.sin(_HALF_TURN)], axis=1))


def capsule(rng: np.random.Generator) -> Mesh:
    """Half spheres of radius 1 at z = ±h, a cylinder between; h [0.3, 1.2]."""
    height = np.sin(_HALF_TURN) + rng.uniform(0.3, 1.2) * np.sign(_HALF_TURN)
    return revolve(np.stack([np.cos(_HALF_TURN), height], axis=1))


def prism(rng: np.random.Generator, sides: int) -> Mesh:
    """(0, −h) – (1, −h) – (1, h) – (0, h); h [0.5, 1.5]."""
    h = rng.uniform(0.5, 1.5)
    return revolve(np.array([[0, -h], [1, -h], [1, h], [0, h]]), sides)


def frustum(rng: np.random.Generator) -> Mesh:
    """(0, −h) – (1, −h) – (q, h) – (0, h); h [0.5, 1.2], q [0.3, 0.7]."""
    h, q = rng.uniform(0.5, 1.2), rng.uniform(0.3, 0.7)
    return revolve(np.array([[0, -h], [1, -h], [q, h], [0, h]]))


def pyramid(rng: np.random.Generator, sides: int) -> Mesh:
    """(0, −h) – (1, −h) – (0, h); h [0.5, 1.2]."""
    h = rng.uniform(0.5, 1.2)
    return revolve(np.array([[0, -h], [1, -h], [0, h]]), sides)


def octahedron(rng: np.random.Generator) -> Mesh:
    """(0, −h) – (1, 0) – (0, h) with 4 sides; h [0.7, 1.4]."""
    h = rng.uniform(0.7, 1.4)
    return revolve(np.array([[0, -h], [1, 0], [0, h]]), 4)


def bowl(rng: np.random.Generator) -> Mesh:
    """Z = a r², r ≤ 1; a [0.5, 1.2]."""
    return revolve(np.stack([_RADII, rng.uniform(0.5, 1.2) * _RADII**2], axis=1))


def saddle(rng: np.random.Generator) -> Mesh:
    """Z = a r² cos 2θ, r ≤ 1; a [0.5, 1.2]."""
    x, y = _RADII * np.cos(_TURN)[:, None], _RADII * np.sin(_TURN)[:, None]
    return grid_mesh(np.stack([x, y, rng.uniform(0.5, 1.2) * (x**2 - y**2)], axis=-1))


def torus(rng: np.random.Generator) -> Mesh:
    """R = 1 + q cos t, z = q sin t; q [0.15, 0.4]."""
    q = rng.uniform(0.15, 0.4)
    return revolve(np.stack([1 + q * np.cos(_TURN), q * np.sin(_TURN)], axis=1))


def band(rng: np.random.Generator) -> Mesh:
    """(1, −w) – (1, w); w [0.15, 0.4]."""
    w = rng.uniform(0.15, 0.4)
    return revolve(np.array([[1, -w], [1, w]]))


def moebius(rng: np.random.Generator) -> Mesh:
    """((1 + v cos θ/2) cos θ, (1 + v cos θ/2) sin θ, v sin θ/2), |v| ≤ w; w [0.15, 0.4]."""
    w, turn = rng.uniform(0.15, 0.4), _TURN[:, None]
    across = np.linspace(-w, w, 7)
    radius, height = 1 + across * np.cos(turn / 2), across * np.sin(turn / 2)
    return grid_mesh(np.stack([radius * np.cos(turn), radius * np.sin(turn), height], axis=-1))


def helix(rng: np.random.Generator) -> Mesh:
    """Tube around (cos t, sin t, c t), n turns, radius q.

    c [0.1, 0.2], n [1.5, 3], q [0.1, 0.2].
    """
    c, n, q = rng.uniform(0.1, 0.2), rng.uniform(1.5, 3), rng.uniform(0.1, 0.2)
    t = np.linspace(0, 2 * np.pi * n, _TUBE_POINTS)
    curve = np.stack([np.cos(t), np.sin(t), c * t], axis=1)
    tangent = np.stack([-np.sin(t), np.cos(t), c + 0 * t], axis=1)
    return tube(curve, tangent, q)


def trefoil(rng: np.random.Generator) -> Mesh:
    """Tube around (sin t + 2 sin 2t, cos t − 2 cos 2t, −sin 3t), radius q; q [0.3, 0.6]."""
    t = np.linspace(0, 2 * np.pi, _TUBE_POINTS)
    curve = [np.sin(t) + 2 * np.sin(2 * t), np.cos(t) - 2 * np.cos(2 * t), -np.sin(3 * t)]
    tangent = [
        np.cos(t) + 4 * np.cos(2 * t),
        -np.sin(t) + 4 * np.sin(2 * t),
        -3 * np.cos(3 * t),
    ]
    return tube(np.stack(curve, axis=1), np.stack(tangent, axis=1), rng.uniform(0.3, 0.6))


SHAPES: Mapping[str, Callable[[np.random.Generator], Mesh]] = {
    "ellipsoid": ellipsoid,
    "capsule": capsule,
    "cylinder": partial(prism, sides=48),
    "prism": partial(prism, sides=6),
    "box": partial(prism, sides=4),
    "frustum": frustum,
    "cone": partial(pyramid, sides=48),
    "pyramid": partial(pyramid, sides=4),
    "octahedron": octahedron,
    "bowl": bowl,
    "saddle": saddle,
    "torus": torus,
    "band": band,
    "moebius": moebius,
    "helix": helix,
    "trefoil": trefoil,
}
