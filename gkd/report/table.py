"""The tables of one or several runs, as text cells that every output renders."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gkd.report.comparison import Comparison, Statistics
from gkd.report.formats import (
    duration,
    mebibytes,
    metric_name,
    percent,
    points,
    significant,
)
from gkd.report.results import Results
from gkd.report.rows import Row

NOTHING = "–"

Value = TypeVar("Value")


@dataclass(frozen=True)
class Table:
    """Text cells under their headings; the first ``labels`` columns say what a row is about."""

    header: list[str]
    body: list[list[str]]
    labels: int = 1

    def without(self, *names: str) -> "Table":
        """Return the table without the columns of these headings."""
        kept = [column for column, name in enumerate(self.header) if name not in names]
        return Table(
            [self.header[column] for column in kept],
            [[row[column] for column in kept] for row in self.body],
            self.labels,
        )


def comparison_table(runs: Sequence[Results]) -> Table:
    """One row per method of every run; a column that says nothing anywhere is left out."""
    columns: dict[str, Callable[[Results, Row], str]] = {
        "network": lambda run, row: row.method,
        "parameters": lambda run, row: " / ".join(f"{count:,}" for count in row.parameters),
        "size ratio": lambda run, row: _compression(row),
        "seeds": lambda run, row: str(len(row.seeds)),
        **{f"test {metric_name(name)}, %": _metric_column(name) for name in _metrics(runs)},
        "Δ to baseline, points": _difference,
        "95 % interval": _interval,
        "ms per sample": lambda run, row: significant(row.milliseconds_per_sample),
        "training": lambda run, row: _known(row.training_seconds, duration),
        "s per epoch": lambda run, row: _known(row.seconds_per_epoch, significant),
        "step memory": lambda run, row: _known(row.peak_memory_bytes, mebibytes),
    }
    body = [[cell(run, row) for cell in columns.values()] for run in runs for row in run.rows]
    return _told_apart(_without_empty(Table(list(columns), body)), runs, lambda run: len(run.rows))


def network_table(runs: Sequence[Results]) -> Table:
    """One row per trained network: nothing is averaged here."""
    metrics = _metrics(runs)
    header = ["network", "seed", "epochs", "best (from 0)", "validation, %"]
    header += [f"test {metric_name(name)}, %" for name in metrics]
    body = [
        [
            one.method,
            str(one.seed),
            _known(one.epochs, str),
            _known(one.best_epoch, str),
            _value(one.validation, run.primary_metric),
            *(_value(one.test, name) for name in metrics),
        ]
        for run in runs
        for one in run.networks
    ]
    return _told_apart(Table(header, body), runs, lambda run: len(run.networks))


def run_names(runs: Sequence[Results]) -> list[str]:
    """Name each run by its directory, with a number where two are called the same."""
    seen: Counter[str] = Counter()
    names = []
    for run in runs:
        seen[run.directory] += 1
        count = seen[run.directory]
        names.append(run.directory if count == 1 else f"{run.directory} ({count})")
    return names


def _metrics(runs: Sequence[Results]) -> list[str]:
    return list(dict.fromkeys(name for run in runs for row in run.rows for name in row.test))


def _metric_column(name: str) -> Callable[[Results, Row], str]:
    return lambda run, row: _spread(row.test[name]) if name in row.test else NOTHING


def _spread(statistics: Statistics) -> str:
    mean = percent(statistics.mean)
    return mean if statistics.std is None else f"{mean} ± {percent(statistics.std)}"


def _difference(run: Results, row: Row) -> str:
    found = _comparison(run, row)
    return NOTHING if found is None else _known(found.mean, points)


def _interval(run: Results, row: Row) -> str:
    found = _comparison(run, row)
    if found is None or found.interval is None:
        return NOTHING
    low, high = found.interval
    return f"{points(low)} to {points(high)}"


def _comparison(run: Results, row: Row) -> Comparison | None:
    if row.network == "teacher":
        return None
    return next((one for one in run.comparisons if one.method == row.method), None)


def _compression(row: Row) -> str:
    if row.network == "teacher":
        return NOTHING
    return _known(row.compression, lambda ratio: f"{significant(ratio)}×")


def _known(value: Value | None, text: Callable[[Value], str]) -> str:
    return NOTHING if value is None else text(value)


def _value(metrics: dict[str, float], name: str) -> str:
    return percent(metrics[name]) if name in metrics else NOTHING


def _without_empty(table: Table) -> Table:
    columns = zip(table.header, *table.body, strict=True)
    return table.without(*(name for name, *cells in columns if set(cells) == {NOTHING}))


def _told_apart(table: Table, runs: Sequence[Results], length: Callable[[Results], int]) -> Table:
    """Put the run in front of every row, where there are several."""
    if len(runs) == 1:
        return table
    names = [
        name for name, run in zip(run_names(runs), runs, strict=True) for _ in range(length(run))
    ]
    body = [[name, *row] for name, row in zip(names, table.body, strict=True)]
    return Table(["run", *table.header], body, table.labels + 1)
