"""What keeps networks from being trained, in words: an error, or the end of a process."""

import re
import signal
import traceback
from collections.abc import Mapping

from gkd.errors import GkdError
from gkd.errors.causes import raised_at


class ProcessDied(GkdError):
    """A process that took part in the training of a network has ended before it."""


class FailedNetworks(GkdError):
    """Some networks of a run were not trained; the others were.

    Args:
        reasons: why, by the title of each.
        total: how many networks the run has.
    """

    def __init__(self, reasons: Mapping[str, str], total: int) -> None:
        lines = [f"  {title}: {reason}" for title, reason in reasons.items()]
        super().__init__(
            "\n".join([f"{len(reasons)} of {total} networks are not trained:", *lines])
        )


def explained(error: Exception) -> str:
    """Return what an error says; of one that gkd does not explain, what it is and where it arose.

    >>> explained(GkdError("too small"))
    'too small'
    """
    if isinstance(error, GkdError):
        return "\n".join([str(error), *getattr(error, "__notes__", ())])
    place = raised_at(error)
    return f"{type(error).__name__}: {error}" + (f" [{place}]" if place.file else "")


def end_in_words(exit_code: int | None) -> str:
    """Return how a process ended, as Python numbers it: signals are negative.

    >>> end_in_words(-15), end_in_words(3)
    ('was killed by SIGTERM', 'ended with exit status 3')
    """
    if exit_code is None or exit_code >= 0:
        return f"ended with exit status {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    often = ", as by a system that is out of memory" if name == "SIGKILL" else ""
    return f"was killed by {name}{often}"


def end_of_loader(error: Exception) -> str | None:
    """Return how a process of a data loader ended, None where an error has another cause.

    >>> end_of_loader(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "))
    '(pid 7) was killed by a signal: Killed'
    """
    from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

    # Torch may notice its end by a signal, between any two statements, and says it in words ...
    words = re.search(r"DataLoader worker \(pid (\d+)\) is killed by signal: ([^.]*)", str(error))
    if words is not None:
        return f"(pid {words[1]}) was killed by a signal: {words[2]}"
    # ... or where it waits for a batch, by whatever the broken connection raises.
    for frame, _ in traceback.walk_tb(error.__traceback__):
        loader = frame.f_locals.get("self")
        if isinstance(loader, _MultiProcessingDataLoaderIter):
            for process in loader._workers:
                process.join(1)
                if process.exitcode:
                    return f"(pid {process.pid}) {end_in_words(process.exitcode)}"
    return None
