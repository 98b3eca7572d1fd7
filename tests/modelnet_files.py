"""A small data set in ModelNet's public layout, for tests."""

import zipfile
from pathlib import Path

import h5py
import numpy as np

from gkd_data.modelnet import ModelNet40

POINTS = 16
NAMES = ["chair", "lamp", "sofa"]
SIZES = {"ply_data_train0.h5": 14, "ply_data_train1.h5": 10, "ply_data_test0.h5": 6}

Content = dict[str, np.ndarray]


def shard(size: int, seed: int, dtype: str = "float32") -> Content:
    rng = np.random.default_rng(seed)
    data = rng.uniform(-3, 5, (size, POINTS, 3)).astype(dtype)
    return {"data": data, "label": (np.arange(size) % len(NAMES)).astype(np.uint8)[:, None]}


def miniature(dtype: str = "float32") -> dict[str, object]:
    """Files of a small data set in the public layout."""
    shards = {name: shard(size, i, dtype) for i, (name, size) in enumerate(SIZES.items())}
    lists = {
        f"{split}_files.txt": "".join(
            f"data/modelnet40_ply_hdf5_2048/{name}\n" for name in SIZES if split in name
        )
        for split in ("train", "test")
    }
    return {**shards, **lists, "shape_names.txt": "\n".join(NAMES) + "\n"}


def write(folder: Path, files: dict[str, object]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if isinstance(content, str):
            (folder / name).write_text(content)
        elif isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            with h5py.File(folder / name, "w") as file:
                for key, array in content.items():
                    compression = "gzip" if key == "data" else None
                    file.create_dataset(key, data=array, compression=compression)
    return folder


def zipped(folder: Path, archive: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for file in sorted(folder.iterdir()):
            target.write(file, prefix + file.name)
    return archive


def dataset(place: Path, points: int = POINTS, **options: object) -> ModelNet40:
    return ModelNet40(place, points=points, download=False, **options)
