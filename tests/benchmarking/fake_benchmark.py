"""Benchmarks of known duration, on a clock of their own."""

from collections.abc import Iterator, Sequence
from itertools import cycle

import torch
from torch import Tensor

from gkd.benchmarking import Benchmark, Goal, Setting, Work


class Clock:
    """Seconds that pass when a work says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Timed(Benchmark):
    """Two sums that take what they are told to."""

    alternative = "slow"

    def __init__(
        self,
        clock: Clock | None = None,
        ours: Sequence[float] = (1.0,),
        theirs: Sequence[float] = (3.0,),
        goal: Goal | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.seconds = {"ours": ours, "theirs": theirs}
        self.goal = goal or Goal()
        self.calls: list[str] = []
        self.values = torch.tensor([1.0, 2.0 + 2.0**-20])

    def ours(self, setting: Setting) -> Work:
        return self._work("ours", setting, off=1.0)

    def theirs(self, setting: Setting) -> Work:
        return self._work("theirs", setting, off=0.0)

    def _work(self, side: str, setting: Setting, off: float) -> Work:
        values = setting.features(self.values)
        durations: Iterator[float] = cycle(self.seconds[side])

        def work() -> Sequence[Tensor]:
            self.calls.append(side)
            self.clock.now += next(durations)
            return [values + (0.0 if setting.exact else off)]

        return work
