"""``root`` means the same for every data set: the folder of its files, or the folder above it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import modelnet_files
import node_archives
import object_folders
import ppi_archive
import pytest
import tu_files

import gkd
from gkd_data.data_root import find_root


def write_objects(folder: Path) -> None:
    for label in ("one", "two"):
        for number in range(4):
            content = object_folders.cloud(number)
            object_folders.save(folder / label / "train" / f"{number}.npy", content)
            object_folders.save(folder / label / "test" / f"{number}.npy", content)


DATA: dict[str, tuple[Callable[[Path], object], dict[str, Any]]] = {
    "tudataset": (lambda folder: tu_files.write(folder, 8), {"folds": 3}),
    "ppi": (lambda folder: ppi_archive.write(folder, ppi_archive.miniature()), {"download": False}),
    "modelnet40": (
        lambda folder: modelnet_files.write(folder, modelnet_files.miniature()),
        {"points": modelnet_files.POINTS, "download": False},
    ),
    "objects": (write_objects, {"points": 12, "surface_points": 30}),
}


@pytest.mark.parametrize("name", DATA)
def test_the_folder_of_the_files_and_the_one_above_are_root(name: str, tmp_path: Path) -> None:
    write, params = DATA[name]
    write(tmp_path / "up" / "inside")
    found = [
        gkd.create("dataset", name, root=str(root), **params)
        for root in (tmp_path / "up" / "inside", tmp_path / "up")
    ]
    assert [len(each.train) for each in found] == [len(found[0].train)] * 2


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("typed", ["", "up/inside/deeper", "up/inside/missing"])
def test_data_elsewhere_are_named(name: str, typed: str, tmp_path: Path) -> None:
    write, params = DATA[name]
    write(tmp_path / "up" / "inside")
    (tmp_path / "up" / "inside" / "deeper").mkdir()
    with pytest.raises(gkd.DataError) as caught:
        gkd.create("dataset", name, root=str(tmp_path / typed), **params)
    assert f"the data are not in {tmp_path / typed}, but in {tmp_path / 'up'}" in str(caught.value)


def test_of_several_data_sets_one_is_to_be_named(tmp_path: Path) -> None:
    tu_files.write(tmp_path / "first", 8)
    tu_files.write(tmp_path / "second", 8)
    with pytest.raises(
        gkd.DataError, match=r"has several data sets; root is one of .*first, .*sec"
    ):
        gkd.create("dataset", "tudataset", root=tmp_path)


def test_hidden_folders_are_none(tmp_path: Path) -> None:
    tu_files.write(tmp_path / ".hidden", 8)
    with pytest.raises(gkd.DataError, match="must have the edges of one data set"):
        gkd.create("dataset", "tudataset", root=tmp_path)
    assert find_root(tmp_path, lambda place: place.name == ".hidden") == tmp_path


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("up/cora.npz", "it is at {0}/up/inside/cora.npz"),
        ("up/inside/deeper/cora.npz", "it is at {0}/up/inside/cora.npz"),
        ("up/inside", "is a folder; file is one of its files: available: cora.npz"),
        ("up/inside/coar.npz", "did you mean 'cora.npz'?"),
        ("nowhere/cora.npz", "there is no folder {0}/nowhere"),
    ],
)
def test_a_file_elsewhere_is_named(typed: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "up" / "inside" / "deeper").mkdir(parents=True)
    node_archives.write(tmp_path / "up" / "inside" / "cora.npz", node_archives.platonov())
    with pytest.raises(gkd.DataError) as caught:
        gkd.create("dataset", "nodes", file=str(tmp_path / typed))
    assert words.format(tmp_path) in str(caught.value)
