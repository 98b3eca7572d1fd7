"""A public archive, found on disk or fetched."""

from collections.abc import Sequence
from pathlib import Path

from gkd import DataError
from gkd_data.archive import Archive
from gkd_data.download import Remote, fetch


def public_archive(
    title: str, file_name: str, remote: Remote, root: Path, names: Sequence[str], download: bool
) -> Archive:
    """Return the files of a public data set, wherever below ``root`` they are.

    Args:
        title: what messages call the data set.
        file_name: of the archive, which ends in ``.zip``.
        remote: where the archive is public.
        root: the archive; or a folder that has it, or its files, in itself or in a folder
            called like the archive or ``raw``.
        names: files that the data set needs; any of them marks a folder as the right one.
        download: fetch the archive when there is none.

    Raises:
        DataError: there is no archive, it cannot be fetched, or files are missing in it.
    """
    root = root.expanduser()
    if root.is_file():
        return Archive(root, names)
    zipped = root if root.suffix == ".zip" else root / file_name
    if zipped.is_file():
        return Archive(zipped, names)
    for folder in (root, root / file_name.removesuffix(".zip"), root / "raw"):
        if any((folder / name).is_file() for name in names):
            return Archive(folder, names)
    if not download:
        raise DataError(
            f"there is no {title} at {root}; get {remote.url} and put it at {zipped}, "
            "or let it be downloaded with download=true"
        )
    fetch(remote, zipped)
    return Archive(zipped, names)
