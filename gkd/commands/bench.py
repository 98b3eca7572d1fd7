"""What ``gkd bench`` does."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from gkd.benchmarking import Benchmark, MissingPackageError, Setting
from gkd.benchmarking.installed import chosen_benchmarks
from gkd.benchmarking.measurement import Measurement, measure
from gkd.benchmarking.process_memory import process_peak
from gkd.commands.bench_table import print_measurements
from gkd.commands.listing import print_json
from gkd.errors import ParameterError, suggestion
from gkd.hosting.catalog import current_host
from gkd.training.device import Placement
from gkd.training.environment import environment

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_QUICK_REPEATS = 3


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
        return Setting(Placement.of(self.device).torch_device, _DTYPES[self.dtype])

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
    benchmarks = chosen_benchmarks(list(names), quick=options.quick)
    circumstances = _circumstances(setting)
    measured: list[Measurement] = []
    missing: dict[str, str] = {}
    for number, (name, benchmark) in enumerate(benchmarks.items(), start=1):
        print(f"[{number}/{len(benchmarks)}] {name}", file=sys.stderr, flush=True)
        try:
            measured.append(_measured(name, benchmark, setting, options))
        except MissingPackageError as error:
            if len(benchmarks) == 1:
                raise
            missing[name] = str(error)
    if as_json:
        cases = [measurement.to_dict() for measurement in measured]
        print_json({**circumstances, "cases": cases, "not_run": missing})
    else:
        print_measurements(measured, missing, circumstances)


def _measured(
    name: str, benchmark: Benchmark, setting: Setting, options: BenchOptions
) -> Measurement:
    result = measure(name, benchmark, setting, options.repeats_of(benchmark))
    if options.quick:
        return result
    ours, theirs = (
        process_peak(name, setting, ours=side, threads=torch.get_num_threads())
        for side in (True, False)
    )
    return replace(
        result,
        ours=replace(result.ours, process_bytes=ours),
        theirs=replace(result.theirs, process_bytes=theirs),
    )


def _circumstances(setting: Setting) -> dict[str, Any]:
    precision = str(setting.dtype).removeprefix("torch.")
    found = environment(current_host(), Placement(setting.device.type), seeds=[])
    return {**found, "dtype": precision}
