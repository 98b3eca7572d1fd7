"""The tables of one or several runs as text cells, and the notes that belong beside them."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from statistics import fmean
from typing import TypeVar

from gkd.evaluation.formats import (
    difference,
    duration,
    metric_heading,
    metric_name,
    metric_value,
    percent,
    unit,
)
from gkd.evaluation.metric import Metric
from gkd.evaluation.soft_targets import CALIBRATION, CONFIDENCE, UNIFORM, judgement
from gkd.recipe.model import BASELINE
from gkd.report.comparison import Comparison, Row
from gkd.report.published import deviations
from gkd.report.reaching import Reached
from gkd.report.results import Results
from gkd.report.significance import LEVEL
from gkd.report.term_gradients import term_states

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
    """How good the methods of every run are, a row for each, the scores first.

    A column that says nothing anywhere is left out; of metrics that agree in every row, as both
    kinds of accuracy do where classes are equally frequent, one column stands for all.
    """
    units = " or ".join(dict.fromkeys(unit(run.primary) for run in runs))
    return method_table(
        runs,
        {
            **_metric_columns(runs),
            **_published_columns(runs),
            f"Δ to baseline, {units}": lambda run, row: _compared(
                run, row, lambda one: known(one.mean, lambda mean: difference(run.primary, mean))
            ),
            "95 % interval": lambda run, row: _compared(
                run,
                row,
                lambda one: known(
                    one.interval,
                    lambda ends: " to ".join(difference(run.primary, end) for end in ends),
                ),
            ),
            "seeds": lambda run, row: str(len(row.seeds)),
            "as the teacher, %": lambda run, row: known(row.agreement, percent),
            "calibration error": lambda run, row: known(
                row.calibration_error, lambda error: f"{error:.3f}"
            ),
            "as good as the baseline after": lambda run, row: (
                NOTHING
                if row.network == "teacher"
                else known(run.reached.get(row.method), _reached_in_words)
            ),
        },
    )


def method_table(
    runs: Sequence[Results], columns: Mapping[str, Callable[[Results, Row], str]]
) -> Table:
    """One row per method of every run; a column that says nothing anywhere is left out.

    Args:
        runs: Whose methods.
        columns: What to write of a method, by heading; the first is its name.
    """
    named = {"network": lambda run, row: row.method, **columns}
    body = [[cell(run, row) for cell in named.values()] for run in runs for row in run.rows]
    cells = zip(named, *body, strict=True)
    empty = [name for name, *texts in cells if set(texts) == {NOTHING}]
    table = Table(list(named), body).without(*empty)
    return _with_names(table, runs, [len(run.rows) for run in runs])


def network_table(runs: Sequence[Results]) -> Table:
    """One row per trained network: nothing is averaged here."""
    metrics = _metrics(runs)
    shares = all(run.primary.share for run in runs)
    header = ["network", "seed", "epochs", "best epoch", f"validation{', %' if shares else ''}"]
    header += [f"test {metric_heading(metric)}" for metric in metrics]
    body = [
        [
            one.method,
            str(one.seed),
            known(one.epochs, str),
            known(one.best_epoch, str),
            _value(one.validation, run.primary),
            *(_value(one.test, metric) for metric in metrics),
        ]
        for run in runs
        for one in run.networks
    ]
    return _with_names(Table(header, body), runs, [len(run.networks) for run in runs])


def run_names(runs: Sequence[Results]) -> list[str]:
    """Name each run by its directory, with a number where two are called the same."""
    seen: Counter[str] = Counter()
    names = []
    for run in runs:
        seen[run.directory] += 1
        count = seen[run.directory]
        names.append(run.directory if count == 1 else f"{run.directory} ({count})")
    return names


def verdicts(run: Results) -> list[str]:
    """One sentence per method, with what it rests on."""
    sentences = ((one.verdict, detail(run, one)) for one in run.comparisons)
    return [" ".join(filter(None, pair)) for pair in sentences]


def detail(run: Results, one: Comparison) -> str:
    """Say what a verdict rests on: seeds, power, an exact test, the gradients of the terms."""
    found = []
    if len(one.differences) > 1:
        values = one.differences.items()
        each = (f"{seed}: {difference(run.primary, value)}" for seed, value in values)
        found.append(f"Per seed: {', '.join(each)}.")
    if one.smallest_gain is not None:
        gain = difference(run.primary, one.smallest_gain).lstrip("+")
        found.append(
            f"With as many seeds, a gain of {gain} {unit(run.primary)} is seen four times in five."
        )
    if one.sign_flip_p is not None:
        found.append(f"Exact sign-flip test: p = {one.sign_flip_p:.2g}.")
        least = 2 ** (1 - len(one.differences))
        if least > LEVEL:
            found.append(f"It cannot be below {least:.2g} with {len(one.differences)} seeds.")
    found += term_states([each for each in run.networks if each.method == one.method])
    return " ".join(found)


def gaps(run: Results) -> list[str]:
    """Sentences on what is missing, unpaired or not a number, and on targets that teach nothing."""
    found = [*weak_teacher(run), *soft_targets(run), *run.foreign]
    if run.missing:
        found.append(f"This run is not finished; missing: {', '.join(run.missing)}.")
    for one in run.comparisons:
        if one.unpaired and one.differences:
            seeds = ", ".join(map(str, one.unpaired))
            found.append(
                f"{one.method}: left out of the difference, as only it or the baseline was "
                f"trained with them: seeds {seeds}."
            )
    for row in run.rows:
        for name, statistics in row.test.items():
            finite = {seed: one for seed, one in statistics.values.items() if math.isfinite(one)}
            broken = [str(seed) for seed in statistics.values if seed not in finite]
            metric = run.metric(name)
            whole = [f"{metric_value(metric, one)} (seed {seed})" for seed, one in finite.items()]
            if broken:
                others = f" The others: {', '.join(whole)}." if whole else ""
                found.append(
                    f"{row.method}: test {metric_name(name)} is not a number for seed "
                    f"{', '.join(broken)}, so there is no mean.{others}"
                )
    return found


def weak_teacher(run: Results) -> list[str]:
    """One sentence where the teacher is worse than the student is without it."""
    rows = {row.method: row for row in run.rows if run.primary_metric in row.test}
    teacher = next((row for row in rows.values() if row.network == "teacher"), None)
    if teacher is None or BASELINE not in rows:
        return []
    metric, baseline = run.primary, rows[BASELINE]
    reached, without = (row.test[metric.name].mean for row in (teacher, baseline))
    if not (reached > without if metric.lower_is_better else reached < without):
        return []
    percent_sign = " %" if metric.share else ""
    mean = f", the mean over {len(baseline.seeds)} seeds" if len(baseline.seeds) > 1 else ""
    return [
        f"The teacher is worse than the baseline: test {metric_name(metric.name)} "
        f"{metric_value(metric, reached)}{percent_sign} against "
        f"{metric_value(metric, without)}{percent_sign}{mean}. Distilling from it can hardly help; "
        "train it for longer, or take a larger one."
    ]


def soft_targets(run: Results) -> list[str]:
    """One sentence per teacher whose soft targets teach hardly anything."""
    teachers = [one for one in run.networks if one.network == "teacher"]
    found = []
    for one in teachers:
        whose = "the teacher" if len(teachers) == 1 else f"the teacher of seed {one.seed}"
        if warning := judgement(one.training):
            found.append(f"On the training rows, soft targets of {whose} are {warning}.")
    return found


def taught(run: Results) -> str:
    """Write what the teachers are like on the training rows, the mean over them."""
    teachers = [one.training for one in run.networks if one.network == "teacher" and one.training]
    if not teachers:
        return ""

    def mean(name: str) -> float:
        return fmean(one.get(name, math.nan) for one in teachers)

    unit = " %" if run.primary.share else ""
    value = metric_value(run.primary, mean(run.primary_metric))
    words = [f"{metric_name(run.primary_metric)} {value}{unit}"]
    if CONFIDENCE in teachers[0]:
        guess = mean(UNIFORM)
        words += [f"mean largest probability {mean(CONFIDENCE):.3f} (a guess: {guess:.3f})"]
        if math.isfinite(error := mean(CALIBRATION)):  # there is none where no answer is known
            words += [f"expected calibration error {error:.3f}"]
    return ", ".join(words)


def otherwise(runs: Sequence[Results]) -> list[tuple[str, str]]:
    """Label and text of what was done otherwise than by whom published numbers stand in the table.

    Of several runs, the label has the run's name.
    """
    names = run_names(runs) if len(runs) > 1 else [""]
    return [
        (f"{label} ({name})" if name else label, text)
        for run, name in zip(runs, names, strict=True)
        for label, text in deviations(run)
    ]


def protocol(run: Results) -> list[tuple[str, str]]:
    """Label and text of everything that says how the numbers came about."""
    entries = list(run.protocol.items())
    if words := taught(run):
        entries.append(("teacher on the training rows", words))
    if run.hardware:
        entries.append(("hardware", flat(run.hardware)))
    if run.versions:
        entries.append(("versions", flat(run.versions)))
    return entries


def flat(value: object) -> str:
    """Write a JSON value in one line.

    >>> flat({"cpu": "x", "cores": 2})
    'cpu x, cores 2'
    """
    if isinstance(value, dict):
        return ", ".join(
            f"{key} {flat(inner)}" for key, inner in value.items() if inner is not None
        )
    if isinstance(value, list):
        return ", ".join(flat(inner) for inner in value)
    return str(value)


def _metrics(runs: Sequence[Results]) -> list[Metric]:
    names = (run.metric(name) for run in runs for row in run.rows for name in row.test)
    return list({metric.name: metric for metric in names}.values())


def _metric_columns(runs: Sequence[Results]) -> dict[str, Callable[[Results, Row], str]]:
    """One column for each metric, or for several that are the same in every row."""
    rows = [row for run in runs for row in run.rows]
    groups: dict[tuple[object, ...], list[Metric]] = {}
    for metric in _metrics(runs):
        # Means that differ by rounding are written alike.
        values = tuple(
            round(row.test[metric.name].mean, 6) if metric.name in row.test else math.nan
            for row in rows
        )
        # A value that is not a number, or there is none of, is like no other.
        alike = metric.share and all(map(math.isfinite, values))
        groups.setdefault(values if alike else (metric.name,), []).append(metric)
    spread = any(one.std is not None for row in rows for one in row.test.values())
    columns = {}
    for metrics in groups.values():
        names = " = ".join(metric_name(metric.name) for metric in metrics[1:])
        heading = f"test {metric_heading(metrics[0])}"
        heading = heading.replace(",", f" = {names},", 1) if names else heading
        columns[heading + (" ± s.d." if spread else "")] = _metric_column(metrics[0])
    return columns


def _metric_column(metric: Metric) -> Callable[[Results, Row], str]:
    def cell(run: Results, row: Row) -> str:
        if metric.name not in row.test:
            return NOTHING
        found = row.test[metric.name]
        mean = metric_value(metric, found.mean)
        return mean if found.std is None else f"{mean} ± {metric_value(metric, found.std)}"

    return cell


def _published_columns(runs: Sequence[Results]) -> dict[str, Callable[[Results, Row], str]]:
    sources = dict.fromkeys(one.source for run in runs for one in run.published)
    percent_sign = ", %" if all(run.primary.share for run in runs) else ""
    return {f"{source}{percent_sign}": _published_column(source) for source in sources}


def _published_column(source: str) -> Callable[[Results, Row], str]:
    def cell(run: Results, row: Row) -> str:
        found = [one.test for one in run.published if one.source == source]
        value = found[0].get(row.method) if found else None
        return known(value, lambda value: f"{value:g}")

    return cell


def _compared(run: Results, row: Row, text: Callable[[Comparison], str]) -> str:
    """Text about the comparison of a student with the baseline, where there is one."""
    if row.network != "teacher":
        for one in run.comparisons:
            if one.method == row.method:
                return text(one)
    return NOTHING


def _reached_in_words(reached: Reached) -> str:
    seeds = []
    if 0 < reached.seeds < reached.of:
        seeds.append(f"{reached.seeds} of {reached.of} seeds")
    if reached.unknown:
        seeds.append(f"{reached.unknown} seed{'s' if reached.unknown > 1 else ''} not known")
    some = f" ({', '.join(seeds)})" if seeds else ""
    if reached.epochs is None or reached.seconds is None:
        return f"never{some}"
    time = "" if math.isnan(reached.seconds) else f", {duration(reached.seconds)}"
    epochs = f"{reached.epochs:.3g}"
    return f"{epochs} epoch{'' if epochs == '1' else 's'}{time}{some}"


def known(value: Value | None, text: Callable[[Value], str]) -> str:
    """Write what is known, and a dash for what is not."""
    return NOTHING if value is None else text(value)


def _value(values: dict[str, float], metric: Metric) -> str:
    return metric_value(metric, values[metric.name]) if metric.name in values else NOTHING


def _with_names(table: Table, runs: Sequence[Results], lengths: Sequence[int]) -> Table:
    """Put the run in front of its rows, where there are several."""
    if len(runs) == 1:
        return table
    names = chain.from_iterable(map(repeat, run_names(runs), lengths))
    body = [[name, *row] for name, row in zip(names, table.body, strict=True)]
    return Table(["run", *table.header], body, table.labels + 1)
