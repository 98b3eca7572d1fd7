"""Work split among threads of Python, each with one core for torch.

For a chain of small operations this beats torch's own threads, which meet after every operation:
a share of the data stays with its core. What runs must release Python's lock, as the operations of
torch and numpy do.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import NamedTuple, TypeVar

import torch

Result = TypeVar("Result")


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


def shares(work: int, least: int) -> list[Share]:
    """Split ``work`` among torch's threads, at least ``least`` to each.

    >>> shares(10, least=6)
    [Share(number=0, total=1)]
    """
    total = max(1, min(torch.get_num_threads(), work // least))
    return [Share(number, total) for number in range(total)]


def in_threads(function: Callable[[Share], Result], parts: Sequence[Share]) -> list[Result]:
    """Return the results of ``function`` for all shares, in order.

    Only of the caller's thread are the modes of torch (``no_grad``, ``inference_mode``,
    ``autocast``).

    >>> in_threads(lambda share: share.number, [Share(0, 2), Share(1, 2)])
    [0, 1]
    """
    if len(parts) < 2:
        return [function(part) for part in parts]
    return list(_pool(len(parts)).map(function, parts))


@cache
def _pool(size: int) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(size, thread_name_prefix="gkd")
    all_there = Barrier(size)
    threads_of_torch = torch.get_num_threads()

    def claim_one_core() -> None:
        torch.get_num_threads()  # a thread takes the number of all when it first asks
        torch.set_num_threads(1)
        all_there.wait()

    for claim in [pool.submit(claim_one_core) for _ in range(size)]:
        claim.result()
    # It holds for the calling thread, and for threads to come: for those it is set right again.
    torch.set_num_threads(threads_of_torch)
    return pool


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive in a forked process
