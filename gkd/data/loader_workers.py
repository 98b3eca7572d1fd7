"""What processes of data loaders do when the one that they work for is gone."""

import sys
from functools import partial
from multiprocessing import AuthenticationError
from types import TracebackType
from typing import Any

_GONE = (EOFError, ConnectionError, AuthenticationError)


def end_quietly(worker: int) -> None:
    """Let this process say nothing where the one that it hands tensors over to has ended.

    That is done by a thread, whose errors Python prints: a traceback below the one sentence of a
    run that was interrupted.
    """
    sys.excepthook = partial(_report, sys.excepthook)


def _report(
    report: Any, kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if not isinstance(error, _GONE):
        report(kind, error, trace)
