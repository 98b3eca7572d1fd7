"""Lightning without its banners, tips and advice, and with interrupts that reach the caller."""

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = (
    "lightning",
    "lightning.pytorch",
    "lightning.fabric",
    "lightning.pytorch.utilities.rank_zero",
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence what Lightning says unasked; its errors and everybody else's warnings remain."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The module pattern covers advice on workers, logging intervals and unused devices.
        warnings.filterwarnings("ignore", module=r"lightning\.")
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


@contextmanager
def interruptible() -> Iterator[None]:
    """Hand a Ctrl-C on as KeyboardInterrupt, which Lightning turns into an exit with status 1.

    Lightning also ignores further interrupts for good; the handler is put back.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as leaving:
        if isinstance(leaving.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if in_main_thread:
            signal.signal(signal.SIGINT, handler)
