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


class Scored(Perceptron):
    """Returns its logits under a name that says nothing."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"scores": super().forward(x), "inputs": x}


class Paired(Perceptron):
    """Returns a pair, and says itself which of it the logits are."""

    logits = "[1]"

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, super().forward(x)


class Headed(Scored):
    """Has a layer where a recipe would say where its logits are."""

    def __init__(self, in_channels: int, out_channels: int, width: int, dropout: float) -> None:
        super().__init__(in_channels, out_channels, width, dropout)
        self.logits = torch.nn.Linear(1, 1)


class Networks:
    @hookimpl
    def gkd_models(self):
        return {
            "centring": Centring,
            "renamed": Renamed,
            "scored": Scored,
            "paired": Paired,
            "headed": Headed,
        }


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


def test_logits_are_where_each_network_of_a_recipe_has_them(opened) -> None:
    plain = opened("seeds=[0]", out="plain")
    plain.train()
    run = opened(
        'teacher.name="scored"',
        'teacher.logits="[scores]"',
        'student.name="paired"',
        "seeds=[0]",
        out="apart",
    )
    run.train()
    for path in sorted(plain.directory.folder.rglob("summary.json")):
        apart = run.directory.folder / path.relative_to(plain.directory.folder)
        ours, theirs = (json.loads(file.read_text()) for file in (path, apart))
        assert ours["test"] == theirs["test"]
        assert ours["validation"] == theirs["validation"]


@pytest.mark.parametrize(
    ("model", "setting", "message"),
    [
        ("scored", 'title="a"', r"methods\.0: student returns a dict of 2 where logits are expect"),
        ("scored", 'student.logits="scores"', r"student\.logits: must be .* matching"),
        ("scored", 'student.logits="[score]"', r"no item \[score\]; a dict of 2 has items"),
        ("headed", 'student.logits="[scores]"', "logits: the model has a sub-module of this name"),
    ],
)
def test_logits_that_are_nowhere_are_errors_at_their_place(opened, model, setting, message) -> None:
    with pytest.raises(RecipeError, match=message):
        opened(f'student.name="{model}"', setting).train()


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
