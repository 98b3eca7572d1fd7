"""Objects in a folder: which files there are, of which class and split, and their clouds."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from gkd import DataError
from gkd.data.archive import npy_array, read_file
from gkd_data.data_root import find_root
from gkd_data.mesh import sample_surface
from gkd_data.off import read_off
from gkd_data.ply import read_ply
from gkd_data.point_clouds import Clouds, require_finite, unit_cloud
from gkd_data.random_by_purpose import random_state

_SPLITS = ("train", "test")
_SUFFIXES = (".npy", ".off", ".ply")  # in lower case


@dataclass(frozen=True, slots=True)
class ObjectFiles:
    """Files of a folder with one sub-folder per class.

    Args:
        class_names: names of the sub-folders, sorted.
        files: for each split the files with their label, sorted; the one split ``""`` where the
            folder does not say who is for testing.
    """

    class_names: tuple[str, ...]
    files: dict[str, list[tuple[Path, int]]]


def find_objects(root: Path) -> ObjectFiles:
    """Find the objects below a folder.

    They are either in ``root/CLASS/`` or, in every class, in ``root/CLASS/train/`` and
    ``root/CLASS/test/``, or so in the only folder in ``root``. Files with other suffixes and hidden
    ones are passed over; no object is.

    Args:
        root: the folder.

    Raises:
        DataError: there is no such folder, fewer than two classes, or a class without objects,
            or an object elsewhere below it.
    """
    root = find_root(root, _has_classes)
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; expected one with a sub-folder per class")
    # Sorted here and below: file systems list in any order, and labels and splits depend on it.
    folders = sorted(f for f in root.iterdir() if f.is_dir() and not f.name.startswith("."))
    names = tuple(folder.name for folder in folders)
    # Folders train/ and test/ alone are splits with classes below them, not two classes.
    if len(names) < 2 or set(names) <= set(_SPLITS):
        raise DataError(
            f"{root} has {len(names)} sub-folders ({', '.join(names) or 'none'}); expected one per "
            f"class, at least two, with the objects in CLASS/, or in CLASS/train/ and CLASS/test/"
        )
    divided = [f.name for f in folders if any((f / split).is_dir() for split in _SPLITS)]
    if divided and len(divided) < len(names):
        missing = next(name for name in names if name not in divided)
        raise DataError(f"{root}: {divided[0]} has train/ and test/, but {missing} does not")
    files = {
        split: [
            (file, label)
            for label, folder in enumerate(folders)
            for file in _objects(folder / split)
        ]
        for split in (_SPLITS if divided else ("",))
    }
    used = {file for found in files.values() for file, _ in found}
    others = sorted(file for file in root.rglob("*") if file not in used and _is_object(root, file))
    if others:
        raise DataError(
            f"{others[0]} would be left out: the objects are in CLASS/, or in CLASS/train/ and "
            "CLASS/test/; move it there (validation objects are held out from those to train on), "
            "or out of the folder"
        )
    return ObjectFiles(names, files)


def _has_classes(place: Path) -> bool:
    """Whether there are objects in two folders of a folder, which are not its splits."""
    if not place.is_dir():
        return False
    folders = [f for f in place.iterdir() if f.is_dir() and not f.name.startswith(".")]
    classes = (
        folder.name
        for folder in folders
        if any(
            file.suffix.lower() in _SUFFIXES
            for part in (folder, *(folder / split for split in _SPLITS))
            if part.is_dir()
            for file in part.iterdir()
        )
    )
    return len(set(islice(classes, 3)) - set(_SPLITS)) > 1


def _is_object(root: Path, file: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
    return not hidden and file.suffix.lower() in _SUFFIXES and file.is_file()


def read_objects(
    root: Path, found: ObjectFiles, points: int, surface_points: int, seed: int
) -> dict[str, Clouds]:
    """Return the clouds of each split, in the unit sphere and in random order.

    Args:
        root: the folder that the objects were found in; they are called by their path below it.
        found: the files.
        points: number of points that every cloud must have.
        surface_points: points drawn from a mesh.
        seed: of everything random.

    Raises:
        DataError: a file is damaged, or its numbers are of another type than those of the first.
    """
    first: tuple[Path, np.dtype] | None = None
    splits = {}
    for split, files in found.files.items():
        ids, positions = [], []
        for file, _ in files:
            id = file.relative_to(root).as_posix()
            # By its name alone, so that an object does not depend on which others there are.
            rng = random_state(seed, "object", id)
            suffix = file.suffix.lower()
            if suffix == ".off":
                cloud = sample_surface(read_off(file), surface_points, rng)
            else:
                listed = read_ply(file) if suffix == ".ply" else read_npy(file)
                require_finite(listed, str(file))  # as long as its points have their numbers
                # Files often list points along the surface, and samples are the first points.
                cloud = rng.permutation(listed)
                # Files of several types were not made together, and may differ in scale, too.
                first = first or (file, cloud.dtype)
                if cloud.dtype != first[1]:
                    raise DataError(f"{file} holds {cloud.dtype}, but {first[0]} holds {first[1]}")
            ids.append(id)
            positions.append(unit_cloud(cloud, points, str(file)))
        labels = np.array([label for _, label in files], dtype=np.int64)
        splits[split] = Clouds(tuple(ids), tuple(positions), labels)
    return splits


def read_npy(path: Path) -> np.ndarray:
    """Read a cloud, floating-point ``[P, 3]``, from an ``.npy`` file.

    Raises:
        DataError: the file is damaged, or holds something else.
    """
    content = read_file(path)
    positions = npy_array(content, str(path), ndim=2)
    if positions.dtype.kind != "f" or positions.shape[1] != 3:
        raise DataError(
            f"{path} must hold floating-point numbers [points, 3], not {positions.dtype} "
            f"{list(positions.shape)}"
        )
    return positions


def _objects(folder: Path) -> list[Path]:
    present = sorted(folder.iterdir()) if folder.is_dir() else []
    visible = [file for file in present if file.is_file() and not file.name.startswith(".")]
    found = [file for file in visible if file.suffix.lower() in _SUFFIXES]
    if not found:
        # One that is there tells most: the format that was forgotten, or a wrong folder.
        others = f"; it has {visible[0].name}" if visible else ""
        raise DataError(
            f"{folder} has no object: expected files that end in {', '.join(_SUFFIXES)}{others}"
        )
    return found
