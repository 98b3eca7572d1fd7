"""SIGTERM, by which schedulers and shells end a process, treated as Ctrl-C is."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lightning.pytorch import Callback, LightningModule, Trainer


class Terminated(KeyboardInterrupt):
    """The process was asked to end."""


_asked = threading.Event()


def _raise(number: int, frame: FrameType | None) -> None:
    _asked.set()
    raise Terminated


@contextmanager
def terminable() -> Iterator[None]:
    """Raise :class:`Terminated` on SIGTERM; the handler of before is put back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _asked.clear()
    before = signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        # Code in between, as ray's, may have taken it for a Ctrl-C and raised another.
        if _asked.is_set() and not isinstance(interrupt, Terminated):
            raise Terminated from interrupt
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


class KeepTermination(Callback):
    """Puts the handler back that Lightning replaces when it begins to train.

    Lightning's would let the epoch go on, then return as if the training had come to its end; where
    several processes train together, it waits for the others for ever.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put it back, where there was one."""
        handler = trainer._signal_connector._original_handlers.get(signal.SIGTERM)
        if handler is _raise:
            signal.signal(signal.SIGTERM, handler)
