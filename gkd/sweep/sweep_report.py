"""What a sweep leaves: ``trials.json``, ``best.toml``, ``table.md`` and ``report.html``."""

import shlex
from pathlib import Path

from gkd.evaluation.formats import difference, duration, metric_heading, metric_value, unit
from gkd.files import write_json, write_text
from gkd.recipe.domain import label
from gkd.report.html import render
from gkd.report.outputs import escaped, markdown_table
from gkd.report.style import svg
from gkd.report.table import NOTHING, Table
from gkd.report.terminal import print_one, wide_console
from gkd.sweep.outcome import MethodOutcome, Outcome, TrialRecord, toml_of
from gkd.sweep.sweep_directory import SweepDirectory
from gkd.sweep.sweep_figures import space_figure
from gkd.training.run_directory import WEIGHTS

TRIALS, BEST, TABLE, PAGE = "trials.json", "best.toml", "table.md", "report.html"

_CAPTION = (
    "Validation {metric} of every trial against its values, the mean over the seeds of the search. "
    "A ring is the best trial of a method; a hollow mark is a trial that was pruned, at the value "
    "that it was left with."
)


def write_outcome(outcome: Outcome, folder: Path) -> None:
    """Write the files of a sweep, finished or not, into its folder."""
    write_json(folder / TRIALS, outcome.as_json())
    write_text(folder / BEST, toml_of(outcome))
    write_text(folder / TABLE, _markdown(outcome))
    write_text(folder / PAGE, _page(outcome, folder))


def print_outcome(outcome: Outcome, folder: Path) -> None:
    """Print the best trials, and how to go on."""
    console = wide_console()

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    print_one(f"{outcome.title}: best trials on validation data", best_table(outcome), console)
    say("")
    for note in outcome.notes():
        say(note)
    for one in outcome.methods:
        if not one.finished:
            say(f"{one.method}: trials are still in other processes; --resume writes this again")
    say(f"report: {folder / PAGE}")
    best, own_teacher = outcome.best_recipe().recipe.teacher, outcome.file.recipe.teacher
    teacher = SweepDirectory(folder).teacher_like(best, own_teacher) / WEIGHTS
    own = [] if not teacher.is_file() else ["--set", f"teacher.weights={teacher.resolve()}"]
    command = shlex.join(["gkd", "run", str(folder / BEST), *own])
    say(f"train the best with the recipe's seeds:\n  {command}")


def best_table(outcome: Outcome) -> Table:
    """One row per method: its best trial, and what the recipe's own values gave."""
    header = [
        "method",
        "trials",
        "pruned",
        f"validation {metric_heading(outcome.metric)}",
        f"Δ to the recipe's own, {unit(outcome.metric)}",
        "best trial",
        "its values",
    ]
    return Table(header, [_best_row(outcome, one) for one in outcome.methods])


def trial_table(outcome: Outcome, one: MethodOutcome) -> Table:
    """One row per trial of a method."""
    keys = [dimension.key for dimension in one.space.dimensions]
    header = [
        "trial",
        *keys,
        *(f"seed {seed}" for seed in outcome.seeds),
        f"validation {metric_heading(outcome.metric)}",
        "state",
        "time",
    ]
    return Table(header, [_trial_row(outcome, trial, keys) for trial in one.trials])


def _best_row(outcome: Outcome, one: MethodOutcome) -> list[str]:
    best, own, value, gain = one.best, one.trials[0].value if one.trials else None, NOTHING, NOTHING
    if best is not None and best.value is not None:
        value = metric_value(outcome.metric, best.value)
        if own is not None:
            scale = 100 if outcome.metric.share else 1
            gain = difference(outcome.metric, scale * (best.value - own))
    return [
        one.method,
        f"{len(one.trials) - one.count('running')} of {one.budget}",
        str(one.count("pruned")),
        value,
        gain,
        NOTHING if best is None else str(best.number),
        ", ".join(
            f"{dimension.key} = {_value(best, dimension.key)}" for dimension in one.space.dimensions
        )
        or NOTHING,
    ]


def _trial_row(outcome: Outcome, trial: TrialRecord, keys: list[str]) -> list[str]:
    seeds = (trial.seeds.get(str(seed)) for seed in outcome.seeds)
    return [
        str(trial.number),
        *(_value(trial, key) for key in keys),
        *(NOTHING if one is None else metric_value(outcome.metric, one) for one in seeds),
        NOTHING if trial.value is None else metric_value(outcome.metric, trial.value),
        trial.state if trial.error is None else f"{trial.state}: {trial.error}",
        NOTHING if trial.seconds is None else duration(trial.seconds),
    ]


def _value(trial: TrialRecord | None, key: str) -> str:
    if trial is None or key not in trial.values:
        return NOTHING
    value = trial.values[key]
    return f"{value:.4g}" if isinstance(value, float) else label(value)


def _protocol(outcome: Outcome) -> list[tuple[str, str]]:
    sweep = outcome.file.recipe.sweep
    assert sweep is not None
    return [
        ("objective", f"validation {metric_heading(outcome.metric)}, mean over the seeds"),
        ("seeds of the search", ", ".join(map(str, outcome.seeds))),
        ("seeds of the verdict", ", ".join(map(str, outcome.file.recipe.seeds))),
        ("test data", "not looked at"),
        (
            "search",
            f"Gaussian process, seed {sweep.seed}; the first trial has the recipe's own values",
        ),
        ("pruning", "below the median, after a third of the epochs" if sweep.pruning else "none"),
        *((key, text) for key, text in _domains(outcome).items()),
    ]


def _domains(outcome: Outcome) -> dict[str, str]:
    return {d.key: str(d.domain) for one in outcome.methods for d in one.space.dimensions}


def _markdown(outcome: Outcome) -> str:
    parts = [
        f"# {escaped(outcome.title)}",
        markdown_table(best_table(outcome)),
        "\n".join(f"- {escaped(note)}" for note in outcome.notes()),
        "\n".join(f"* **{escaped(key)}**: {escaped(text)}" for key, text in _protocol(outcome)),
    ]
    for one in outcome.methods:
        parts += [f"## {escaped(one.method)}", markdown_table(trial_table(outcome, one))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _page(outcome: Outcome, folder: Path) -> str:
    figure, drawings = space_figure(outcome), []
    if figure is not None:
        caption = _CAPTION.format(metric=metric_heading(outcome.metric))
        drawings.append((svg(figure, "space", caption), caption))
    return render(
        "sweep_page.html",
        kicker=f"Sweep {folder.name}",
        title=outcome.title,
        best=best_table(outcome),
        notes=list(outcome.notes()),
        drawings=drawings,
        protocol=_protocol(outcome),
        every=[(one.method, trial_table(outcome, one)) for one in outcome.methods],
        recipe=toml_of(outcome),
    )
