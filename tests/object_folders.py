"""Folders of meshes and clouds, for tests."""

from pathlib import Path

import numpy as np

from gkd_data.objects import Objects

POINTS = 12
CUBE = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
SQUARES = [(0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5)]


def off(vertices: list, faces: list, header: str = "OFF\n{} {} 0\n") -> str:
    return header.format(len(vertices), len(faces)) + "".join(
        [
            *(" ".join(map(str, vertex)) + "\n" for vertex in vertices),
            *(f"{len(face)} " + " ".join(map(str, face)) + "\n" for face in faces),
        ]
    )


def box(width: float) -> str:
    return off([(width * x, y, z) for x, y, z in CUBE], SQUARES)


def cloud(seed: int, points: int = 20, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(points, 3)).astype(dtype)


def save(file: Path, content: object) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        file.write_text(content)
    elif isinstance(content, bytes):
        file.write_bytes(content)
    else:
        np.save(file, content)
    return file


def objects(root: Path, **options: object) -> Objects:
    return Objects(root, **{"points": POINTS, "surface_points": 30, **options})
