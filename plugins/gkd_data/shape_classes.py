"""The classes of ``shapes``: surfaces of random proportions; every function returns one mesh.

With t along a profile (r, z) that turns about the z axis, θ ∈ [0, 2π], and the proportions drawn
uniformly from the ranges in brackets:

    ellipsoid    r = cos t, z = h sin t,  |t| ≤ π/2                          h [0.7, 1.5]
    capsule      half spheres of radius 1 at z = ±h, a cylinder between      h [0.3, 1.2]
    cylinder     (0, −h) – (1, −h) – (1, h) – (0, h)                         h [0.5, 1.5]
    prism        the same with 6 sides                                       h [0.5, 1.5]
    box          the same with 4 sides                                       h [0.5, 1.5]
    frustum      (0, −h) – (1, −h) – (q, h) – (0, h)        h [0.5, 1.2], q [0.3, 0.7]
    cone         (0, −h) – (1, −h) – (0, h)                                  h [0.5, 1.2]
    pyramid      the same with 4 sides                                       h [0.5, 1.2]
    octahedron   (0, −h) – (1, 0) – (0, h) with 4 sides                      h [0.7, 1.4]
    bowl         z = a r²,  r ≤ 1                                            a [0.5, 1.2]
    saddle       z = a r² cos 2θ,  r ≤ 1                                     a [0.5, 1.2]
    torus        r = 1 + q cos t, z = q sin t                                q [0.15, 0.4]
    band         (1, −w) – (1, w)                                            w [0.15, 0.4]
    moebius      ((1 + v cos(θ/2)) cos θ, (1 + v cos(θ/2)) sin θ, v sin(θ/2)),  |v| ≤ w
                                                                             w [0.15, 0.4]
    helix        tube around (cos t, sin t, c t), n turns, radius q
                                            c [0.1, 0.2], n [1.5, 3], q [0.1, 0.2]
    trefoil      tube around (sin t + 2 sin 2t, cos t − 2 cos 2t, −sin 3t), radius q
                                                                             q [0.3, 0.6]

Hard to tell apart, once stretched and partly out of view: ellipsoid and capsule; cylinder, prism
and box; cone, pyramid and frustum; torus, band and moebius; helix and trefoil; bowl and saddle.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from gkd_data.mesh import Mesh
from gkd_data.shape_meshes import grid_mesh, revolved, tube

_TURN = np.linspace(0, 2 * np.pi, 49)
_HALF_TURN = np.linspace(-np.pi / 2, np.pi / 2, 24)  # even: a capsule's halves part at t = 0
_RADII = np.linspace(0, 1, 13)


def _ellipsoid(rng: np.random.Generator) -> Mesh:
    height = rng.uniform(0.7, 1.5)
    return revolved(np.stack([np.cos(_HALF_TURN), height * np.sin(_HALF_TURN)], axis=1))


def _capsule(rng: np.random.Generator) -> Mesh:
    height = np.sin(_HALF_TURN) + rng.uniform(0.3, 1.2) * np.sign(_HALF_TURN)
    return revolved(np.stack([np.cos(_HALF_TURN), height], axis=1))


def _prism(rng: np.random.Generator, sides: int = 48) -> Mesh:
    h = rng.uniform(0.5, 1.5)
    return revolved(np.array([[0, -h], [1, -h], [1, h], [0, h]]), sides)


def _frustum(rng: np.random.Generator) -> Mesh:
    h, q = rng.uniform(0.5, 1.2), rng.uniform(0.3, 0.7)
    return revolved(np.array([[0, -h], [1, -h], [q, h], [0, h]]))


def _pyramid(rng: np.random.Generator, sides: int = 48) -> Mesh:
    h = rng.uniform(0.5, 1.2)
    return revolved(np.array([[0, -h], [1, -h], [0, h]]), sides)


def _octahedron(rng: np.random.Generator) -> Mesh:
    h = rng.uniform(0.7, 1.4)
    return revolved(np.array([[0, -h], [1, 0], [0, h]]), 4)


def _bowl(rng: np.random.Generator) -> Mesh:
    return revolved(np.stack([_RADII, rng.uniform(0.5, 1.2) * _RADII**2], axis=1))


def _saddle(rng: np.random.Generator) -> Mesh:
    x, y = _RADII * np.cos(_TURN)[:, None], _RADII * np.sin(_TURN)[:, None]
    return grid_mesh(np.stack([x, y, rng.uniform(0.5, 1.2) * (x**2 - y**2)], axis=-1))


def _torus(rng: np.random.Generator) -> Mesh:
    q = rng.uniform(0.15, 0.4)
    return revolved(np.stack([1 + q * np.cos(_TURN), q * np.sin(_TURN)], axis=1))


def _band(rng: np.random.Generator) -> Mesh:
    w = rng.uniform(0.15, 0.4)
    return revolved(np.array([[1, -w], [1, w]]))


def _moebius(rng: np.random.Generator) -> Mesh:
    w, turn = rng.uniform(0.15, 0.4), _TURN[:, None]
    across = np.linspace(-w, w, 7)
    radius, height = 1 + across * np.cos(turn / 2), across * np.sin(turn / 2)
    return grid_mesh(np.stack([radius * np.cos(turn), radius * np.sin(turn), height], axis=-1))


def _helix(rng: np.random.Generator) -> Mesh:
    rise, turns, radius = rng.uniform(0.1, 0.2), rng.uniform(1.5, 3), rng.uniform(0.1, 0.2)
    t = np.linspace(0, 2 * np.pi * turns, 97)
    curve = np.stack([np.cos(t), np.sin(t), rise * t], axis=1)
    tangent = np.stack([-np.sin(t), np.cos(t), rise + 0 * t], axis=1)
    return tube(curve, tangent, radius)


def _trefoil(rng: np.random.Generator) -> Mesh:
    t = np.linspace(0, 2 * np.pi, 97)
    curve = [np.sin(t) + 2 * np.sin(2 * t), np.cos(t) - 2 * np.cos(2 * t), -np.sin(3 * t)]
    tangent = [
        np.cos(t) + 4 * np.cos(2 * t),
        -np.sin(t) + 4 * np.sin(2 * t),
        -3 * np.cos(3 * t),
    ]
    return tube(np.stack(curve, axis=1), np.stack(tangent, axis=1), rng.uniform(0.3, 0.6))


SHAPES: Mapping[str, Callable[[np.random.Generator], Mesh]] = {
    "ellipsoid": _ellipsoid,
    "capsule": _capsule,
    "cylinder": _prism,
    "prism": partial(_prism, sides=6),
    "box": partial(_prism, sides=4),
    "frustum": _frustum,
    "cone": _pyramid,
    "pyramid": partial(_pyramid, sides=4),
    "octahedron": _octahedron,
    "bowl": _bowl,
    "saddle": _saddle,
    "torus": _torus,
    "band": _band,
    "moebius": _moebius,
    "helix": _helix,
    "trefoil": _trefoil,
}
