"""Output of a command that goes on without it: its reader has gone, or its disk is full."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import typer


@contextmanager
def dispensable_output() -> Iterator[None]:
    """Go on where standard output or standard error take nothing more, and say so on the other.

    ``gkd run … | head -1``, a log on a full disk and a terminal that was closed would end hours of
    training, which nobody need look at.
    """
    with ExitStack() as stack:
        # What standard output still has to write at its end may have to be said on the other.
        for name in ("stderr", "stdout"):
            stack.enter_context(_dispensable(name))
        yield


@contextmanager
def _dispensable(name: str) -> Iterator[None]:
    stream = getattr(sys, name)
    try:
        # Others, as of notebooks, may have a file beside what they show.
        descriptor = stream.fileno() if isinstance(stream, io.TextIOWrapper) else None
    except OSError:  # kept in memory
        descriptor = None
    if descriptor is None:
        yield
        return
    with suppress(OSError):
        stream.flush()
    # Below all buffers, as some write to one of them and not to the stream.
    lasting = io.TextIOWrapper(
        io.BufferedWriter(_Dispensable(descriptor, told=name == "stdout")),
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
    )
    setattr(sys, name, lasting)
    try:
        yield
    finally:
        lasting.flush()
        setattr(sys, name, stream)


class _Dispensable(io.FileIO):
    """A file that becomes the null device when it can no longer be written to.

    Args:
        descriptor: of the file.
        told: whether it is said on standard error.
    """

    def __init__(self, descriptor: int, told: bool) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self.told = told

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            # By its descriptor, for whoever else writes to it: what Python flushes at exit, too.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            if self.told:
                typer.secho("warning: ", fg="yellow", bold=True, nl=False, err=True)
                typer.echo(f"standard output: {error.strerror}; the run goes on without", err=True)
            return super().write(data)
