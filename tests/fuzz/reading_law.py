"""The law of all readers: a file is read as it should be, or refused by an error that names it."""

import contextlib
import ctypes
import gc
import io
import os
import random
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutations import Mutation, mutate

from gkd.errors import GkdError, printable

SECONDS = 20.0
BYTES = 3 * 2**29  # that a file of some kilobytes may take


@dataclass(frozen=True)
class Reader:
    """One way in which gkd reads files.

    Args:
        name: of the reader.
        write: writes files that can be read into a folder.
        file: path of the one that is damaged, in the folder.
        mutations: what may be done to it.
        read: reads what is in the folder, and makes sure that it is valid, by ``assert``; what it
            returns is equal for equal content.
        seal: bytes of the file that say that it has a checksum: where they are still there, what
            is read is what was written.
        names: what a message must name one of, beside the file.
    """

    name: str
    write: Callable[[Path], object]
    file: str
    mutations: Sequence[Mutation]
    read: Callable[[Path], object]
    seal: bytes | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Find:
    """What a reader did that it should not.

    Args:
        kind: ``exception``, ``unnamed``, ``invalid``, ``silent``, ``slow``, ``memory``, ``death``,
            or ``whole`` where it does not even read what is not damaged.
        what: in words.
        place: where, so that one mistake is told once.
    """

    kind: str
    what: str
    place: str = ""


class TooSlow(BaseException):
    """Reading takes longer than it may."""


class Trial:
    """A reader with its files in a folder."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self.reader = reader
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        reader.write(folder)
        self.path = folder / reader.file
        self.original = self.path.read_bytes()
        self.result = reader.read(folder)
        self.was_read = True

    def content(self, seed: int, index: int) -> bytes:
        """Return the damaged file of this number."""
        rng = random.Random(f"{seed}/{self.reader.name}/{index}")
        with quiet():  # where a warning is an error, the file would be another
            return mutate(rng, self.original, self.reader.mutations)

    def judge(self, content: bytes) -> Find | None:
        """Let the reader read ``content`` in the place of the file; None where it keeps the law."""
        self.path.write_bytes(content)
        self.was_read = False
        try:
            with limits(), quiet():
                result = self.reader.read(self.folder)
        except GkdError as error:
            return self._refusal(error)
        except TooSlow as slow:
            return Find("slow", f"more than {SECONDS} s", _place(slow))
        except MemoryError as error:
            return Find("memory", f"more than {BYTES} bytes", _place(error))
        except AssertionError as error:
            return Find("invalid", str(error), _place(error))
        except BaseException as error:  # SystemExit, too
            if isinstance(error, KeyboardInterrupt):
                raise
            return Find("exception", f"{type(error).__name__}: {str(error)[:300]}", _place(error))
        finally:
            self._restore()
        if self.reader.seal is not None and self.reader.seal in content and result != self.result:
            return Find("silent", "read otherwise than it was written")
        self.was_read = True
        return None

    def _refusal(self, error: GkdError) -> Find | None:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, MemoryError) or "can't allocate memory" in str(cause):
                return Find("memory", f"more than {BYTES} bytes", _place(cause))
            cause = cause.__cause__
        try:
            message = printable(str(error))  # as the command line writes it
            message.encode()
        except ValueError as unwritable:
            return Find(
                "exception", f"a message that cannot be written: {unwritable}", _place(error)
            )
        named = (self.path.name, *self.reader.names)
        if not any(name in message for name in named):
            return Find("unnamed", f"{type(error).__name__}: {message[:300]}", _place(error))
        if len(message) > 20_000:
            return Find("unnamed", f"a message of {len(message)} characters", _place(error))
        return None

    def _restore(self) -> None:
        if not self.path.parent.is_dir():
            self.path.parent.mkdir(parents=True)
        self.path.write_bytes(self.original)


def _place(error: BaseException) -> str:
    """Return the innermost line of gkd, or of its plugins, that the error went through."""
    own, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "/gkd" in file and "/tests/" not in file:
            own = f"{Path(file).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return own


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what is printed to oneself; warnings are not errors here, as at the command line."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """Bound the time and the memory of what is done inside."""
    started = time.process_time()

    def stop(number: int, frame: Any) -> None:
        # Of the process's own time: another may have the processor.
        if time.process_time() - started > SECONDS:
            raise TooSlow

    before = signal.signal(signal.SIGPROF, stop)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + BYTES, hard))
    # Again and again, where the exception is swallowed.
    signal.setitimer(signal.ITIMER_PROF, SECONDS, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGPROF, before)


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


def settle() -> None:
    """Give memory back that was freed, so that the next file has all that it may take."""
    gc.collect()
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def plain(value: Any) -> Any:
    """Return a value as built-in ones that can be compared, tensors as their bytes."""
    import numpy as np
    import torch
    from pydantic import BaseModel

    if isinstance(value, torch.Tensor):
        value = value.detach().contiguous().cpu()
        raw = value.flatten().view(torch.uint8).numpy().tobytes()
        return str(value.dtype), tuple(value.shape), raw
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, BaseModel):
        return plain(value.model_dump())
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return repr(value) if isinstance(value, float) else value
