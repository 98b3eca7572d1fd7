"""What ``gkd bench`` does and prints."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from gkd.benchmarking import Benchmark, MissingPackageError, Setting
from gkd.benchmarking.installed import choose_benchmarks
from gkd.benchmarking.measurement import Measurement, measure
from gkd.benchmarking.process_memory import process_peak
from gkd.benchmarking.timing import Spread
from gkd.commands.listing import print_json
from gkd.commands.tables import print_table
from gkd.errors import ParameterError, suggestion
from gkd.hosting.host import current_host
from gkd.training.devices import Devices
from gkd.training.environment import environment

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_QUICK_REPEATS = 3
_COLUMNS = {
    "Case": "case",
    "Against": "against",
    "Time": "time",
    "Ratio (10 to 90 %)": "ratio",
    "CPU time": "cpu",
    "Goal": "goal",
    "Memory of a step": "step",
    "Of the process": "process",
    "Error": "error",
}
_LEGEND = (
    "Time, memory and error: gkd's, then the alternative's. Ratio: the median over repetitions, "
    "taken in turn. CPU time: of all cores, its ratio in brackets. Error: the largest relative "
    "one, in norm, against float64."
)
_NONE = "-"
_MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """How to measure.

    Args:
        quick: three repetitions, no fresh processes, and of all benchmarks not the long ones.
        repeats: of each side; None for the benchmark's own number.
        device: "cpu", "cuda", …
        dtype: of the features; half precision runs networks under autocast.
        threads: of torch; None for as many as it takes by itself.
    """

    quick: bool = False
    repeats: int | None = None
    device: str = "cpu"
    dtype: str = "float32"
    threads: int | None = None

    def setting(self) -> Setting:
        """Return device and precision.

        Raises:
            ParameterError: there is no such device or precision here.
        """
        if self.dtype not in _DTYPES:
            raise ParameterError(f"--dtype {self.dtype}: {suggestion(self.dtype, _DTYPES)}")
        return Setting(Devices.of(self.device).torch_device, _DTYPES[self.dtype])

    def repeats_of(self, benchmark: Benchmark) -> int:
        """Return how often to measure each side."""
        return self.repeats or (_QUICK_REPEATS if self.quick else benchmark.repeats)


def run_benchmarks(names: Sequence[str], options: BenchOptions, *, as_json: bool) -> None:
    """Measure the benchmarks called ``names``, or all, and print a table or JSON.

    Raises:
        UnknownNameError: there is no such benchmark.
        ParameterError: an option cannot be followed.
        MissingPackageError: the one benchmark asked for needs a package that is not installed.
    """
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    setting = options.setting()
    benchmarks = choose_benchmarks(list(names), quick=options.quick)
    found = environment(current_host(), Devices(setting.device.type), seeds=[])
    circumstances = {**found, "dtype": str(setting.dtype).removeprefix("torch.")}
    measured: list[Measurement] = []
    missing: dict[str, str] = {}
    for number, (name, benchmark) in enumerate(benchmarks.items(), start=1):
        print(f"[{number}/{len(benchmarks)}] {name}", file=sys.stderr, flush=True)
        try:
            result = measure(name, benchmark, setting, options.repeats_of(benchmark))
            if not options.quick:
                # In fresh processes, one for each side: this one has held both.
                ours, theirs = (
                    process_peak(name, setting, ours=side, threads=torch.get_num_threads())
                    for side in (True, False)
                )
                result = replace(
                    result,
                    ours=replace(result.ours, process_bytes=ours),
                    theirs=replace(result.theirs, process_bytes=theirs),
                )
            measured.append(result)
        except MissingPackageError as error:
            if len(benchmarks) == 1:  # nothing else would be measured: that is a failure
                raise
            missing[name] = str(error)
    if as_json:
        cases = [measurement.to_dict() for measurement in measured]
        print_json({**circumstances, "cases": cases, "not_run": missing})
    else:
        print_measurements(measured, missing, circumstances)


def print_measurements(
    measurements: Sequence[Measurement], missing: Mapping[str, str], environment: Mapping[str, Any]
) -> None:
    """Print what was measured, what could not be, and on what machine."""
    hardware = environment["hardware"]
    machine = hardware.get("gpu") or hardware["cpu"]
    torch_version = environment["versions"]["torch"]
    print(
        f"{machine}, {hardware['threads']} threads, torch {torch_version}, {environment['dtype']}\n"
    )
    if measurements:
        print_table(_COLUMNS, map(_table_row, measurements))
        print(f"\n{_LEGEND}")
    for measurement in measurements:
        if measurement.bandwidth_share is not None:
            share = f"{measurement.bandwidth_share:.0%}"
            print(f"{measurement.case}: gkd moves data at {share} of the speed of a plain copy.")
    for name, reason in missing.items():
        print(f"\n{name} did not run: {reason}")


def _table_row(measurement: Measurement) -> dict[str, str]:
    ours, theirs = sides = measurement.ours, measurement.theirs
    goal = measurement.goal
    # Where gkd may take longer than the other, the ratio is of the times, else of the speeds.
    spread = measurement.speed if goal.time is None else measurement.time
    digits = 1 if spread.median >= 3 else 2
    low, high = f"{spread.low:.{digits}f}", f"{spread.high:.{digits}f}"
    bounds = {
        "at least {:g}x as fast": goal.speed,
        "at most {:g}x the time": goal.time,
        "at most {:g}x the memory": goal.memory,
        "within {:g} GiB": None if goal.process_bytes is None else goal.process_bytes / 2**30,
    }
    goals = "; ".join(text.format(bound) for text, bound in bounds.items() if bound is not None)
    if measurement.reached is not None:
        goals += f": {'reached' if measurement.reached else 'MISSED'}"
    return {
        "case": measurement.case,
        "against": theirs.name,
        "time": _milliseconds([side.seconds for side in sides]),
        "ratio": f"{spread.median:.{digits}f}x ({low} to {high}) "
        + ("as fast" if goal.time is None else "the time"),
        "cpu": _cpu_time(measurement),
        "goal": goals or _NONE,
        "step": _memory(ours.step_bytes, theirs.step_bytes),
        "process": _memory(ours.process_bytes, theirs.process_bytes),
        "error": " / ".join(_NONE if s.error is None else f"{s.error:.1e}" for s in sides),
    }


def _cpu_time(measurement: Measurement) -> str:
    spreads = [side.cpu_seconds for side in (measurement.ours, measurement.theirs)]
    known = [spread for spread in spreads if spread is not None]
    if measurement.cpu_speed is None or not known:
        return _NONE
    ratio = measurement.cpu_speed.median
    if measurement.goal.time is not None:
        ratio = 1 / ratio
    return f"{_milliseconds(known)} ({ratio:.{1 if ratio >= 3 else 2}f}x)"


def _milliseconds(spreads: Sequence[Spread]) -> str:
    # Two digits, or all of those before the point.
    times = [1e3 * spread.median for spread in spreads]
    return " / ".join(f"{ms:.{max(0, 2 - len(str(int(ms))))}f} ms" for ms in times)


def _memory(ours: int | None, theirs: int | None) -> str:
    return " / ".join(
        _NONE if side is None else f"{side / _MEBIBYTE:,.0f} MiB" for side in (ours, theirs)
    )
