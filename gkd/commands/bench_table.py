"""The table that ``gkd bench`` prints."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gkd.benchmarking import Goal
from gkd.benchmarking.measurement import Measurement, Side
from gkd.benchmarking.timing import Spread
from gkd.commands.listing import print_table

_COLUMNS = {
    "Case": "case",
    "Against": "against",
    "Time": "time",
    "Ratio (10 to 90 %)": "ratio",
    "Goal": "goal",
    "Memory of a step": "step",
    "Of the process": "process",
    "Error": "error",
}
_LEGEND = (
    "Time, memory and error: gkd's, then the alternative's. Ratio: the median over repetitions, "
    "taken in turn. Error: the largest relative one, in norm, against float64."
)
_NONE = "-"
_MEBIBYTE = 2**20


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
        print_table(_COLUMNS, map(_row, measurements))
        print(f"\n{_LEGEND}")
    for measurement in measurements:
        if measurement.bandwidth_share is not None:
            share = f"{measurement.bandwidth_share:.0%}"
            print(f"{measurement.case}: gkd moves data at {share} of the speed of a plain copy.")
    for name, reason in missing.items():
        print(f"\n{name} did not run: {reason}")


def _row(measurement: Measurement) -> dict[str, str]:
    ours, theirs = sides = measurement.ours, measurement.theirs
    return {
        "case": measurement.case,
        "against": theirs.name,
        "time": " / ".join(_time(side.seconds.median) for side in sides),
        "ratio": _ratio(measurement),
        "goal": _goal(measurement),
        "step": _memory(ours.step_bytes, theirs.step_bytes),
        "process": _memory(ours.process_bytes, theirs.process_bytes),
        "error": " / ".join(_error(side) for side in sides),
    }


def _time(seconds: float) -> str:
    milliseconds = 1e3 * seconds
    return f"{milliseconds:.{max(0, 2 - len(str(int(milliseconds))))}f} ms"


def _ratio(measurement: Measurement) -> str:
    if measurement.goal.time is None:
        return f"{_spread(measurement.speed)} as fast"
    return f"{_spread(measurement.time)} the time"


def _spread(spread: Spread) -> str:
    digits = 1 if spread.median >= 3 else 2
    low, high = f"{spread.low:.{digits}f}", f"{spread.high:.{digits}f}"
    return f"{spread.median:.{digits}f}x ({low} to {high})"


def _goal(measurement: Measurement) -> str:
    wanted = "; ".join(_wanted(measurement.goal))
    if measurement.reached is None:
        return wanted or _NONE
    return f"{wanted}: {'reached' if measurement.reached else 'MISSED'}"


def _wanted(goal: Goal) -> Iterator[str]:
    if goal.speed is not None:
        yield f"at least {goal.speed:g}x as fast"
    if goal.time is not None:
        yield f"at most {goal.time:g}x the time"
    if goal.memory is not None:
        yield f"at most {goal.memory:g}x the memory"
    if goal.process_bytes is not None:
        yield f"within {goal.process_bytes / 2**30:g} GiB"


def _memory(ours: int | None, theirs: int | None) -> str:
    return " / ".join(
        _NONE if side is None else f"{side / _MEBIBYTE:,.0f} MiB" for side in (ours, theirs)
    )


def _error(side: Side) -> str:
    return _NONE if side.error is None else f"{side.error:.1e}"
