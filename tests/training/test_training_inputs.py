"""Teacher and student of a recipe are called with what each of them takes."""

import json

import pytest
import torch
from tiny_plugin import Perceptron, TinyPlugin

from gkd import hookimpl
from gkd.errors import RecipeError


class Centring(Perceptron):
    """Subtracts each sample's mean, and says itself what it is called with."""

    inputs = ("x", "batch")

    def forward(self, x: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        counts = batch.bincount().unsqueeze(1)
        means = x.new_zeros(len(counts), x.shape[1]).index_add(0, batch, x) / counts
        return super().forward(x - means[batch])


class Renamed(Perceptron):
    """Has names of its own for what it takes, and a default that nothing must land in."""

    def forward(self, h: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return super().forward(scale * h)


class Networks:
    @hookimpl
    def gkd_models(self):
        return {"centring": Centring, "renamed": Renamed}


@pytest.fixture
def plugin() -> TinyPlugin:
    return TinyPlugin()


@pytest.fixture(autouse=True)
def networks(host) -> None:
    host.register(Networks())


@pytest.mark.parametrize("inputs", ['{ h = "x" }', '["x"]'])
def test_each_network_of_a_recipe_gets_its_own(opened, inputs) -> None:
    run = opened(
        'teacher.name="centring"', 'student.name="renamed"', f"student.inputs={inputs}", "seeds=[0]"
    )
    run.train()
    found = sorted(run.directory.folder.rglob("summary.json"))
    assert [json.loads(path.read_text())["method"] for path in found] == [
        "baseline",
        "mapped",
        "teacher",
    ]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('student.inputs={ h = "x", scales = "x" }', r"student: .*takes 'x'; did you mean 'scale'"),
        ('student.inputs={ h = "pos" }', r"methods\.0: inputs: the batch .* has no 'pos'"),
        ("student.inputs=3", r"student\.inputs: must be names of attributes"),
        ('teacher.inputs=["x"]', r"teacher: .*forward\(x, batch\) needs 'batch'"),
    ],
)
def test_inputs_that_cannot_be_are_errors_at_their_place(opened, setting, message) -> None:
    settings = ['teacher.name="centring"', 'student.name="renamed"', setting]
    with pytest.raises(RecipeError, match=message):
        opened(*settings).train()
