"""Work split among threads of Python, each with one core for torch.

For a chain of small operations this beats torch's own threads, which meet after every operation:
a share of the data stays with its core. What runs must release Python's lock, as the operations of
torch and numpy do.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from threading import Barrier
from typing import NamedTuple, TypeVar

import torch

Result = TypeVar("Result")

# Threads take the next share when they are done with one: torch's own threads spin for some
# milliseconds after their last work, and keep a core from one of ours in the meantime.
PER_THREAD = 4


class Share(NamedTuple):
    """One of ``total`` equal parts of the work.

    >>> Share(1, total=2).of(5)
    slice(2, 5, None)
    """

    number: int
    total: int

    def of(self, count: int) -> slice:
        """Return which of ``count`` items belong to this share."""
        return slice(count * self.number // self.total, count * (self.number + 1) // self.total)


def shares(work: int, least: int, per_thread: int = PER_THREAD) -> list[Share]:
    """Split ``work`` for torch's threads, at least ``least`` to a share.

    >>> shares(10, least=6)
    [Share(number=0, total=1)]
    """
    threads = torch.get_num_threads()
    most = threads * per_thread if threads > 1 else 1
    total = max(1, min(most, work // least))
    return [Share(number, total) for number in range(total)]


def in_threads(function: Callable[[Share], Result], parts: Sequence[Share]) -> list[Result]:
    """Return the results of ``function`` for all shares, in order.

    The calling thread works as well, and only it has the modes of torch (``no_grad``,
    ``inference_mode``, ``autocast``) that it set.

    >>> in_threads(lambda share: share.number, [Share(0, 2), Share(1, 2)])
    [0, 1]
    """
    helpers = min(torch.get_num_threads(), len(parts)) - 1
    if helpers < 1:
        return [function(part) for part in parts]
    waiting = deque(enumerate(parts))
    results: dict[int, Result] = {}

    def work() -> None:
        while True:
            try:  # one call, which no other thread can come between, and not a look before it
                number, part = waiting.popleft()
            except IndexError:
                return
            results[number] = function(part)

    running = [_pool(helpers).submit(work) for _ in range(helpers)]
    try:
        with _one_core():
            work()
    finally:
        # After an error, or Ctrl-C, nothing new is begun, and what runs is waited for: it writes
        # to tensors that the caller is about to let go.
        waiting.clear()
        wait(running)
    for helper in running:
        helper.result()
    return [results[number] for number in range(len(parts))]


@contextmanager
def _one_core() -> Iterator[None]:
    threads_of_torch = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        # It holds for the calling thread, and for threads to come: for those it is set right again.
        torch.set_num_threads(threads_of_torch)


@cache
def _pool(size: int) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(size, thread_name_prefix="gkd")
    # Without it the first thread, quick with its own claim, would serve the others' as well.
    all_there = Barrier(size)

    def claim_one_core() -> None:
        torch.get_num_threads()  # a thread takes the number of all when it first asks
        torch.set_num_threads(1)
        all_there.wait()

    with _one_core():
        for claim in [pool.submit(claim_one_core) for _ in range(size)]:
            claim.result()
    return pool


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive in a forked process
