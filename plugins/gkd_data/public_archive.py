"""Public archives of data sets: found on disk, or downloaded and verified."""

import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

import torch

from gkd import DataError
from gkd.data.archive import Archive
from gkd.data.downloads import may_download
from gkd_data.data_root import find_root

_TIMEOUT = 30.0  # seconds to wait for the server, at any step
_SHOWN = 3  # files of a folder that has others than those of the data set


@dataclass(frozen=True, slots=True)
class PublicArchive:
    """A zip archive on the network.

    Args:
        title: what messages call the data set.
        url: where the archive is; its last part is the name of the file.
        sha256: hexadecimal digest of its content.
    """

    title: str
    url: str
    sha256: str

    def find(self, root: Path, names: Sequence[str], download: bool) -> Archive:
        """Return the files of the data set, wherever below ``root`` they are.

        Args:
            root: the archive; or a folder that has it, or its files, or whose folder has.
            names: files that the data set needs; any of them marks a folder as the right one.
            download: fetch the archive when there is none, into a folder that has nothing else.

        Raises:
            DataError: there is no archive, and none can or may be fetched, or the folder has other
                files; or files are missing.
        """
        root = root.expanduser()
        file_name = self.url.rpartition("/")[2]
        zipped = root if root.suffix == ".zip" and not root.is_dir() else root / file_name
        for archive in (root, zipped):
            if archive.is_file():
                return Archive(archive, names)
        for folder in (root, root / file_name.removesuffix(".zip"), root / "raw"):
            if any((folder / name).is_file() for name in names):
                return Archive(folder, names)

        def has(place: Path) -> bool:
            return (place / file_name).is_file() or any((place / name).is_file() for name in names)

        there = _content(root, besides=file_name)
        # What is elsewhere need not be meant where a folder waits to be filled.
        waits = download and root.is_dir() and not there
        folder = find_root(root, has, elsewhere=not waits)
        if folder != root:
            inside = folder / file_name
            return Archive(inside if inside.is_file() else folder, names)
        if not download:
            raise DataError(
                f"there is no {self.title} at {root}; get {self.url} and put it at {zipped}, "
                "or let it be downloaded with download=true"
            )
        if there:  # it is likely to be the folder of other data
            listing = ", ".join(there[:_SHOWN]) + (", …" if len(there) > _SHOWN else "")
            raise DataError(
                f"{root} has no {file_name} and none of its files (it has {listing}), and "
                f"{self.title} is downloaded into an empty folder alone: name the folder that has "
                f"it, or make a new one; or get {self.url} and put it at {zipped}"
            )
        if not may_download() and zipped.parent.is_dir():
            raise DataError(
                f"there is no {self.title} at {root}: a run downloads it from {self.url}, and a "
                f"check does not; or put it at {zipped} by other means"
            )
        self.download(zipped)
        return Archive(zipped, names)

    def download(self, destination: Path) -> None:
        """Fetch the archive; ``destination`` then has all of it, or is as it was before.

        Shows progress on a terminal.

        Args:
            destination: file to write, in a folder that is there.

        Raises:
            DataError: the folder is missing, or the network, the disk or the checksum fails; says
                what to do by hand.
        """
        # Never made here: it may be a misspelling, and would then look like the right one.
        if not destination.parent.is_dir():
            raise DataError(
                f"there is no folder {destination.parent}; make it to have {self.title} "
                f"downloaded there, or name the one that has it"
            )
        by_hand = f"Get {self.url} by other means and put it at {destination}"
        before = socket.getdefaulttimeout()
        try:
            if destination.is_dir():  # into which torch would move the file
                raise IsADirectoryError(f"{destination} is a folder")
            # torch sets no timeout: it would wait for a silent server for ever.
            socket.setdefaulttimeout(_TIMEOUT)
            torch.hub.download_url_to_file(
                self.url, str(destination), self.sha256, progress=sys.stderr.isatty()
            )
        # A broken answer raises HTTPException, or ValueError where its length is no number.
        except (OSError, HTTPException, ValueError) as error:
            if isinstance(error, HTTPError):
                error.close()  # it is the answer itself, and holds the connection
            raise DataError(f"cannot download {self.url}: {error}. {by_hand}") from error
        except RuntimeError as error:  # how torch reports another checksum
            raise DataError(
                f"{self.url} is not the published file by its SHA-256: {error}. {by_hand}"
            ) from error
        finally:
            socket.setdefaulttimeout(before)


def _content(folder: Path, besides: str) -> list[str]:
    """Names of what is visible in a folder, but for an archive and what is left of its download."""
    if not folder.is_dir():
        return []
    names = sorted(place.name for place in folder.iterdir())
    return [name for name in names if not name.startswith((".", besides))]
