"""Calls in another Python process, one that has nothing but what it is sent."""

import atexit
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from threading import Timer
from typing import Any

import torch

from gkd.errors.causes import describe

_PATIENCE = 120.0
_MARK = "_GKD_TESTING_WORKER"  # set in the other process
# With -m this module would be there twice, as __main__ and as what gkd.testing imports.
_PROGRAM = "from gkd.testing.other_process import answer_calls; answer_calls()"


def call_elsewhere(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a module's ``function`` returns for ``arguments`` in another process.

    The process is a fresh interpreter, started once: it shares no memory with this one, hashes
    strings differently, and imports modules anew.

    Raises:
        AssertionError: the call fails there; the message says how.
        Exception: ``function`` or ``arguments`` cannot be pickled.
    """
    if _MARK in os.environ:
        raise AssertionError(
            "importing the component's module starts a check of its own: move that into a "
            "function, such as a test, or under if __name__ == '__main__'"
        )
    # Pickled here, so that what cannot be pickled raises here, and to the other end as bytes, so
    # that it can set its path before it imports what they name.
    call = pickle.dumps((function, arguments))
    process = _process()
    # A read from a pipe has no timeout: a process that hangs is ended, which ends the read.
    timer = Timer(_PATIENCE, process.kill)
    timer.start()
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        pickle.dump((list(sys.path), call), process.stdin)
        process.stdin.flush()
        answer: tuple[bool, Any] = pickle.load(process.stdout)
    except (EOFError, OSError, pickle.UnpicklingError):
        process.kill()
        _process.cache_clear()
        raise AssertionError(
            f"the other process ended, or was silent for {_PATIENCE:g} s"
        ) from None
    finally:
        timer.cancel()
    succeeded, result = answer
    if not succeeded and b"__main__" in call:
        raise AssertionError(
            "it is defined in a script or session (__main__), which no other process can import: "
            "put it into a module"
        )
    if not succeeded:
        raise AssertionError(f"in the other process: {result}")
    return pickle.loads(result)


@cache
def _process() -> "subprocess.Popen[bytes]":
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "PYTHONPATH": path, _MARK: "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    atexit.register(_close, process)
    return process


def _close(process: "subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.wait()


def answer_calls() -> None:
    """Answer pickled calls on the standard input with pickled results on the standard output."""
    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a component prints is no answer
    while True:
        try:
            path, call = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        sys.path[:] = path
        try:
            # Pickled apart, so that a module that cannot be imported fails here, on the new path.
            function, arguments = pickle.loads(call)
            answer: tuple[bool, Any] = True, pickle.dumps(function(*arguments))
        except Exception as error:
            answer = False, describe(error)
        pickle.dump(answer, answers)
        answers.flush()
