"""Times of two works, taken in turn, and their ratio."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import NamedTuple

import torch

from gkd.benchmarking.benchmark import Work
from gkd.evaluation.cost import wait_for

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Spread:
    """Median of several values, and what four fifths of them lie between.

    Args:
        median: half of the values are below.
        low: a tenth are below.
        high: a tenth are above.

    >>> Spread.of([1.0, 2.0, 3.0])
    Spread(median=2.0, low=1.2, high=2.8)
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return the spread of at least one value."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        tenths = quantiles(values, n=10, method="inclusive")
        return cls(median(values), tenths[0], tenths[-1])


class Times(NamedTuple):
    """Seconds of one repetition: on the clock, and of all cores together."""

    wall: float
    cpu: float


def alternating_times(
    works: Sequence[Work],
    repeats: int,
    device: torch.device,
    *,
    warm_up: int = 1,
    clock: Clock = time.perf_counter,
    cpu_clock: Clock = time.process_time,
) -> list[list[Times]]:
    """Return the times of each repetition of each work.

    The works take turns, so that all see the same machine, and so does who comes first. A device
    is waited for before and after.

    Args:
        works: what to run.
        repeats: how often to measure each.
        device: what they compute on.
        warm_up: how often to run each before.
        clock: seconds.
        cpu_clock: seconds of all cores of this process.
    """
    times: list[list[Times]] = [[] for _ in works]
    for turn in range(warm_up + repeats):
        order = list(enumerate(works))
        for number, work in order if turn % 2 == 0 else reversed(order):
            # Without waiting, an accelerator's time would be that of handing the work over.
            wait_for(device)
            begin, cpu_begin = clock(), cpu_clock()
            work()
            wait_for(device)
            taken = Times(clock() - begin, cpu_clock() - cpu_begin)
            if turn >= warm_up:
                times[number].append(taken)
    return times


def copy_bandwidth(device: torch.device, num_bytes: int = 2**28) -> float:
    """Bytes per second, read and written, at which a large tensor is copied; the best of five."""
    source = torch.ones(num_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    (times,) = alternating_times([lambda: [target.copy_(source)]], 5, device)
    return 2 * num_bytes / min(taken.wall for taken in times)
