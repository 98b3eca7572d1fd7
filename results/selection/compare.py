"""Which epoch's network to keep: every rule of ``selection``, on the recipes beside this file.

    python results/selection/compare.py DATA

with the folder that holds ``cora.npz`` and ``minesweeper.npz``. Each network is trained once; what
each rule would keep of its epochs is tested. A student is distilled from every teacher that a rule
keeps, and kept by the same rule. Writes ``table.md`` beside this file.
"""

import sys
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from statistics import fmean, stdev
from typing import get_args

import torch
from torch import nn

from gkd.data import collate
from gkd.distillation.distiller import Distiller
from gkd.evaluation.formats import difference, metric_name, metric_value
from gkd.evaluation.metric import Metric
from gkd.evaluation.scores import Scores
from gkd.hosting.host import create_host
from gkd.recipe.file import read_recipe
from gkd.recipe.model import SelectionRule, TrainingRecipe
from gkd.report.significance import confidence_interval
from gkd.training.data_module import EpochSampler
from gkd.training.epoch_selection import Selection
from gkd.training.experiment import Experiment
from gkd.training.learning_rate import learning_rate_schedule, optimiser
from gkd.training.seeds import derived_seed, set_random_state

HERE = Path(__file__).parent
FIRST = "best, first of equals"  # as gkd did before
RULES = (*get_args(SelectionRule), FIRST)
SEEDS = range(5)
ON_FILES = ("cora", "minesweeper")
COLUMNS = ("teacher", "confidence", "calibration_error", "baseline", "kd")

Numbers = dict[str, list[float]]


def train(
    experiment: Experiment, distiller: Distiller, recipe: TrainingRecipe, seed: int
) -> dict[str, tuple[int, nn.Module]]:
    """Train a network; return by rule the epoch that it keeps, and the network of it."""
    dataset, scores = experiment.dataset, Scores(experiment.dataset, recipe.batch_size)
    moved = optimiser(distiller.parameters(), recipe)
    schedule = learning_rate_schedule(moved, recipe)
    sampler = EpochSampler(dataset, seed)
    rows, kept = [], {}
    for epoch in range(recipe.epochs):
        sampler.set_epoch(epoch)
        set_random_state(derived_seed(seed, "epoch", epoch, 0))
        distiller.train()
        distiller.epoch = epoch
        order = list(sampler)
        for start in range(0, len(order), recipe.batch_size):
            chosen = order[start : start + recipe.batch_size]
            moved.zero_grad()
            report = distiller(collate([dataset.train[index] for index in chosen]))
            report.total.backward()
            moved.step()
        schedule.step()
        found = {**scores(distiller.student, "validation"), "loss": scores.loss}
        values = {f"validation/{name}": value for name, value in found.items()}
        rows.append({"epoch": epoch, **values})
        for rule in RULES:
            if selected(rule, scores.main, rows) == epoch:
                kept[rule] = epoch, deepcopy(distiller.student).eval()
    return kept


def selected(rule: str, metric: Metric, rows: list[dict[str, float]]) -> float:
    """Return the epoch that a rule keeps."""
    if rule == FIRST:
        selection = Selection.of("best", metric)
        key = f"validation/{metric.name}"
        return max(rows, key=lambda row: selection.merit(row[key]))["epoch"]
    return Selection.of(rule, metric).epoch(rows)["epoch"]


def measure(name: str, settings: list[str]) -> tuple[Metric, Mapping[str, Numbers]]:
    """Return the main metric of a recipe, and what each rule gives for every seed."""
    host = create_host()
    numbers: dict[str, Numbers] = {
        rule: {column: [] for column in ("epoch", *COLUMNS)} for rule in RULES
    }
    with host.activated():
        whole = Experiment(read_recipe(HERE / f"{name}.toml", settings), host)
        (distilling,) = (method for method in whole.recipe.methods if method.terms)
        for seed in SEEDS:
            experiment = whole.for_seed(seed)
            scores = Scores(experiment.dataset, 64, soft_targets=True)
            main, teacher_recipe = scores.main, experiment.recipe.teacher
            assert teacher_recipe is not None
            assert teacher_recipe.training is not None
            # Another teacher for each seed, where a run of generated data has one for all.
            teacher = experiment._model(("teacher",), teacher_recipe, seed)
            teachers = train(
                experiment, experiment.task_distiller(teacher), teacher_recipe.training, seed
            )
            alone = train(
                experiment,
                experiment.task_distiller(experiment.student(seed)),
                experiment.recipe.training,
                seed,
            )
            for rule, (epoch, network) in teachers.items():
                student = experiment.distiller(distilling, experiment.student(seed), network, {})
                distilled = train(experiment, student, experiment.recipe.training, seed)
                sure = scores(network, "train")
                row = numbers[rule]
                row["epoch"].append(epoch)
                row["teacher"].append(scores(network, "test")[main.name])
                row["confidence"].append(sure.get("confidence", float("nan")))
                row["calibration_error"].append(sure.get("calibration_error", float("nan")))
                row["baseline"].append(scores(alone[rule][1], "test")[main.name])
                row["kd"].append(scores(distilled[rule][1], "test")[main.name])
            print(name, seed, flush=True)
    return main, numbers


def table(name: str, metric: Metric, numbers: Mapping[str, Numbers]) -> str:
    """Write the rows of a recipe: means over the seeds, and differences to ``best``."""
    scale = 100 if metric.share else 1
    lines = []
    for rule in RULES:
        cells = [
            name if rule == RULES[0] else "",
            f"`{rule}`",
            f"{fmean(numbers[rule]['epoch']):.0f}",
        ]
        for column in COLUMNS:
            values = numbers[rule][column]
            if column in ("confidence", "calibration_error"):
                cells.append("–" if values[0] != values[0] else f"{fmean(values):.3f}")
                continue
            cell = f"{metric_value(metric, fmean(values))} ± {metric_value(metric, stdev(values))}"
            pairs = zip(values, numbers[RULES[0]][column], strict=True)
            gaps = [scale * (one - other) for one, other in pairs]
            if rule != RULES[0]:
                ends = confidence_interval(gaps)
                words = "same" if ends is None else " to ".join(difference(metric, e) for e in ends)
                cell += f" ({difference(metric, fmean(gaps))}; {words})"
            cells.append(cell)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(data: Path, names: list[str]) -> None:
    """Measure, and write the table."""
    torch.set_num_threads(1)
    head = "| data | selection | epoch | teacher | confidence | calibration error | baseline | kd |"
    parts = [head, f"|{'---|' * 2}{'---:|' * 6}"]
    for name in names:
        settings = [f"dataset.file={data / name}.npz"] if name in ON_FILES else []
        metric, numbers = measure(name, settings)
        label = f"{name}, {metric_name(metric.name)}{' %' if metric.share else ''}"
        parts.append(table(label + (" ↓" if metric.lower_is_better else ""), metric, numbers))
        (HERE / "table.md").write_text("\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    every = [path.stem for path in sorted(HERE.glob("*.toml"))]
    main(Path(sys.argv[1]), sys.argv[2:] or every)
