"""Readers of data: objects, ModelNet, PPI, graphs of nodes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import modelnet_files
import node_archives
import numpy as np
import object_folders
import ppi_archive
import torch
import tu_files
from mutations import ARRAYS, BYTES, HDF5, JSON, NPY, TEXT
from reading_law import Reader

from gkd.deployment.arrays import read_arrays
from gkd.training.model_record import Array
from gkd_data.modelnet import ModelNet40
from gkd_data.nodes import Nodes
from gkd_data.objects import Objects
from gkd_data.ppi import PPI
from gkd_data.tudataset import TUDataset


def valid(dataset: Any) -> list[object]:
    """Make sure that the samples are finite, of one shape, and that their numbers are in range."""
    content: list[object] = []
    for split in ("train", "validation", "test"):
        samples = getattr(dataset, split)
        assert len(samples) > 0, f"no sample in {split}"
        for index in range(len(samples)):
            content.append(_valid_sample(dataset, samples[index]))
    return content


def _valid_sample(dataset: Any, sample: Any) -> dict[str, Any]:
    tensors = {name: getattr(sample, name) for name in sample.keys()}  # noqa: SIM118
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            assert bool(torch.isfinite(tensor).all()), f"{name} is not finite"
            assert tensor.dtype == torch.float32, f"{name} is {tensor.dtype}"
    nodes = len(tensors["pos"] if "pos" in tensors else tensors["x"])
    if "x" in tensors:
        assert tensors["x"].shape == (nodes, dataset.num_features)
        edges = tensors["edge_index"]
        assert edges.dtype == torch.int64
        assert edges.numel() == 0 or 0 <= int(edges.min()) <= int(edges.max()) < nodes
    if "pos" in tensors:
        positions = tensors["pos"]
        assert positions.shape == (nodes, 3)
        assert len(positions.unique(dim=0)) > 1, "points have become one"
    labels = tensors["y"]
    if labels.dtype == torch.int64:
        assert 0 <= int(labels.min()) <= int(labels.max()) < dataset.num_classes
    else:
        assert labels.shape == (nodes, dataset.num_classes)
    return {name: tensor.tolist() for name, tensor in tensors.items()}


def _objects(folder: Path) -> object:
    return valid(Objects(folder, points=8, surface_points=16, augment=False))


def _write_objects(suffix: str, content: Callable[[int], object]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for name in ("bowl", "cup"):
            for index in range(3):
                object_folders.save(folder / name / f"{index}{suffix}", content(index))

    return write


def _off(index: int) -> str:
    return object_folders.box(1.0 + index)


def _noff(index: int) -> str:
    vertices = [(x * (index + 1), y, z, 0, 0, 1) for x, y, z in object_folders.CUBE]
    return object_folders.off(vertices, object_folders.SQUARES, "NOFF\n# by hand\n{} {} 12\n")


def _ply(index: int, form: str = "ascii", faces: str = "") -> bytes:
    points = object_folders.cloud(index, 20)
    header = (
        f"ply\nformat {form} 1.0\ncomment made by a test\n{faces}element vertex {len(points)}\n"
        "property float x\nproperty float y\nproperty float z\nproperty uchar red\nend_header\n"
    )
    if form == "ascii":
        lines = "3 0 1 2\n" if faces else ""
        lines += "".join("{:g} {:g} {:g} 7\n".format(*point) for point in points)
        return (header + lines).encode()
    order = "<" if "little" in form else ">"
    record = np.dtype([("p", f"{order}f4", 3), ("c", "u1")])
    rows = np.zeros(len(points), record)
    rows["p"] = points
    face = bytes([3]) + np.array([0, 1, 2], f"{order}i4").tobytes() if faces else b""
    return header.encode() + face + rows.tobytes()


_FACES = "element face 1\nproperty list uchar int vertex_indices\n"

_OBJECTS = {
    "off": (_write_objects(".off", _off), "bowl/1.off", TEXT),
    "noff": (_write_objects(".off", _noff), "bowl/1.off", TEXT),
    "npy-cloud": (_write_objects(".npy", lambda i: object_folders.cloud(i, 20)), "cup/1.npy", NPY),
    **{
        f"ply-{name}": (
            _write_objects(".ply", lambda i, form=form, faces=faces: _ply(i, form, faces)),
            "cup/2.ply",
            (*TEXT, *BYTES),
        )
        for name, form, faces in (
            ("ascii", "ascii", ""),
            ("faces-first", "ascii", _FACES),
            ("little", "binary_little_endian", ""),
            ("big", "binary_big_endian", _FACES),
        )
    },
}


def _modelnet(folder: Path) -> object:
    return valid(modelnet_files.dataset(folder, augment=False))


def _write_modelnet(folder: Path) -> None:
    modelnet_files.write(folder, modelnet_files.miniature())


def _ppi(folder: Path) -> object:
    return valid(PPI(folder, download=False))


def _write_ppi(folder: Path) -> None:
    ppi_archive.write(folder, ppi_archive.miniature())


def _zipped(write: Callable[[Path], None], name: str) -> Callable[[Path], None]:
    def pack(folder: Path) -> None:
        write(folder / "unpacked")
        ppi_archive.zipped(folder / "unpacked", folder / name)

    return pack


def _nodes(folder: Path) -> object:
    return valid(Nodes(folder / "graph.npz", train_per_class=2, validation_per_class=2))


def _write_nodes(arrays: Callable[[], dict[str, np.ndarray]]) -> Callable[[Path], None]:
    return lambda folder: node_archives.write(folder / "graph.npz", arrays())


def _write_sample(folder: Path) -> None:
    edges = np.array([[0, 1, 2], [1, 2, 0]])
    np.savez(folder / "sample.npz", x=np.arange(12.0).reshape(4, 3), edge_index=edges)


def _sample(folder: Path) -> object:
    arrays = {
        "x": Array(dtype="float32", shape=["nodes", 3]),
        "edge_index": Array(dtype="int64", shape=[2, "edges"]),
    }
    read = read_arrays(folder / "sample.npz", arrays)
    assert bool(read["x"].isfinite().all())
    ends = read["edge_index"]
    assert not ends.numel() or 0 <= int(ends.min()) <= int(ends.max()) < len(read["x"])
    return {name: tensor.tolist() for name, tensor in read.items()}


def _tu(folder: Path) -> object:
    return valid(TUDataset(folder, folds=3, attributes=True))


READERS = [
    *(
        Reader(f"tu-{name}", tu_files.write, f"TINY_{name}.txt", TEXT, _tu, names=("TINY",))
        for name in ("A", "graph_indicator", "graph_labels", "node_labels", "node_attributes")
    ),
    Reader("sample-to-predict", _write_sample, "sample.npz", ARRAYS, _sample),
    *(
        Reader(name, write, file, mutations, _objects)
        for name, (write, file, mutations) in _OBJECTS.items()
    ),
    Reader("modelnet-shard", _write_modelnet, "ply_data_train1.h5", HDF5, _modelnet),
    *(
        Reader(
            f"modelnet-{file}",
            _write_modelnet,
            file,
            TEXT,
            _modelnet,
            names=("ply_data", "train_files", "test_files"),
        )
        for file in ("shape_names.txt", "train_files.txt")
    ),
    Reader(
        "modelnet-zip",
        _zipped(_write_modelnet, "modelnet.zip"),
        "modelnet.zip",
        ARRAYS,
        lambda folder: valid(
            ModelNet40(folder / "modelnet.zip", points=modelnet_files.POINTS, augment=False)
        ),
    ),
    *(
        Reader(
            f"ppi-{kind}",
            _write_ppi,
            f"train_{kind}",
            JSON if kind.endswith("json") else NPY,
            _ppi,
            names=("train_feats", "train_graph", "train has"),
        )
        for kind in ("graph.json", "feats.npy", "labels.npy", "graph_id.npy")
    ),
    Reader(
        "ppi-zip",
        _zipped(_write_ppi, "ppi.zip"),
        "ppi.zip",
        ARRAYS,
        lambda folder: valid(PPI(folder / "ppi.zip", download=False)),
    ),
    Reader("nodes-dense", _write_nodes(node_archives.platonov), "graph.npz", ARRAYS, _nodes),
    Reader("nodes-sparse", _write_nodes(node_archives.shchur), "graph.npz", ARRAYS, _nodes),
]
