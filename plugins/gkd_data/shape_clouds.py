"""Clouds of generated shapes, as a scanner would see them: partly, with noise, in any pose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np

from gkd_data.mesh import Mesh, sample_surface
from gkd_data.point_clouds import Clouds, unit_cloud
from gkd_data.random_by_purpose import random_state
from gkd_data.shape_classes import SHAPES


@dataclass(frozen=True, slots=True)
class Scan:
    """How objects are looked at; the parameters of ``shapes`` by these names."""

    points: int
    noise: float
    visible: float
    rotation: str
    stretch: float


def scan_shapes(classes: tuple[str, ...], count: int, scan: Scan, seed: int, split: str) -> Clouds:
    """Return ``count`` objects of each class; the label is the place of its class.

    Args:
        classes: names of the classes, keys of ``SHAPES``.
        count: objects per class.
        scan: how the objects are looked at.
        seed: of everything random.
        split: what the objects are for.
    """
    keys = [(name, i) for name in classes for i in range(count)]
    return Clouds(
        ids=tuple(f"{split}/{name}/{i}" for name, i in keys),
        # By class and number, so that more objects or fewer classes leave the others as they are.
        positions=tuple(
            scan_shape(name, scan, random_state(seed, split, name, i)) for name, i in keys
        ),
        labels=np.repeat(np.arange(len(classes)), count),
    )


def scan_shape(name: str, scan: Scan, rng: np.random.Generator) -> np.ndarray:
    """Return one object of a class as float32 ``[points, 3]`` in the unit sphere.

    Args:
        name: of the class, a key of ``SHAPES``.
        scan: how the object is looked at.
        rng: everything random is drawn from it.
    """
    mesh = SHAPES[name](rng)
    stretched = Mesh(mesh.vertices * np.exp(rng.uniform(-1, 1, 3) * scan.stretch), mesh.triangles)
    # More points than asked for: those that are out of view will be cut off.
    whole = sample_surface(stretched, ceil(scan.points / scan.visible), rng)
    posed = whole @ ROTATIONS[scan.rotation](rng).T
    # The random order of the points stays: any first ones are a fair choice of all.
    nearest = np.argsort(-(posed @ rng.standard_normal(3)), kind="stable")[: scan.points]
    # Scaled before the noise, which is a share of the radius, and after it, which moves points out.
    seen = unit_cloud(posed[np.sort(nearest)], scan.points, name)
    noisy = seen + scan.noise * rng.standard_normal(seen.shape)
    return unit_cloud(noisy, scan.points, name)


def no_rotation(rng: np.random.Generator) -> np.ndarray:
    """Return the identity."""
    return np.eye(3)


def rotation_about_z(rng: np.random.Generator) -> np.ndarray:
    """Return a rotation about z, by an angle uniform over the circle."""
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def any_rotation(rng: np.random.Generator) -> np.ndarray:
    """Return a rotation uniform over all: 2vvᵀ + (w² − v²)I + 2w[v]ₓ of a unit quaternion."""
    # Uniform on the sphere of unit quaternions; angles drawn one by one would not be.
    quaternion = rng.standard_normal(4)
    w, *v = quaternion / np.linalg.norm(quaternion)
    vector = np.array(v)
    cross = np.cross(np.eye(3), vector)
    matrix: np.ndarray = (
        2 * np.outer(vector, vector) + (w**2 - vector @ vector) * np.eye(3) + 2 * w * cross
    )
    return matrix


ROTATIONS: Mapping[str, Callable[[np.random.Generator], np.ndarray]] = {
    "none": no_rotation,
    "z": rotation_about_z,
    "all": any_rotation,
}
