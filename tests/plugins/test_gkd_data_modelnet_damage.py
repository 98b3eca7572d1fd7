from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from modelnet_files import Content, dataset, miniature, write, zipped

from gkd import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "data", miniature())


def changed(key: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Content], Content]:
    return lambda content: {**content, key: change(content[key])}


def put(index: object, value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        copy = array.copy()
        copy[index] = value
        return copy

    return change


BAD_SHARDS = {
    "NaN": (changed("data", put((3, 7, 1), np.nan)), "object 3 holds NaN or infinity at point 7"),
    "infinity": (changed("data", put((2, 0, 0), np.inf)), "object 2 holds NaN or infinity"),
    "object without size": (
        changed("data", put(5, 0.1)),
        "object 5 has no size: its 16 points are all the same",
    ),
    "label beyond the classes": (
        changed("label", put((4, 0), 3)),
        r"object 4 has label 3, but shape_names.txt lists 3 classes",
    ),
    "negative label": (
        changed("label", lambda a: put((1, 0), -1)(a.astype(np.int8))),
        "object 1 has label -1",
    ),
    "fractional labels": (
        changed("label", lambda a: a.astype(np.float32)),
        "label must hold whole numbers, not float32",
    ),
    "labels as one-hot": (
        changed("label", lambda a: np.eye(3, dtype=np.int64)[a[:, 0]]),
        r"label must be \[10\] or \[10, 1\], one for each object of data, but is \[10, 3\]",
    ),
    "missing labels": (
        changed("label", lambda a: a[:-1]),
        r"label must be \[10\] or \[10, 1\].* but is \[9, 1\]",
    ),
    "one label for all": (changed("label", lambda a: np.uint8(1)), "label must hold whole numbers"),
    "whole numbers": (
        changed("data", lambda a: a.astype(np.int32)),
        "data must hold floating-point numbers, not int32",
    ),
    "text": (changed("data", lambda a: np.array([b"cloud"])), "floating-point numbers, not"),
    "planar points": (
        changed("data", lambda a: a[:, :, :2]),
        r"data must be \[objects, points, 3\], but is \[10, 16, 2\]",
    ),
    "channels first": (
        changed("data", lambda a: a.transpose(0, 2, 1)),
        r"\[objects, points, 3\], but is \[10, 3, 16\]",
    ),
    "one cloud for all": (changed("data", lambda a: a[0]), r"but is \[16, 3\]"),
    "no object": (lambda c: {key: array[:0] for key, array in c.items()}, "holds no object"),
    "no point": (changed("data", lambda a: a[:, :0]), "object 0 has 0 points, but 16"),
    "another type": (
        changed("data", lambda a: a.astype(np.float16)),
        "ply_data_train1.h5 holds float16, but ply_data_train0.h5 holds float32",
    ),
    "no labels": (lambda c: {"data": c["data"]}, r"has no label; it has \['data'\]"),
    "nothing": (lambda c: {}, r"has no data and no label; it has \[\]"),
    "no HDF5": (lambda c: b"<html>moved</html>", "not a complete HDF5 file"),
    "an empty file": (lambda c: b"", "not a complete HDF5 file"),
}

BAD_TEXTS = {
    "missing shard": (
        "train_files.txt",
        "ply_data_train0.h5\nply_data_train7.h5\n",
        "lacks ply_data_train7.h5; it has",
    ),
    "no shard": ("test_files.txt", "\n \n", "test_files.txt lists no shard"),
    "shard used twice": (
        "train_files.txt",
        "ply_data_train0.h5\na/ply_data_train0.h5\n",
        "train_files.txt lists ply_data_train0.h5, which was listed before",
    ),
    "training shard to test on": (
        "test_files.txt",
        "ply_data_train1.h5\n",
        "test_files.txt lists ply_data_train1.h5, which was listed before",
    ),
    "no class": ("shape_names.txt", "", "shape_names.txt lists 0 classes"),
    "class listed twice": ("shape_names.txt", "chair\nlamp\nchair\n", "lists 'chair' twice"),
    "too few classes": ("shape_names.txt", "chair\nlamp\n", "object 2 has label 2"),
}


class TestDamagedFiles:
    @pytest.mark.parametrize(("change", "message"), BAD_SHARDS.values(), ids=BAD_SHARDS.keys())
    def test_names_the_shard_and_the_object(
        self, tmp_path: Path, change: Callable[[Content], object], message: str
    ) -> None:
        files = miniature()
        files["ply_data_train1.h5"] = change(files["ply_data_train1.h5"])
        write(tmp_path, files)
        with pytest.raises(DataError, match=message) as caught:
            dataset(tmp_path)
        assert f"{tmp_path}: ply_data_train1.h5" in str(caught.value)

    @pytest.mark.parametrize(("name", "text", "message"), BAD_TEXTS.values(), ids=BAD_TEXTS.keys())
    def test_names_the_list_and_what_is_wrong(
        self, tmp_path: Path, name: str, text: str, message: str
    ) -> None:
        write(tmp_path, miniature() | {name: text})
        with pytest.raises(DataError, match=message) as caught:
            dataset(tmp_path)
        assert str(tmp_path) in str(caught.value)

    @pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
    def test_truncated_shard(self, folder: Path, kept: float) -> None:
        content = (folder / "ply_data_test0.h5").read_bytes()
        (folder / "ply_data_test0.h5").write_bytes(content[: int(len(content) * kept)])
        with pytest.raises(DataError, match=r"ply_data_test0\.h5 is not a complete HDF5 file"):
            dataset(folder)

    def test_shard_with_damaged_numbers(self, folder: Path) -> None:
        shard = folder / "ply_data_test0.h5"
        with h5py.File(shard) as file:
            chunk = file["data"].id.get_chunk_info(0)
        content = bytearray(shard.read_bytes())
        middle = chunk.byte_offset + chunk.size // 2
        content[middle : middle + 8] = bytes(8)
        shard.write_bytes(content)
        with pytest.raises(DataError, match=r"ply_data_test0\.h5 is not a complete HDF5 file"):
            dataset(folder)

    def test_group_instead_of_an_array(self, folder: Path) -> None:
        with h5py.File(folder / "ply_data_test0.h5", "w") as file:
            file.create_group("data")
            file["label"] = np.zeros(3, dtype=np.int64)
        with pytest.raises(DataError, match="has no data; it has"):
            dataset(folder)

    def test_truncated_archive(self, folder: Path, tmp_path: Path) -> None:
        archive = zipped(folder, tmp_path / "some.zip")
        archive.write_bytes(archive.read_bytes()[:-100])
        with pytest.raises(DataError, match="not a complete zip archive"):
            dataset(archive)


def elsewhere(folder: Path) -> None:
    """Another file, whose numbers are nobody's business."""
    with h5py.File(folder / "other.h5", "w") as file:
        file["data"] = np.random.default_rng(0).uniform(size=(10, 16, 3)).astype(np.float32)
    (folder / "bytes.bin").write_bytes(bytes(10 * 16 * 3 * 4))


def virtual(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout((10, 16, 3), np.float32)
    layout[:] = h5py.VirtualSource(folder / "other.h5", "data", (10, 16, 3))
    file.create_virtual_dataset("data", layout)


def external(file: h5py.File, folder: Path) -> None:
    place = [(str(folder / "bytes.bin"), 0, 10 * 16 * 3 * 4)]
    file.create_dataset("data", (10, 16, 3), np.float32, external=place)


def linked(file: h5py.File, folder: Path) -> None:
    file["data"] = h5py.ExternalLink(str(folder / "other.h5"), "data")


def endless(file: h5py.File, folder: Path) -> None:
    file.create_dataset("data", (2**20, 2**12, 3), np.float32, chunks=(1, 2**12, 3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (virtual, "data takes its numbers from other files"),
        (external, "data takes its numbers from other files"),
        (linked, "has no data; it has"),
        (endless, "data announces 51539607552 bytes, more than a file of"),
    ],
)
def test_shards_that_reach_beyond_their_file(folder, make, message) -> None:
    elsewhere(folder)
    (folder / "ply_data_train1.h5").unlink()
    with h5py.File(folder / "ply_data_train1.h5", "w") as file:
        file["label"] = np.zeros((10, 1), np.uint8)
        make(file, folder)
    with pytest.raises(DataError, match=message):
        dataset(folder)
