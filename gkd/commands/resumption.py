"""What a command says when its run is cut off: what was kept, and how to go on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from gkd.errors import DataError
from gkd.training.ranks import by_torchrun

if TYPE_CHECKING:
    from gkd.training.run_directory import RunDirectory

_INTERRUPTED = 130  # as shells number the signal


@contextmanager
def resumable(
    directory: "RunDirectory", *, named: bool, resumed: bool, speaking: bool = True
) -> Iterator[None]:
    """Add to whatever cuts a run off how to resume it.

    Args:
        directory: of the run.
        named: whether the command names it.
        resumed: whether the command resumes it already.
        speaking: whether this process tells the user what happens.

    Raises:
        GkdError: what the run raised, with a note.
        typer.Exit: interrupted by Ctrl-C, SIGTERM or SIGHUP; how to resume has been printed.
    """
    from gkd.training.environment import command_line
    from gkd.training.failures import FailedNetworks, ProcessDied
    from gkd.training.termination import Terminated

    def resuming() -> str:
        out = [] if named else ["--out", str(directory.folder)]
        resume = [] if resumed else ["--resume"]
        how = "with torchrun as before, and" if by_torchrun() else "with"
        return f"resume {how}:\n  {command_line(*out, *resume)}"

    try:
        yield
    except FailedNetworks as error:
        error.add_note(resuming())
        raise
    except ProcessDied as error:
        error.add_note(f"what was trained is kept; {resuming()}")
        raise
    except OSError as error:
        place = error.filename or directory.folder
        raise DataError(
            f"{place}: {error.strerror or error}; what was trained is kept, and "
            f"--resume --out {directory.folder} goes on with it"
        ) from error
    except KeyboardInterrupt as interrupt:
        word, status = "interrupted", _INTERRUPTED
        if isinstance(interrupt, Terminated):
            word, status = interrupt.word, interrupt.status
        if speaking:
            begun = directory.folder.exists()
            how = f"; {resuming()}" if begun else " before anything was trained"
            typer.echo(f"\n{word}{how}", err=True)
        raise typer.Exit(status) from None
