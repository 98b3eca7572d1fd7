"""Processes of data loaders whose own process ends before them say nothing of it."""

import subprocess
import sys
from multiprocessing import AuthenticationError

import pytest

from gkd.data.loader_workers import end_quietly

# As in a worker: a thread hands a tensor's memory over to a process that hangs up at once.
HUNG_UP = """
import socket, sys, time
from multiprocessing import reduction, resource_sharer
{begin}
with socket.socket() as mine:
    address, _ = resource_sharer.DupFd(mine.fileno())._id
with socket.socket(socket.AF_UNIX) as other:
    other.connect(address)
time.sleep(0.5)
"""


@pytest.mark.parametrize(
    ("begin", "told"),
    [("", True), ("from gkd.data.loader_workers import end_quietly; end_quietly(0)", False)],
)
def test_a_process_that_hangs_up_is_no_news(begin: str, told: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HUNG_UP.format(begin=begin)], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert ("Traceback" in done.stderr) == told


def test_other_errors_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: told.append(error))
    end_quietly(0)
    errors = [EOFError(), ConnectionResetError(), AuthenticationError(), ValueError("x")]
    for error in errors:
        sys.excepthook(type(error), error, None)
    assert told == errors[-1:]
