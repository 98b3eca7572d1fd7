"""One benchmark, measured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from gkd.benchmarking.benchmark import Benchmark, Goal, Setting
from gkd.benchmarking.timing import Clock, Spread, alternating_times, copy_bandwidth
from gkd.evaluation.cost import peak_memory


@dataclass(frozen=True, slots=True)
class Side:
    """What was measured of gkd, or of the alternative.

    Args:
        name: who.
        seconds: of one repetition.
        step_bytes: memory held at the peak of a repetition beyond what was held before; None
            where this machine cannot tell.
        process_bytes: peak memory of a fresh process that does nothing else; None if not measured.
        error: largest relative error against float64; None if there is no exact result.
        cpu_seconds: of one repetition, of all cores together; None where an accelerator computes.
    """

    name: str
    seconds: Spread
    step_bytes: int | None = None
    process_bytes: int | None = None
    error: float | None = None
    cpu_seconds: Spread | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """A benchmark's outcome.

    Args:
        case: name of the benchmark.
        ours: what was measured of gkd.
        theirs: what was measured of the alternative.
        speed: time of the alternative over that of gkd, repetition by repetition, per unit.
        units: number of items that each side worked on.
        goal: what was to be shown.
        bandwidth_share: traffic per second over that of a plain copy, where memory is the bound.
        cpu_speed: as ``speed``, of the time of all cores: what else the machine does matters less.
    """

    case: str
    ours: Side
    theirs: Side
    speed: Spread
    units: tuple[float, float]
    goal: Goal
    bandwidth_share: float | None = None
    cpu_speed: Spread | None = None

    @property
    def time(self) -> Spread:
        """Time of gkd over that of the alternative, per unit."""
        return Spread(1 / self.speed.median, 1 / self.speed.high, 1 / self.speed.low)

    @property
    def memory(self) -> float | None:
        """Memory of gkd's step over that of the alternative's, per unit."""
        ours, theirs = self.ours.step_bytes, self.theirs.step_bytes
        if ours is None or not theirs:
            return None
        return (ours / self.units[0]) / (theirs / self.units[1])

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached in every respect; None where a respect is not measured."""
        goal, memory, process = self.goal, self.memory, self.ours.process_bytes
        respects = [
            goal.speed is None or self.speed.median >= goal.speed,
            goal.time is None or self.time.median <= goal.time,
            goal.memory is None or (None if memory is None else memory <= goal.memory),
            goal.process_bytes is None
            or (None if process is None else process <= goal.process_bytes),
        ]
        if goal == Goal() or (None in respects and False not in respects):
            return None
        return False not in respects

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON takes it."""
        ratios = {"time": asdict(self.time), "memory": self.memory, "reached": self.reached}
        return asdict(self) | ratios


def measure(
    case: str,
    benchmark: Benchmark,
    setting: Setting,
    repeats: int,
    *,
    clock: Clock = time.perf_counter,
    cpu_clock: Clock = time.process_time,
) -> Measurement:
    """Run both sides of ``benchmark`` in this process and compare them.

    Args:
        case: name of the benchmark.
        benchmark: what to measure.
        setting: where, and in which precision.
        repeats: how often to measure each side, at least 1.
        clock: seconds.
        cpu_clock: seconds of all cores of this process.
    """
    errors = _errors(benchmark, setting)
    # After the errors: the exact results are let go before memory is measured.
    works = benchmark.ours(setting), benchmark.theirs(setting)
    times = alternating_times(works, repeats, setting.device, clock=clock, cpu_clock=cpu_clock)
    peaks = [peak_memory(work, setting.device) for work in works]
    # Where an accelerator computes, the time of the cores is that of handing work over.
    on_cpu = setting.device.type == "cpu"
    ours, theirs = (
        Side(
            name,
            Spread.of([taken.wall for taken in side]),
            peak,
            None,
            error,
            Spread.of([taken.cpu for taken in side]) if on_cpu else None,
        )
        for name, side, peak, error in zip(
            ("gkd", benchmark.alternative), times, peaks, errors, strict=True
        )
    )
    items = benchmark.units[0] / benchmark.units[1]
    # Ratios of neighbours in time, not of medians: what slows the machine for a while slows both.
    pairs = list(zip(*times, strict=True))
    speed = Spread.of([b.wall / a.wall * items for a, b in pairs])
    cpu_speed = None
    if on_cpu:  # whose clock sees no time in what takes less than a tick
        cpu_speed = Spread.of([b.cpu / max(a.cpu, 1e-9) * items for a, b in pairs])
    traffic, share = benchmark.traffic(), None
    if traffic is not None:
        rate = traffic * setting.dtype.itemsize / 4 / ours.seconds.median
        share = rate / copy_bandwidth(setting.device)
    return Measurement(case, ours, theirs, speed, benchmark.units, benchmark.goal, share, cpu_speed)


def _errors(benchmark: Benchmark, setting: Setting) -> list[float | None]:
    # The alternative in float64 is the reference of both, where both compute the same: what gkd
    # gets wrong in any precision would not show against itself.
    errors: list[float | None] = []
    exact: Sequence[Tensor] = ()
    for ours in (True, False):
        results = benchmark.results(setting, ours=ours)
        if results and (ours or not benchmark.same_result):
            of_ours = ours and not benchmark.same_result
            exact = benchmark.results(setting.exactly(), ours=of_ours)
        errors.append(benchmark.error(results, exact) if results else None)
    return errors
