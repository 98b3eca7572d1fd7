"""What the networks of a run cost, beside what somebody published of theirs."""

from collections.abc import Callable
from typing import Any

from gkd.evaluation.formats import mebibytes, significant
from gkd.recipe.model import BASELINE
from gkd.recipe.sections import PublishedCost
from gkd.report.comparison import Row
from gkd.report.results import Results
from gkd.report.table import NOTHING, Table

# Heading, where our number is, how it is written, heading and place of the published one.
_QUANTITIES: tuple[tuple[str, str, Callable[[Any], str], str, str], ...] = (
    ("ms per sample", "milliseconds_per_sample", significant, "ms", "milliseconds"),
    ("s per epoch", "seconds_per_epoch", significant, "training s", "seconds"),
    ("step memory", "peak_memory_bytes", mebibytes, "GB", "gigabytes"),
)


def cost_table(run: Results) -> Table | None:
    """One row per method, every cost beside the published one; None where nobody published any.

    Seconds and bytes of two machines do not compare. What a method costs beside the baseline, on
    the same machine, does, and stands beside both.
    """
    published = next((one for one in run.published if one.costs), None)
    if published is None or not run.rows:
        return None
    theirs = published.costs
    columns = [
        ("network", [row.method for row in run.rows]),
        ("parameters", [" / ".join(f"{count:,}" for count in row.parameters) for row in run.rows]),
        ("there", [_cost(theirs, row).parameters or NOTHING for row in run.rows]),
    ]
    ours_of_baseline = next((row for row in run.rows if row.method == BASELINE), None)
    for heading, place, text, unit, key in _QUANTITIES:
        ours = [getattr(row, place) for row in run.rows]
        others = [getattr(_cost(theirs, row), key) for row in run.rows]
        base = getattr(ours_of_baseline, place, None)
        their_base = getattr(theirs.get(BASELINE), key, None)
        columns += [
            (heading, [_written(value, text) for value in ours]),
            ("/ baseline", [_written(_ratio(value, base), _times) for value in ours]),
            (f"{unit} there", [_written(value, significant) for value in others]),
            ("/ baseline there", [_written(_ratio(value, their_base), _times) for value in others]),
        ]
    shown = [(heading, cells) for heading, cells in columns if set(cells) != {NOTHING}]
    body = [list(row) for row in zip(*(cells for _, cells in shown), strict=True)]
    return Table([heading for heading, _ in shown], body)


def cost_title(run: Results) -> str:
    """Say whose costs stand beside ours, and what they were measured on."""
    source = next(one for one in run.published if one.costs)
    on = f", measured on a {source.machine}" if source.machine else ""
    return f"Costs; there: {source.source}{on}"


def _cost(costs: dict[str, PublishedCost], row: Row) -> PublishedCost:
    return costs.get(row.method, PublishedCost())


def _ratio(value: float | None, base: float | None) -> float | None:
    return None if value is None or not base else value / base


def _written(value: Any, text: Callable[[Any], str]) -> str:
    return NOTHING if value is None else text(value)


def _times(ratio: float) -> str:
    return f"{ratio:.2f}×"
