"""Objects in a folder: which files there are, of which class and split."""

from dataclasses import dataclass
from pathlib import Path

from gkd import DataError

_SPLITS = ("train", "test")


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


def object_files(root: Path, suffixes: frozenset[str]) -> ObjectFiles:
    """Find the objects below a folder.

    They are either in ``root/CLASS/`` or, in every class, in ``root/CLASS/train/`` and
    ``root/CLASS/test/``. Files with other suffixes and hidden ones are passed over.

    Args:
        root: the folder.
        suffixes: of files that are objects, in lower case, with the dot.

    Raises:
        DataError: there is no such folder, fewer than two classes, or a class without objects.
    """
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; expected one with a sub-folder per class")
    folders = _folders(root)
    names = tuple(folder.name for folder in folders)
    if len(names) < 2 or set(names) <= set(_SPLITS):
        raise DataError(
            f"{root} has {len(names)} sub-folders ({', '.join(names) or 'none'}); expected one per "
            f"class, at least two, with the objects in CLASS/, or in CLASS/train/ and CLASS/test/"
        )
    divided = [folder.name for folder in folders if _is_divided(folder)]
    if divided and len(divided) < len(names):
        missing = next(name for name in names if name not in divided)
        raise DataError(f"{root}: {divided[0]} has train/ and test/, but {missing} does not")
    files = {
        split: [
            (file, label)
            for label, folder in enumerate(folders)
            for file in _objects(folder / split, suffixes)
        ]
        for split in (_SPLITS if divided else ("",))
    }
    return ObjectFiles(names, files)


def _folders(place: Path) -> list[Path]:
    return sorted(f for f in place.iterdir() if f.is_dir() and not f.name.startswith("."))


def _is_divided(folder: Path) -> bool:
    return any((folder / split).is_dir() for split in _SPLITS)


def _objects(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    present = sorted(folder.iterdir()) if folder.is_dir() else []
    visible = [file for file in present if file.is_file() and not file.name.startswith(".")]
    found = [file for file in visible if file.suffix.lower() in suffixes]
    if not found:
        others = f"; it has {visible[0].name}" if visible else ""
        raise DataError(
            f"{folder} has no object: expected files that end in "
            f"{', '.join(sorted(suffixes))}{others}"
        )
    return found
