"""A recipe whose dataset splits the rows of one graph."""

import json

import pytest
import torch
from safetensors.torch import load_file
from tiny_plugin import Perceptron

from gkd import AbstractDataset, Sample, hookimpl
from gkd.errors import RecipeError
from gkd.report.results import run_results
from gkd.report.table import comparison_table

MASKS = {"train": "train_mask", "validation": "val_mask", "test": "test_mask"}


class OneGraph(AbstractDataset):
    """Thirty nodes: ten each to train, to select and to test on."""

    task = "single-label"
    num_features = 4
    num_classes = 3
    inputs = ("x",)

    def __init__(
        self,
        held_out_labels: int = 0,
        rows: bool = True,
        overlap: bool = False,
        parts: bool = False,
    ) -> None:
        random = torch.Generator().manual_seed(0)
        y = torch.arange(30) % 3
        x = torch.eye(3, 4)[y] + torch.randn(30, 4, generator=random)
        y[10:] = (y[10:] + held_out_labels) % 3
        part = torch.arange(30) // 10
        masks = {name: part == index for index, name in enumerate(MASKS.values())}
        if overlap:
            masks["test_mask"] = part >= 1
        if rows:
            self.rows = MASKS
        self.graph = Sample(id="graph", x=x, y=y, **masks)
        if parts:
            last = torch.arange(30) >= 27
            self.test_parts = {"last": [Sample(id="last", x=x, y=y, test_mask=last)]}

    @property
    def train(self):
        return [self.graph]

    validation = test = train


class Plugin:
    @hookimpl
    def gkd_datasets(self):
        return {"one-graph": OneGraph}


@pytest.fixture(autouse=True)
def dataset(host) -> None:
    host.register(Plugin())


SETTINGS = ('dataset.name="one-graph"', "training.batch_size=1", "teacher.training.batch_size=1")


def test_labels_held_out_leave_the_weights_as_they_are(opened) -> None:
    runs = [
        opened(*SETTINGS, "seeds=[0]", f"dataset.held_out_labels={shift}", out=f"run{shift}")
        for shift in (0, 1)
    ]
    last = []
    for run in runs:
        run.train()
        checkpoints = sorted(run.directory.folder.rglob("last.ckpt"))
        last.append([torch.load(path, weights_only=True)["state_dict"] for path in checkpoints])
    assert len(last[0]) == 3  # the teacher and the students of two methods
    for one, other in zip(*last, strict=True):
        assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_each_split_is_scored_on_its_rows(opened) -> None:
    run = opened(*SETTINGS, "seeds=[0]")
    run.train()
    folder = run.directory.student("baseline", 0)
    student = Perceptron(4, 3, width=3, dropout=0.3)
    student.load_state_dict(load_file(folder / "weights.safetensors"))
    data = OneGraph()
    with torch.no_grad():
        right = student.eval()(data.graph.x).argmax(1) == data.graph.y
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["test"]["accuracy"] == pytest.approx(right[20:].float().mean().item())
    assert summary["validation"]["accuracy"] == pytest.approx(right[10:20].float().mean().item())


def test_parts_of_the_test_split_are_scored_by_themselves_too(opened) -> None:
    run = opened(*SETTINGS, "seeds=[0]", "dataset.parts=true")
    run.train()
    network = Perceptron(4, 3, width=3, dropout=0.3)
    folder = run.directory.student("baseline", 0)
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    data = OneGraph(parts=True)
    with torch.no_grad():
        right = (network.eval()(data.graph.x).argmax(1) == data.graph.y).float()
    test = json.loads((folder / "summary.json").read_text())["test"]
    assert test["accuracy_on_last"] == pytest.approx(right[27:].mean().item())
    assert test["accuracy"] == pytest.approx(right[20:].mean().item())
    assert set(test) == {"accuracy", "accuracy_on_last", "mean_class_accuracy"}
    table = comparison_table([run_results(run.directory.folder)])
    assert "test accuracy, %" in table.header
    assert "test accuracy on last, %" in table.header


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("dataset.rows=false", "has a train_mask, but nobody uses it"),
        ("dataset.overlap=true", "row 10 of sample 'graph' is in validation and again in test"),
    ],
)
def test_rows_that_would_mislead_are_refused_before_training(opened, setting, message) -> None:
    run = opened(*SETTINGS, setting)
    with pytest.raises(RecipeError, match=message):
        run.train()
    assert not run.directory.folder.exists()
