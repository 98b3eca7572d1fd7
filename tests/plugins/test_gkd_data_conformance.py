"""The datasets that are read from files pass the kit; the others do in tests/testing."""

from pathlib import Path

import modelnet_files
import node_archives
import object_folders
import ppi_archive
import pytest
import tu_files

from gkd import testing


def _ppi(folder: Path) -> dict[str, object]:
    ppi_archive.write(folder, ppi_archive.miniature())
    return {"root": folder, "download": False}


def _modelnet40(folder: Path) -> dict[str, object]:
    modelnet_files.write(folder, modelnet_files.miniature())
    return {"root": folder, "points": modelnet_files.POINTS, "download": False}


def _objects(folder: Path) -> dict[str, object]:
    for kind in ("box", "cloud"):
        for index in range(10):
            made = object_folders.cloud(index)
            object_folders.save(folder / kind / f"{index}.npy", made)
    return {"root": folder, "points": object_folders.POINTS}


def _nodes(folder: Path) -> dict[str, object]:
    file = node_archives.write(folder / "nodes.npz", node_archives.platonov())
    return {"file": file, "split": "seed", "setting": "production", "held_out_share": 0.4}


def _tudataset(folder: Path) -> dict[str, object]:
    return {"root": tu_files.write(folder), "folds": 3, "fold": "seed", "attributes": True}


FILES = {
    "ppi": _ppi,
    "modelnet40": _modelnet40,
    "nodes": _nodes,
    "objects": _objects,
    "tudataset": _tudataset,
}


@pytest.mark.parametrize("name", sorted(FILES))
def test_datasets_from_files(name, tmp_path):
    report = testing.check_dataset(name, params=FILES[name](tmp_path))
    report.raise_if_failed()
    assert report.passed


def test_the_published_data(data_root):
    testing.check_dataset("ppi", params={"root": data_root / "ppi.zip"}).raise_if_failed()
