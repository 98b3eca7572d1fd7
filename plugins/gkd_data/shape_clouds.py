"""Clouds of generated shapes, as a scanner would see them: partly, with noise, in any pose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np

from gkd_data.clouds import unit_cloud
from gkd_data.mesh import Mesh, surface_points
from gkd_data.shape_classes import SHAPES


@dataclass(frozen=True, slots=True)
class View:
    """How objects are looked at; the parameters of ``shapes`` by these names."""

    points: int
    noise: float
    visible: float
    rotation: str
    stretch: float


def shape_cloud(name: str, view: View, rng: np.random.Generator) -> np.ndarray:
    """Return one object of a class as float32 ``[points, 3]`` in the unit sphere.

    Args:
        name: of the class, a key of ``SHAPES``.
        view: how the object is looked at.
        rng: everything random is drawn from it.
    """
    mesh = SHAPES[name](rng)
    stretched = Mesh(mesh.vertices * np.exp(rng.uniform(-1, 1, 3) * view.stretch), mesh.triangles)
    whole = surface_points(stretched, ceil(view.points / view.visible), rng)
    posed = whole @ ROTATIONS[view.rotation](rng).T
    # The random order of the points stays: any first ones are a fair choice of all.
    nearest = np.argsort(-(posed @ rng.standard_normal(3)), kind="stable")[: view.points]
    seen = unit_cloud(posed[np.sort(nearest)], view.points, name)
    noisy = seen + view.noise * rng.standard_normal(seen.shape)
    return unit_cloud(noisy, view.points, name)


def _no_rotation(rng: np.random.Generator) -> np.ndarray:
    return np.eye(3)


def _rotation_about_z(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def _any_rotation(rng: np.random.Generator) -> np.ndarray:
    """Uniform over all rotations: the matrix 2vvᵀ + (w² − v²)I + 2w[v]ₓ of a unit quaternion."""
    quaternion = rng.standard_normal(4)
    w, *v = quaternion / np.linalg.norm(quaternion)
    vector = np.array(v)
    cross = np.cross(np.eye(3), vector)
    matrix: np.ndarray = (
        2 * np.outer(vector, vector) + (w**2 - vector @ vector) * np.eye(3) + 2 * w * cross
    )
    return matrix


ROTATIONS: Mapping[str, Callable[[np.random.Generator], np.ndarray]] = {
    "none": _no_rotation,
    "z": _rotation_about_z,
    "all": _any_rotation,
}
