"""One graph with features and classes of its nodes, in either of the two public npz layouts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gkd import DataError
from gkd.data.archive import Archive, single_precision
from gkd.errors import suggestion
from gkd.functional.memory import memory_shortage
from gkd_data.links import symmetric_edges

SPLITS = ("train", "validation", "test")
_MASKS = {"train": "train_masks", "validation": "val_masks", "test": "test_masks"}
_LAYOUTS = {
    "node_features.npy": ("node_features", "node_labels", "edges"),
    "adj_data.npy": ("adj_data", "adj_indices", "adj_indptr", "adj_shape", "labels"),
}


@dataclass(frozen=True, slots=True)
class NodeFile:
    """A graph whose nodes are classified.

    Args:
        where: how messages call the file.
        features: float32 ``[N, F]``.
        labels: int64 ``[N]``, from 0.
        edges: both directions of every link once, sorted by (target, source), without self-loops:
            int64 ``[2, E]``.
        masks: of the official splits: train, validation and test, each bool ``[S, N]``; empty where
            there are none.
    """

    where: str
    features: np.ndarray
    labels: np.ndarray
    edges: np.ndarray
    masks: dict[str, np.ndarray]


def _elsewhere(path: Path) -> str:
    """Say that a file is not there, and where it, or the nearest one, is."""
    if path.is_dir():
        files = [file.name for file in path.glob("*.npz")]
        return f"{path} is a folder; file is one of its files: {suggestion(path.name, files)}"
    folder = path.parent
    if not folder.is_dir():
        return f"there is no file {path}; there is no folder {folder}"
    for file in (folder.parent / path.name, *folder.glob(f"*/{path.name}")):
        if file.is_file():
            return f"there is no file {path}; it is at {file}"
    others = [file.name for file in folder.iterdir() if file.suffix == ".npz"]
    return f"there is no file {path}; {suggestion(path.name, others)}"


def read_node_file(path: Path) -> NodeFile:
    """Read a file of either layout.

    Arrays are never unpickled.

    Raises:
        DataError: there is no such file; the nearest one is named; it is cut short, of another
            layout, or its arrays do not fit together.
    """
    if not path.is_file():
        raise DataError(_elsewhere(path))
    archive = Archive(path, ())
    known = [names for marker, names in _LAYOUTS.items() if marker in archive.names]
    if not known:
        listing = " nor ".join(", ".join(names) for names in _LAYOUTS.values())
        raise DataError(f"{path} has neither {listing}; it has {', '.join(sorted(archive.names))}")
    archive.require(f"{name}.npy" for name in known[0])
    if known[0][0] == "node_features":
        features = _array(archive, "node_features", 2)
        labels, links = _array(archive, "node_labels", 1), _array(archive, "edges", 2)
        if links.shape[1] != 2:
            raise DataError(f"{path}: edges must be [links, 2], not {list(links.shape)}")
        source, target = _whole(archive, "edges", links).T
    else:
        labels = _array(archive, "labels", 1)
        features = _features(archive, len(labels))
        source, target, weights, shape = _rows(archive, "adj")
        if shape[0] != shape[1]:
            raise DataError(f"{path}: adj_shape is {list(shape)}, and must be square")
        # A stored zero is no link.
        source, target = source[weights != 0], target[weights != 0]
        if len(labels) != shape[0]:
            raise DataError(f"{path}: labels has {len(labels)} rows, but adj_shape {list(shape)}")
    num_nodes = len(features)
    if len(labels) != num_nodes:
        raise DataError(f"{path}: {len(labels)} labels for {num_nodes} rows of features")
    for nodes in (source, target):
        if nodes.size and not 0 <= int(nodes.min()) <= int(nodes.max()) < num_nodes:
            raise DataError(
                f"{path}: its links join nodes {int(nodes.min())} to {int(nodes.max())}, but there "
                f"are {num_nodes} (numbered from 0)"
            )
    return NodeFile(
        str(path),
        single_precision(features, f"{path}: features"),
        _classes(archive, labels),
        symmetric_edges(source, target, num_nodes, self_loops=False),
        _masks(archive, num_nodes),
    )


def _array(archive: Archive, name: str, ndim: int) -> np.ndarray:
    return archive.array(f"{name}.npy", ndim)


def _whole(archive: Archive, name: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "iu":
        raise DataError(f"{archive.where(name)} must hold whole numbers, not {values.dtype}")
    return values.astype(np.int64)


def _classes(archive: Archive, labels: np.ndarray) -> np.ndarray:
    labels = _whole(archive, "the labels", labels)
    if not labels.size or labels.min() < 0 or not 1 <= labels.max() < max(2, labels.size):
        found = f"{labels.min()} to {labels.max()}" if labels.size else "none"
        raise DataError(
            f"{archive.place}: labels must be classes from 0, of at least two and not more "
            f"than nodes, one for each node; got {found}"
        )
    return labels


def _features(archive: Archive, num_nodes: int) -> np.ndarray:
    if "attr_matrix.npy" in archive.names:
        return _array(archive, "attr_matrix", 2)
    archive.require(f"attr_{part}.npy" for part in ("data", "indices", "indptr", "shape"))
    rows, columns, values, shape = _rows(archive, "attr")
    where = archive.where("attr_shape.npy")
    if shape[0] != num_nodes:
        raise DataError(f"{where} announces {shape[0]} rows, but there are {num_nodes} labels")
    if shortage := memory_shortage(2 * 8 * float(shape[0]) * shape[1]):
        raise DataError(f"{where} announces {list(shape)} features: they would take {shortage}")
    features = np.zeros(shape)
    np.add.at(features, (rows, columns), values)
    return features


def _rows(
    archive: Archive, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    """Rows, columns and values of the stored entries of a sparse matrix, and its shape."""
    values = _array(archive, f"{name}_data", 1)
    columns, pointer, shape = (
        _whole(archive, f"{name}_{part}", _array(archive, f"{name}_{part}", 1))
        for part in ("indices", "indptr", "shape")
    )
    if shape.shape != (2,) or (shape < 0).any():
        raise DataError(f"{archive.where(f'{name}_shape')} must be two sizes, not {shape.tolist()}")
    height, width = shape.tolist()
    ascending = pointer.shape == (height + 1,) and pointer[0] == 0 and (np.diff(pointer) >= 0).all()
    if not ascending or not pointer[-1] == len(columns) == len(values):
        raise DataError(
            f"{archive.place}: {name}_indptr, {name}_indices and {name}_data are no sparse matrix "
            f"of {height} rows: {len(pointer)} row pointers, {len(columns)} columns, {len(values)} "
            "values"
        )
    if columns.size and not 0 <= columns.min() <= columns.max() < width:
        raise DataError(
            f"{archive.where(f'{name}_indices')} has columns {columns.min()} to {columns.max()}, "
            f"but the matrix has {width}"
        )
    return np.repeat(np.arange(height), np.diff(pointer)), columns, values, (height, width)


def _masks(archive: Archive, num_nodes: int) -> dict[str, np.ndarray]:
    present = [name for name in _MASKS.values() if f"{name}.npy" in archive.names]
    if not present:
        return {}
    archive.require(f"{name}.npy" for name in _MASKS.values())
    masks = {split: _array(archive, name, 2) for split, name in _MASKS.items()}
    count = len(masks["train"])
    for split, mask in masks.items():
        if mask.shape != (count, num_nodes) or not count or not np.isin(mask, (0, 1)).all():
            raise DataError(
                f"{archive.where(_MASKS[split])} must be boolean [splits, {num_nodes}], the same "
                f"splits in each of {', '.join(_MASKS.values())}; it is {mask.dtype} "
                f"{list(mask.shape)}"
            )
    return {split: mask.astype(bool) for split, mask in masks.items()}
