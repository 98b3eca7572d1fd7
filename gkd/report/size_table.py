"""How large and how fast the networks of runs are, beside their teacher."""

from collections.abc import Callable, Sequence

from gkd.evaluation.formats import duration, mebibytes, significant
from gkd.report.comparison import Row
from gkd.report.results import Results
from gkd.report.table import NOTHING, Table, known, method_table

SIZE = "Size and speed"


def size_table(runs: Sequence[Results]) -> Table:
    """One row per method of every run; a column that says nothing anywhere is left out."""
    return method_table(
        runs,
        {
            "parameters": lambda run, row: " / ".join(f"{count:,}" for count in row.parameters),
            "times smaller": _beside_teacher(lambda row: row.compression),
            "ms per sample": lambda run, row: significant(row.milliseconds_per_sample),
            "times faster": _beside_teacher(lambda row: row.speed_up),
            "training": lambda run, row: known(row.training_seconds, duration),
            "s per epoch": lambda run, row: known(row.seconds_per_epoch, significant),
            "step memory": lambda run, row: known(row.peak_memory_bytes, mebibytes),
        },
    )


def _beside_teacher(ratio: Callable[[Row], float | None]) -> Callable[[Results, Row], str]:
    def cell(run: Results, row: Row) -> str:
        if row.network == "teacher":
            return NOTHING
        return known(ratio(row), lambda value: f"{significant(value)}×")

    return cell
