"""ModelNet's public layout of files: a list of classes, and per split a list of HDF5 shards."""

import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from gkd import DataError
from gkd.data.archive import Archive
from gkd.errors import shown
from gkd.functional.memory import memory_shortage
from gkd_data.point_clouds import Clouds, unit_cloud

CLASSES = "shape_names.txt"
LISTS = {"train": "train_files.txt", "test": "test_files.txt"}
_LARGEST_RATIO = 1100  # deflate, which packs best of what HDF5 has, reaches 1,032


def read_class_names(archive: Archive) -> tuple[str, ...]:
    """Return the names of the classes, by label.

    Raises:
        DataError: there are fewer than two, or one is listed twice.
    """
    names = archive.lines(CLASSES)
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated or len(names) < 2:
        problem = f"lists {shown(repeated[0])} twice" if repeated else f"lists {len(names)} classes"
        raise DataError(f"{archive.where(CLASSES)} {problem}; expected one class per line")
    return tuple(names)


def list_shards(archive: Archive) -> dict[str, list[str]]:
    """Return the names of the shards of each split.

    Raises:
        DataError: a split has no shard, or a shard is missing or listed twice.
    """
    # The public lists have paths of the machine they were made on.
    shards = {
        split: [line.replace("\\", "/").rpartition("/")[2] for line in archive.lines(name)]
        for split, name in LISTS.items()
    }
    seen: set[str] = set()
    for split, names in shards.items():
        if not names:
            raise DataError(f"{archive.where(LISTS[split])} lists no shard")
        archive.require(names)
        for name in names:
            if name in seen:
                raise DataError(
                    f"{archive.where(LISTS[split])} lists {name[:80]}, which was listed before: "
                    "its objects would be used twice"
                )
            seen.add(name)
    return shards


def read_clouds(
    archive: Archive, shards: dict[str, list[str]], points: int, num_classes: int
) -> dict[str, Clouds]:
    """Return the clouds of each split, in the unit sphere.

    Args:
        archive: where the shards are.
        shards: their names, for each split.
        points: number of points that every cloud must have.
        num_classes: how many classes there are.

    Raises:
        DataError: a shard is damaged, or of another type than the first one.
    """
    first: tuple[str, np.dtype] | None = None
    clouds = {}
    for split, names in shards.items():
        ids: list[str] = []
        positions: list[np.ndarray] = []
        labels: list[np.ndarray] = []
        for name in names:
            data, label = read_shard(archive, name, num_classes)
            # Shards of several types were not made together: coordinates may differ in scale, too.
            first = first or (name, data.dtype)
            if data.dtype != first[1]:
                raise DataError(
                    f"{archive.where(name)} holds {data.dtype}, but {first[0]} holds {first[1]}"
                )
            ids += [f"{Path(name).stem}/{i}" for i in range(len(data))]
            positions += [
                unit_cloud(cloud, points, f"{archive.where(name)}: object {i}")
                for i, cloud in enumerate(data)
            ]
            labels.append(label)
        clouds[split] = Clouds(tuple(ids), tuple(positions), np.concatenate(labels))
    return clouds


def read_shard(archive: Archive, name: str, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Read the clouds of one ``.h5`` file and their classes.

    Args:
        archive: where the file is.
        name: of the file.
        num_classes: how many classes there are.

    Returns:
        Clouds ``[n, P, 3]``, in the floating type of the file; labels, int64 ``[n]``.

    Raises:
        DataError: the file is not complete, or does not hold n clouds with a class each.
    """
    import h5py  # slow to import, and needed here alone

    where = archive.where(name)
    content = archive.content(name)
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            links = {key: file.get(key, getlink=True) for key in ("data", "label")}
            # Through any other link lies another file, or nothing.
            absent = [key for key, link in links.items() if not isinstance(link, h5py.HardLink)]
            absent = absent or [k for k in links if not isinstance(file[k], h5py.Dataset)]
            if absent:
                raise DataError(f"{where} has no {' and no '.join(absent)}; it has {sorted(file)}")
            for key in links:
                _require_own(file[key], key, where, len(content))
            data, label = file["data"][()], file["label"][()]
    except DataError:
        raise
    # h5py reports damage as whatever its C library calls it.
    except Exception as error:
        raise DataError(f"{where} is not a complete HDF5 file: {shown(error)}") from error
    # A data set of HDF5 may be a bare number, and text comes as objects.
    if not isinstance(data, np.ndarray) or data.dtype.kind != "f":
        kind = getattr(data, "dtype", type(data).__name__)
        raise DataError(f"{where}: data must hold floating-point numbers, not {kind}")
    if data.ndim != 3 or data.shape[2] != 3:
        raise DataError(f"{where}: data must be [objects, points, 3], but is {list(data.shape)}")
    if len(data) == 0:
        raise DataError(f"{where} holds no object")
    return data, _labels(where, label, len(data), num_classes)


def _require_own(dataset: Any, key: str, where: str, file_size: int) -> None:
    """Make sure that a data set lies in its file, before anything is allocated for it.

    Raises:
        DataError: it takes its numbers from other files, or announces more than the file can hold.
    """
    if dataset.is_virtual or dataset.external:
        raise DataError(f"{where}: {key} takes its numbers from other files, which are not opened")
    announced = dataset.size * dataset.dtype.itemsize
    if announced > _LARGEST_RATIO * file_size:
        raise DataError(
            f"{where}: {key} announces {announced} bytes, more than a file of {file_size} can hold"
        )
    if shortage := memory_shortage(announced):
        raise DataError(f"{where}: {key} would take {shortage}")


def _labels(where: str, label: np.ndarray, objects: int, num_classes: int) -> np.ndarray:
    if not isinstance(label, np.ndarray) or label.dtype.kind not in "iu":
        kind = getattr(label, "dtype", type(label).__name__)
        raise DataError(f"{where}: label must hold whole numbers, not {kind}")
    if label.shape not in ((objects,), (objects, 1)):
        raise DataError(
            f"{where}: label must be [{objects}] or [{objects}, 1], one for each object of data, "
            f"but is {list(label.shape)}"
        )
    labels: np.ndarray = label.reshape(-1).astype(np.int64)
    unknown = (labels < 0) | (labels >= num_classes)
    if unknown.any():
        first = int(np.argmax(unknown))
        raise DataError(
            f"{where}: object {first} has label {labels[first]}, but {CLASSES} lists "
            f"{num_classes} classes (numbered from 0)"
        )
    return labels
