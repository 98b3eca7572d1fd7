"""Recipes of other tasks than classification, from the first step to the report."""

import json

import pytest
from rich.console import Console

from gkd.hosting.host import create_host
from gkd.recipe.file import read_recipe
from gkd.report import write_report
from gkd.training.devices import Devices
from gkd.training.recipe_run import open_run

TINY = {
    "molecules": (
        ["dataset.train_graphs=40", "dataset.validation_graphs=8", "dataset.test_graphs=8"],
        "mae",
        "test MAE ↓",
    ),
    "parts": (
        [
            *("dataset.train_objects=4", "dataset.validation_objects=2", "dataset.test_objects=2"),
            *("dataset.points=24", "training.batch_size=2", "teacher.training.batch_size=2"),
            *("teacher.params.channels=[8, 8, 8]", "student.params.channels=[4, 4]"),
        ],
        "mean_iou",
        "test mean IoU, %",
    ),
}


@pytest.mark.parametrize("name", TINY)
def test_shipped_recipes_of_other_tasks_train_and_report(tmp_path, name):
    settings, metric, heading = TINY[name]
    settings = [*settings, "training.epochs=2", "teacher.training.epochs=2"]
    file = read_recipe(name, [*settings, "seeds=[0]"])
    folder = tmp_path / "run"
    run = open_run(file, create_host(), Devices("cpu"), Console(quiet=True), out=folder)
    run.train()
    results = write_report(folder)
    assert results["primary_metric"] == metric
    assert heading in (folder / "table.md").read_text()
    summary = json.loads((folder / "students" / "kd" / "seed-0" / "summary.json").read_text())
    assert summary["test"].keys() >= {metric}
    chosen = max if metric == "mean_iou" else min
    values = [row[f"validation/{metric}"] for row in summary["history"]]
    assert summary["validation"][metric] == chosen(values)
    for one in results["comparisons"]:
        gain = one["mean"] > 0 if metric == "mean_iou" else one["mean"] < 0
        assert ("did not beat" in one["verdict"]) != gain
