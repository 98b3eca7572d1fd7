"""Files from the network: whole and verified, or not at all."""

import hashlib
import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Literal
from urllib.error import HTTPError

from gkd import DataError

_CHUNK = 1 << 20
_ALGORITHMS = {"SHA-256": "sha256", "MD5": "md5"}


@dataclass(frozen=True, slots=True)
class Remote:
    """A file on the network.

    Args:
        url: where it is; any scheme that Python's urllib opens.
        digest: hexadecimal digest of its content.
        algorithm: which digest; MD5 where nothing better was ever published.
    """

    url: str
    digest: str
    algorithm: Literal["SHA-256", "MD5"] = "SHA-256"


def fetch(remote: Remote, destination: Path, timeout: float = 30.0) -> None:
    """Download a file and verify it; ``destination`` then has all of it, or is as it was before.

    Shows progress on a terminal.

    Args:
        remote: what to get.
        destination: file to write; folders above it are made.
        timeout: seconds to wait for the server at any step.

    Raises:
        DataError: the network, the disk or the checksum fails; says what to do by hand.
    """
    by_hand = f"Get {remote.url} by other means and put it at {destination}"
    try:
        with _folder(destination.parent), _part_of(destination) as part:
            digest = _copy(remote, part, timeout)
            if digest != remote.digest:
                raise DataError(
                    f"{remote.url} yielded a file with {remote.algorithm} {digest}, "
                    f"but {remote.digest} was expected. {by_hand}"
                )
    except DataError:
        raise
    except HTTPError as error:
        # The error is the answer itself, and holds the connection.
        with error:
            raise DataError(f"cannot download {remote.url}: {error}. {by_hand}") from error
    # A broken answer raises HTTPException, a malformed URL ValueError.
    except (OSError, HTTPException, ValueError) as error:
        raise DataError(f"cannot download {remote.url}: {error}. {by_hand}") from error


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Make a folder, which goes again when nothing comes to be in it: it may be a misspelling."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with suppress(OSError):  # it is in use
            for path in new:
                path.rmdir()


@contextmanager
def _part_of(destination: Path) -> Iterator[IO[bytes]]:
    # A name of its own for each process: ranks of one run may download at the same time.
    part = destination.with_name(f"{destination.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(destination)
    finally:
        part.unlink(missing_ok=True)


def _copy(remote: Remote, part: IO[bytes], timeout: float) -> str:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    digest = hashlib.new(_ALGORITHMS[remote.algorithm], usedforsecurity=False)
    with (
        urllib.request.urlopen(remote.url, timeout=timeout) as response,
        Progress(console=console, disable=not console.is_terminal, transient=True) as progress,
    ):
        size = response.headers.get("Content-Length")
        task = progress.add_task(remote.url, total=int(size) if size else None)
        while chunk := response.read(_CHUNK):
            part.write(chunk)
            digest.update(chunk)
            progress.advance(task, len(chunk))
    return digest.hexdigest()
