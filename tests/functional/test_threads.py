"""Work split among threads."""

import os
import subprocess
import sys
from collections.abc import Iterator
from threading import Barrier, Thread, current_thread

import pytest
import torch

from gkd.functional.threads import Share, in_threads, shares


def test_shares_are_disjoint_and_complete() -> None:
    for total in (1, 3, 7):
        parts = [range(20)[Share(number, total).of(20)] for number in range(total)]
        assert [item for part in parts for item in part] == list(range(20))
    assert len(shares(0, least=5)) == 1


@pytest.fixture(params=[1, 2, 3])
def cores(request: pytest.FixtureRequest) -> Iterator[int]:
    """Number of threads that torch uses, with any number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_threads_keep_the_order_and_take_all_shares(cores: int) -> None:
    assert in_threads(lambda share: 10 + share.number, shares(100, 7)) == list(
        range(10, 10 + len(shares(100, 7)))
    )
    assert len(shares(100, 7)) == {1: 1, 2: 8, 3: 12}[cores]
    assert in_threads(lambda share: share.number, []) == []


@pytest.mark.parametrize("number", [0, 4])
@pytest.mark.parametrize("error", [ZeroDivisionError, IndexError])
def test_threads_pass_errors_on(cores: int, number: int, error: type[Exception]) -> None:
    def fail(share: Share) -> None:
        if share.number == number:
            raise error("here")

    with pytest.raises(error, match="here"):
        in_threads(fail, [Share(number, 5) for number in range(5)])
    assert torch.get_num_threads() == cores


def test_each_thread_has_one_core_and_all_others_what_they_had(cores: int) -> None:
    seen: list[int] = []
    parts = [Share(number, 4) for number in range(4)]
    assert in_threads(lambda share: torch.get_num_threads(), parts) == [1] * 4
    later = Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert [*seen, torch.get_num_threads()] == [cores] * 2


def test_helpers_work_beside_the_calling_thread(cores: int) -> None:
    together = Barrier(cores)  # a thread that waits here takes no second share
    parts = [Share(number, cores) for number in range(cores)]
    names = in_threads(lambda share: (together.wait(60), current_thread().name)[1], parts)
    assert len(set(names)) == cores
    assert current_thread().name in names


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork on this system")
def test_threads_work_in_a_forked_process() -> None:
    program = """
import os, warnings
from gkd.functional.threads import Share, in_threads
warnings.simplefilter("ignore")
work = lambda: in_threads(lambda share: share.number, [Share(0, 2), Share(1, 2)])
assert work() == [0, 1]
child = os.fork()
if not child:
    os._exit(7 if work() == [0, 1] else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.strip() == "7", done.stderr
