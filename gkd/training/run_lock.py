"""The lock of a run's folder: one process trains in it at a time."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from gkd.errors import RecipeError
from gkd.files import write_json

_LOCK = ".lock"
_HOLDER = ".lock.json"  # apart: the lock's own file is emptied whenever someone tries it
_MUCH = 10_000  # characters: more are no holder's


@contextmanager
def locked(folder: Path, waiting: bool = False) -> Iterator[None]:
    """Hold the lock of a run's folder.

    The system takes it away from a process that ends, however it ends: none is ever stale.

    Args:
        folder: is there.
        waiting: whether to wait until nobody else holds it.

    Raises:
        RecipeError: another process holds it, or the folder cannot be written.
    """
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=-1 if waiting else 0)
    except Timeout:
        raise RecipeError(f"{folder} is in use{_holder(folder)}") from None
    except OSError as error:
        raise RecipeError(f"{folder} cannot be written: {error.strerror}") from error
    try:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(
            folder / _HOLDER, {"process": os.getpid(), "host": socket.gethostname(), "since": now}
        )
        yield
    finally:
        with suppress(OSError):  # the folder may be gone, or on a disk that is full
            (folder / _HOLDER).unlink(missing_ok=True)
        lock.release()


def _holder(folder: Path) -> str:
    try:
        with (folder / _HOLDER).open(encoding="utf-8") as file:
            holder = json.loads(file.read(_MUCH))
        process, host, since = (str(holder[key])[:100] for key in ("process", "host", "since"))
        return f": process {process} on {host} trains in it since {since}"
    except (OSError, ValueError, LookupError, TypeError, RecursionError):  # it is just beginning
        return ": another process trains in it"
