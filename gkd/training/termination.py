"""Signals by which schedulers, shells and terminals end a process, treated as Ctrl-C is.

None of them is lost.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class Terminated(KeyboardInterrupt):
    """The process was asked to end, by SIGTERM.

    Attributes:
        word: for what has become of it.
        status: to exit with, as shells number the signal.
    """

    word, status = "terminated", 143


class HungUp(Terminated):
    """The terminal of the process was closed, which SIGHUP tells."""

    word, status = "hung up", 129


_asked: list[type[KeyboardInterrupt]] = []
_RAISED: dict[int, type[KeyboardInterrupt]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGTERM: Terminated,
}
if hasattr(signal, "SIGHUP"):  # Windows has none
    _RAISED[signal.SIGHUP] = HungUp


def _raise(number: int, frame: FrameType | None) -> None:
    _asked.append(_RAISED[number])
    raise _asked[-1]


def end_if_asked() -> None:
    """Raise once more what a signal raised: inside of a finaliser Python ignores exceptions.

    The iterators of data loaders have some, and more so do the workers that they start.
    """
    if _asked:
        raise _asked[-1]


@contextmanager
def terminable() -> Iterator[None]:
    """Raise :class:`Terminated` on SIGTERM and SIGHUP; the handlers of before are put back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _asked.clear()
    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, _raise)}
    # These may be ignored: in the background, and by nohup.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        before[signal.SIGINT] = signal.signal(signal.SIGINT, _raise)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, _raise)
    report = sys.unraisablehook
    sys.unraisablehook = lambda ignored: None if _is_ours(ignored) else report(ignored)
    try:
        yield
        end_if_asked()
    except KeyboardInterrupt as interrupt:
        # Code in between, as ray's, may have taken it for a Ctrl-C and raised another.
        ours = next((one for one in _asked if issubclass(one, Terminated)), None)
        if ours is not None and not isinstance(interrupt, Terminated):
            raise ours from interrupt
        raise
    finally:
        _asked.clear()
        sys.unraisablehook = report
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_ours(ignored: "sys.UnraisableHookArgs") -> bool:
    """Whether what was ignored is raised once more."""
    return bool(_asked) and isinstance(ignored.exc_value, KeyboardInterrupt)


class KeepTermination(Callback):
    """Puts the handler back that Lightning replaces when it begins to train, and ends as asked.

    Lightning's would let the epoch go on, then return as if the training had come to its end; where
    several processes train together, it waits for the others for ever.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put it back, where there was one."""
        handler = trainer._signal_connector._original_handlers.get(signal.SIGTERM)
        if handler is _raise:
            signal.signal(signal.SIGTERM, handler)

    def on_train_batch_start(self, *arguments: Any) -> None:
        """End here at the latest."""
        end_if_asked()

    def on_validation_batch_start(self, *arguments: Any) -> None:
        """End here at the latest."""
        end_if_asked()
