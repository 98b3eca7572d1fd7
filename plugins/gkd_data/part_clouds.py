"""Clouds of generated objects of several parts, with the part of each point."""

from dataclasses import dataclass

import numpy as np
import torch

from gkd import Sample
from gkd_data.mesh import Mesh, sample_surface
from gkd_data.point_clouds import unit_cloud
from gkd_data.random_by_purpose import random_state
from gkd_data.shape_classes import SHAPES
from gkd_data.shape_clouds import ROTATIONS

_RADII = (0.5, 1.0)
_OVERLAP = (0.6, 1.0)


@dataclass(frozen=True, slots=True)
class PartScan:
    """What objects consist of and how they are looked at; the parameters of ``parts``."""

    points: int
    most: int
    noise: float
    rotation: str
    classes: tuple[str, ...]


def scan_object(scan: PartScan, seed: int, split: str, index: int) -> Sample:
    """Return one object as a sample: ``pos``, float32 ``[points, 3]``, and the part ``y [points]``.

    Args:
        scan: what it consists of.
        seed: of everything random.
        split: what it is for.
        index: its number in the split.
    """
    rng = random_state(seed, "parts", split, index)
    count = int(rng.integers(2, scan.most + 1))
    chosen = rng.permutation(len(scan.classes))[:count]
    meshes: list[Mesh] = []
    balls: list[tuple[np.ndarray, float]] = []
    for label in chosen:
        mesh, radius = SHAPES[scan.classes[label]](rng), float(rng.uniform(*_RADII))
        centre = _place(balls, radius, rng)
        balls.append((centre, radius))
        middle = (mesh.vertices.max(0) + mesh.vertices.min(0)) / 2
        reach = np.linalg.norm(mesh.vertices - middle, axis=1).max()
        placed = (mesh.vertices - middle) * (radius / reach) + centre
        meshes.append(Mesh(placed, mesh.triangles))
    areas = np.array([mesh.areas().sum() for mesh in meshes])
    parts = np.sort(rng.choice(count, size=scan.points, p=areas / areas.sum()))
    drawn = [
        sample_surface(mesh, int((parts == part).sum()), rng) for part, mesh in enumerate(meshes)
    ]
    # In random order, so that any first points are a fair choice of all.
    order = rng.permutation(scan.points)
    positions = (np.concatenate(drawn) @ ROTATIONS[scan.rotation](rng).T)[order]
    name = f"{split}-{index}"
    seen = unit_cloud(positions, scan.points, name)
    noisy = seen + scan.noise * rng.standard_normal(seen.shape)
    return Sample(
        id=name,
        pos=torch.from_numpy(unit_cloud(noisy, scan.points, name)),
        y=torch.from_numpy(chosen[parts[order]].astype(np.int64)),
    )


def _place(
    balls: list[tuple[np.ndarray, float]], radius: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the centre of a part: the origin, or beside a part that is there."""
    if not balls:
        return np.zeros(3)
    beside, other = balls[int(rng.integers(len(balls)))]
    direction = rng.standard_normal(3)
    distance = (radius + other) * rng.uniform(*_OVERLAP)
    centre: np.ndarray = beside + distance * direction / np.linalg.norm(direction)
    return centre
