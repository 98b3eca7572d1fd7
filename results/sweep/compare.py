"""Whether a sweep finds the best point of a full grid with a third of its trials.

    python results/sweep/compare.py shapes FOLDER
    python results/sweep/compare.py cora FOLDER dataset.file=DATA/cora.npz
    python results/sweep/compare.py cora

A grid is the space of a recipe beside this file: every point of it, trained without pruning, by
``gkd sweep`` in FOLDER, which is gone on with where it is there. Its values are written to
``NAME.json``. What a search would see of them is then known without training: searches of many
seeds are replayed on these values, each with a third of the grid's trials, and ``NAME.md`` says how
often they come to the best point. Without a FOLDER they are replayed on the values that are there.
With one, a further sweep of as many trials trains, and prunes, by itself. All look at validation
data alone, with the same seeds of training and the same teacher.

The best of many noisy values is partly luck. So the points that searches end at, the grid's best
among them, are trained once more with seeds that no search has seen, and compared on validation
data, too.
"""

import json
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
import tomlkit
import torch
from rich.console import Console

from gkd.evaluation.formats import difference, metric_heading, metric_value
from gkd.evaluation.metric import Metric
from gkd.hosting.host import create_host
from gkd.recipe.file import read_recipe
from gkd.report.outputs import markdown_table
from gkd.report.table import Table
from gkd.sweep.outcome import MethodOutcome, Outcome
from gkd.sweep.sampler import Sampler
from gkd.sweep.space import Space, spaces, with_values
from gkd.sweep.study import suggest, values_of
from gkd.sweep.sweep_report import write_outcome
from gkd.sweep.sweep_run import open_sweep
from gkd.training.devices import Devices
from gkd.training.executor import Serial
from gkd.training.network_training import SUMMARY
from gkd.training.recipe_run import open_run

HERE = Path(__file__).parent
SEARCHES = range(50)
RANDOM_SEARCHES = range(10_000)
FRESH = range(200, 206)


def swept(name: str, folder: Path, settings: Sequence[str]) -> Outcome:
    """Sweep the recipe, or go on to."""
    run = open_sweep(
        read_recipe(HERE / f"{name}.toml", settings),
        create_host(),
        Devices("cpu"),
        Console(),
        Serial(),
        out=folder,
        resume=folder.exists(),
    )
    found = run.search()
    write_outcome(found, folder)
    return found


def distilled(found: Outcome) -> MethodOutcome:
    """Return what was found for the method that distils."""
    return next(one for one in found.methods if one.method != "baseline")


def trained(name: str, folder: Path, settings: Sequence[str]) -> None:
    """Train the grid and a sweep beside it, and write what they found."""
    grid = swept(name, folder / "grid", [*settings, "sweep.pruning=false"])
    whole = distilled(grid)
    teacher = f"teacher.weights={folder / 'grid' / 'teacher' / 'weights.safetensors'}"
    fewer = [f"sweep.trials={len(whole.trials) // 3}", teacher]
    pruned = distilled(swept(name, folder / "sweep", [*settings, *fewer]))
    assert pruned.best is not None
    content = {
        "metric": asdict(grid.metric),
        "method": whole.method,
        "grid": [{"values": one.values, "value": one.value} for one in whole.trials],
        "sweep": {
            "trials": len(pruned.trials),
            "pruned": pruned.count("pruned"),
            "value": pruned.best.value,
            "values": pruned.best.values,
        },
    }
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (HERE / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def replayed(
    space: Space, seed: int, values: dict[str, float], budget: int, metric: Metric
) -> dict[str, Any]:
    """Search on the grid's values, and return the best point of those that are seen."""
    direction = "minimize" if metric.lower_is_better else "maximize"
    study = optuna.create_study(direction=direction, sampler=Sampler(space, seed))
    for _ in range(budget):
        trial = study.ask()
        for one in space.dimensions:
            suggest(trial, one)
        study.tell(trial, values[key(values_of(space, trial.params))])
    return values_of(space, study.best_trial.params)


def endings(name: str, content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the point that each search ends at."""
    values = {key(one["values"]): one["value"] for one in content["grid"]}
    file, metric = read_recipe(HERE / f"{name}.toml"), Metric(**content["metric"])
    (space,) = (one for one in spaces(file, create_host()) if one.method == content["method"])
    return [replayed(space, seed, values, len(values) // 3, metric) for seed in SEARCHES]


def once_more(name: str, folder: Path, settings: Sequence[str]) -> None:
    """Train the points that searches end at with fresh seeds, and add what they come to."""
    content = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    metric = Metric(**content["metric"])
    better = min if metric.lower_is_better else max
    best = better(content["grid"], key=lambda one: one["value"])["values"]
    points = list({key(one): one for one in [best, *endings(name, content)]}.values())
    file = read_recipe(HERE / f"{name}.toml", settings)
    (space,) = (one for one in spaces(file, create_host()) if one.method == content["method"])
    data = file.recipe.model_dump(exclude_none=True, exclude={"sweep", "methods"})
    methods = []
    for number, point in enumerate(points):
        values = {one: point[one.key] for one in space.dimensions}
        changed = with_values(file, values).recipe
        (method,) = (one for one in changed.methods if one.name == content["method"])
        methods.append(method.model_dump(exclude_none=True) | {"name": f"point-{number}"})
    data |= {"seeds": list(FRESH), "methods": methods}
    weights = folder / "grid" / "teacher" / "weights.safetensors"
    data["teacher"] |= {"weights": str(weights.resolve())}
    place, recipe = folder / "once-more", folder / "once-more.toml"
    recipe.write_text(tomlkit.dumps(data), encoding="utf-8")
    run = open_run(
        read_recipe(recipe),
        create_host(),
        Devices("cpu"),
        Console(),
        out=place,
        resume=place.exists(),
    )
    run.train()
    content["fresh"] = [
        {
            "values": point,
            "found": [
                json.loads((run.directory.student(f"point-{number}", seed) / SUMMARY).read_text())[
                    "validation"
                ][metric.name]
                for seed in FRESH
            ],
        }
        for number, point in enumerate(points)
    ]
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (HERE / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def key(point: dict[str, Any]) -> str:
    """Return a point's values as one text."""
    return json.dumps(point, sort_keys=True)


def compared(name: str) -> str:
    """Replay searches on what is known of the grid, and write the table."""
    content = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    metric = Metric(**content["metric"])
    values = {key(one["values"]): one["value"] for one in content["grid"]}
    budget, better = len(values) // 3, min if metric.lower_is_better else max
    best = better(values.values())
    ends = endings(name, content)
    searched = [values[key(point)] for point in ends]
    draw, numbers = random.Random(0), list(values.values())
    drawn = [better(draw.sample(numbers, budget)) for _ in RANDOM_SEARCHES]
    scale = 100 if metric.share else 1

    def row(what: str, trials: int, found: Sequence[float]) -> list[str]:
        gaps = sorted((scale * abs(one - best) for one in found), reverse=True)
        reached = sum(gap == 0 for gap in gaps)
        return [
            what,
            str(trials),
            f"{reached:,} of {len(gaps):,}" if len(gaps) > 1 else ("yes" if reached else "no"),
            *(difference(metric, -gap) for gap in (fmean(gaps), gaps[len(gaps) // 10], gaps[0])),
        ]

    sweep = content["sweep"]
    header = ["search", "trials", "best point found", "mean gap", "tenth worst", "worst"]
    body = [
        row("grid", len(values), [best]),
        row(f"gkd sweep, replayed, seeds 0 to {SEARCHES[-1]}", budget, searched),
        row(f"gkd sweep, trained, {sweep['pruned']} pruned", sweep["trials"], [sweep["value"]]),
        row("random points, without repetition", budget, drawn),
    ]
    best_at = next(one["values"] for one in content["grid"] if one["value"] == best)
    spread = sorted(numbers, reverse=not metric.lower_is_better)
    words = (
        f"Validation {metric_heading(metric)}: best {metric_value(metric, best)} at "
        f"{', '.join(f'{name} = {value:g}' for name, value in best_at.items())}; next "
        f"{', '.join(metric_value(metric, one) for one in spread[1:4])}; median "
        f"{metric_value(metric, spread[len(spread) // 2])}. Gaps to the best in points."
    )
    title = read_recipe(HERE / f"{name}.toml").recipe.title
    parts = [f"# {title}", words, markdown_table(Table(header, body))]
    if "fresh" in content:
        parts += [
            f"The points that searches end at, trained once more with the seeds {FRESH[0]} to "
            f"{FRESH[-1]}:",
            markdown_table(
                Table(
                    ["point", "searches that end there", "in the grid", "mean", "by seed"],
                    [
                        [
                            ", ".join(f"{value:g}" for value in one["values"].values()),
                            str(sum(point == one["values"] for point in ends)),
                            metric_value(metric, values[key(one["values"])]),
                            metric_value(metric, fmean(one["found"])),
                            ", ".join(metric_value(metric, value) for value in one["found"]),
                        ]
                        for one in content["fresh"]
                    ],
                )
            ),
        ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    recipe, *more = sys.argv[1:]
    if more:
        trained(recipe, Path(more[0]), more[1:])
        once_more(recipe, Path(more[0]), more[1:])
    (HERE / f"{recipe}.md").write_text(compared(recipe), encoding="utf-8")
