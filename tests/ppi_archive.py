"""A small archive in the public layout of PPI, for tests to read and to damage."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

FEATURES, CLASSES = 3, 2
GRAPH_SIZES = {"train": {1: 3, 2: 2}, "valid": {3: 2}, "test": {4: 4}}


def miniature() -> dict[str, Any]:
    """Files of a small archive in the public layout: arrays, and graphs as objects."""
    rng = np.random.default_rng(0)
    files: dict[str, Any] = {}
    for split, sizes in GRAPH_SIZES.items():
        total = sum(sizes.values())
        starts = np.cumsum([0, *sizes.values()])[:-1]
        links = [
            {"source": int(start + i), "target": int(start + i + 1)}
            for start, size in zip(starts, sizes.values(), strict=True)
            for i in range(size - 1)
        ]
        files[f"{split}_graph.json"] = {
            "directed": False,
            "multigraph": False,
            "graph": {},
            "nodes": [{"id": i} for i in range(total)],
            "links": links,
        }
        files[f"{split}_feats.npy"] = rng.standard_normal((total, FEATURES))
        files[f"{split}_labels.npy"] = rng.integers(0, 2, (total, CLASSES))
        files[f"{split}_graph_id.npy"] = np.repeat(list(sizes), list(sizes.values()))
    return files


def write(folder: Path, files: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        elif name.endswith(".json"):
            (folder / name).write_text(json.dumps(content))
        else:
            np.save(folder / name, content)
    return folder


def zipped(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for file in sorted(folder.iterdir()):
            target.write(file, file.name)
    return archive
