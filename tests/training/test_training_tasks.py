"""Recipes of other tasks than classification, from the first step to the report."""

import json

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from tiny_plugin import RECIPE, TinyPlugin
from torchmetrics import MeanMetric, MetricCollection

import gkd
from gkd.hosting.host import create_host
from gkd.recipe.file import read_recipe
from gkd.report import write_report
from gkd.training.devices import Devices
from gkd.training.experiment import Experiment
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
        assert ("lower is better" in one["verdict"]) != (metric == "mean_iou")
        assert "no evidence" in one["verdict"]


def test_links_between_embeddings_are_learned_the_same_each_time(tmp_path):
    settings = [
        *("task=link-prediction", "seeds=[0]", "training.epochs=2", "teacher.training.epochs=1"),
        *("dataset.nodes=30", "dataset.train_graphs=3", "dataset.validation_graphs=1"),
        *("dataset.test_graphs=1", "dataset.degree=4", "dataset.classes=8"),
        'methods=[{name="lsp", terms=[{loss="lsp", student="layers.1", teacher="layers.1"}]}]',
    ]
    weights = []
    for name in ("one", "other"):
        file = read_recipe("communities", settings)
        run = open_run(
            file, create_host(), Devices("cpu"), Console(quiet=True), out=tmp_path / name
        )
        run.train()
        weights.append(load_file(run.directory.student("lsp", 0) / "weights.safetensors"))
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())
    results = write_report(tmp_path / "one")
    assert results["primary_metric"] == "roc_auc"
    assert {"hits@10", "mrr", "average_precision"} <= results["rows"][0]["test"].keys()


class Halved(gkd.Task):
    """Half the cross entropy, told by the share of errors: a third party's task."""

    likelihood = "softmax"
    metric = "errors"

    def __init__(self, factor: float = 0.5) -> None:
        self.factor = factor

    def loss(self, outputs, y):
        return self.factor * torch.nn.functional.cross_entropy(outputs, y)

    def check(self, outputs, y):
        if len(outputs) != len(y):
            raise gkd.DataError("lengths differ")

    def metrics(self, num_classes):
        return MetricCollection({"errors": Errors()})


class Errors(MeanMetric):
    """Share of rows whose largest logit is another's."""

    higher_is_better = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def update(self, outputs, y):
        super().update((outputs.argmax(1) != y).float())


class ThirdParty:
    @gkd.hookimpl
    def gkd_tasks(self):
        return {"halved": Halved}


@pytest.mark.parametrize("task", ['"halved"', '{ name = "halved", factor = 0.25 }'])
def test_a_recipe_may_name_a_third_party_s_task(tmp_path, task):
    host = create_host()
    host.register(TinyPlugin())
    host.register(ThirdParty())
    path = tmp_path / "tiny.toml"
    kd = '[[methods]]\nname = "kd"\nterms = [{ loss = "kd" }]\n'
    path.write_text(f"task = {task}\n{RECIPE}{kd}")
    file = read_recipe(path, ["seeds=[0]"])
    run = open_run(file, host, Devices("cpu"), Console(quiet=True), out=tmp_path / "run")
    run.train()
    results = write_report(tmp_path / "run")
    assert results["primary_metric"] == "errors"
    baseline = run.directory.student("baseline", 0)
    found = json.loads((baseline / "summary.json").read_text())
    values = [row["validation/errors"] for row in found["history"] if "validation/errors" in row]
    assert found["validation"]["errors"] == min(values)
    assert "test errors, % ↓" in (tmp_path / "run" / "table.md").read_text()
    assert "kd" in {one["method"] for one in results["comparisons"]}


class Levels(gkd.Task):
    """A logit for each threshold, that the level, a whole number, is above it."""

    likelihood = "sigmoid"
    metric = "off"

    def loss(self, outputs, y):
        above = (y[:, None] > torch.arange(outputs.shape[1])).to(outputs.dtype)
        return torch.nn.functional.binary_cross_entropy_with_logits(outputs, above)

    def check(self, outputs, y):
        assert y.shape == outputs.shape[:1]

    def metrics(self, num_classes):
        return MetricCollection({"off": Off(), "never": Never()})


class Off(MeanMetric):
    higher_is_better = False

    def update(self, outputs, y):
        super().update(((outputs > 0).sum(1) - y).abs().float())


class Never(MeanMetric):
    higher_is_better = True

    def update(self, outputs, y):
        pass

    def compute(self):
        return torch.tensor(torch.nan)


class Ordinal:
    @gkd.hookimpl
    def gkd_tasks(self):
        return {"levels": Levels}


def test_labels_that_are_no_answers_and_metrics_without_a_value_leave_a_run_whole(tmp_path):
    host = create_host()
    host.register(TinyPlugin())
    host.register(Ordinal())
    path = tmp_path / "tiny.toml"
    path.write_text(f'task = "levels"\n{RECIPE}')
    file = read_recipe(path, ["seeds=[0]"])
    run = open_run(file, host, Devices("cpu"), Console(quiet=True), out=tmp_path / "run")
    run.train()
    found = json.loads((run.directory.student("baseline", 0) / "summary.json").read_text())
    assert found["test"]["off"] >= 0
    assert found["test"]["never"] is None
    assert found["certainty"]["calibration_error"] is None
    assert write_report(tmp_path / "run")["primary_metric"] == "off"
    table = (tmp_path / "run" / "table.md").read_text()
    assert "mean largest probability" in table
    assert "calibration" not in table


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ('"singel-label"', r"tiny.toml:1: task: no task is called 'singel-label'; did you mean"),
        ('{ name = "multilabel" }', r"tiny.toml:1: task.name: no task is called 'multilabel'"),
        ('{ name = "single-label", metrik = "x" }', r"tiny.toml:1: task: .*did you mean 'metric'"),
        ("3", r"tiny.toml:1: task: should be the name of a task"),
    ],
)
def test_a_wrong_task_is_said_to_be_where_it_is(tmp_path, task, message):
    path = tmp_path / "tiny.toml"
    path.write_text(f"task = {task}\n{RECIPE}")
    host = create_host(discover=False)
    host.register(TinyPlugin())

    def read() -> None:
        file = read_recipe(path)
        file.check_components(host)
        with host.activated():
            Experiment(file, host)

    with pytest.raises(gkd.RecipeError, match=message):
        read()
