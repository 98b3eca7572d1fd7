"""What ``root`` means for every data set: where its files are, or the folder above."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from gkd import DataError

_MOST = 1000  # places that are looked at, of a folder that may be anything


def find_root(root: Path, has: Callable[[Path], bool], *, elsewhere: bool = True) -> Path:
    """Return ``root``, or the only place directly below it, that has the files of a data set.

    ``root`` itself where nothing has: the caller says what it expects there.

    Args:
        root: a folder, or an archive.
        has: whether a folder or an archive has them.
        elsewhere: whether it is an error that a folder up or two folders down has them instead.

    Raises:
        DataError: several places below have them, or none but one of ``elsewhere``.
    """
    if has(root):
        return root
    below = list(_places(root))
    found = [place for place in below if has(place)]
    if len(found) > 1:
        listing = ", ".join(map(str, found[:5])) + (", …" if len(found) > 5 else "")
        raise DataError(f"{root} has several data sets; root is one of {listing}")
    if found:
        return found[0]
    if not elsewhere:
        return root
    deeper = (place for folder in below for place in _places(folder))
    for place in (*islice(deeper, _MOST), root.parent):
        if place != root and has(place):
            raise DataError(f"the data are not in {root}, but in {place}: set root to that")
    return root


def _places(folder: Path) -> Iterator[Path]:
    """Yield the folders and archives in a folder."""
    if folder.is_dir():
        for place in islice(sorted(folder.iterdir()), _MOST):
            if not place.name.startswith(".") and (place.is_dir() or place.suffix == ".zip"):
                yield place
