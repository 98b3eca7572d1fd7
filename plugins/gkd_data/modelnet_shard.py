"""One shard of ModelNet's public HDF5 files: clouds and labels, checked."""

import io

import numpy as np

from gkd import DataError
from gkd_data.archive import Archive


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
    import h5py

    where = archive.where(name)
    content = io.BytesIO(archive.content(name))
    try:
        with h5py.File(content, "r") as file:
            absent = [
                key for key in ("data", "label") if not isinstance(file.get(key), h5py.Dataset)
            ]
            if absent:
                raise DataError(f"{where} has no {' and no '.join(absent)}; it has {sorted(file)}")
            data, label = file["data"][()], file["label"][()]
    # h5py reports damage as whatever its C library calls it.
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{where} is not a complete HDF5 file: {error}") from error
    return _clouds(where, data), _labels(where, label, len(data), num_classes)


def _clouds(where: str, data: np.ndarray) -> np.ndarray:
    if not isinstance(data, np.ndarray) or data.dtype.kind != "f":
        kind = getattr(data, "dtype", type(data).__name__)
        raise DataError(f"{where}: data must hold floating-point numbers, not {kind}")
    if data.ndim != 3 or data.shape[2] != 3:
        raise DataError(f"{where}: data must be [objects, points, 3], but is {list(data.shape)}")
    if len(data) == 0:
        raise DataError(f"{where} holds no object")
    return data


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
            f"{where}: object {first} has label {labels[first]}, but shape_names.txt lists "
            f"{num_classes} classes (numbered from 0)"
        )
    return labels
