"""Recipes whose methods train peers or teach by a moving average: run and resume."""

import json

import pytest
import torch
from rich.console import Console
from test_training_resume import STEPS_PER_EPOCH, TEACHER_STEPS, assert_equal, everything

from gkd.errors import RecipeError
from gkd.hosting.host import create_host
from gkd.recipe.file import read_recipe
from gkd.training.devices import Devices
from gkd.training.recipe_run import open_run

METHODS = """

[[methods]]
name = "mutual"
peers.other = { name = "perceptron", params = { width = 5, dropout = 0.2 } }
terms = [
    { loss = "mapped", student = "hidden", teacher = "other:hidden" },
    { loss = "mapped", student = "other:hidden", teacher = "student:hidden", weight = 0.5 },
]

[[methods]]
name = "average"
ema = 0.9
task_weight = 0.5
terms = [{ loss = "mapped", student = "hidden", teacher = "ema:hidden" }]
"""


@pytest.fixture
def recipe_path(recipe_path):
    recipe_path.write_text(recipe_path.read_text() + METHODS)
    return recipe_path


def test_peers_and_averages_train_and_are_resumed_exactly(opened, plugin) -> None:
    whole = opened("seeds=[4]", out="whole")
    whole.train()
    before = TEACHER_STEPS + 2 * 5 * STEPS_PER_EPOCH  # the baseline and the method "mapped"
    for steps in (7, 5 * STEPS_PER_EPOCH + 7):
        plugin.events.clear()
        plugin.interrupt_at = before + steps
        cut = opened("seeds=[4]", out=f"cut{steps}")
        with pytest.raises(KeyboardInterrupt):
            cut.train()
        torch.manual_seed(123)
        resumed = opened("seeds=[4]", out=f"cut{steps}", resume=True)
        resumed.train()
        assert_equal(everything(whole), everything(resumed))
    folder = whole.directory.student("mutual", 4)
    keys = torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
    assert any(key.startswith("distiller.peers.other.") for key in keys)
    history = json.loads((folder / "summary.json").read_text())["history"]
    assert history[-1]["task/other"] < history[0]["task/other"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("methods.2.peers.other.name='percepton'", "did you mean 'perceptron'"),
        ("methods.2.peers.other.params.wdth=3", "wdth"),
        ("methods.3.ema=1.5", "methods.3.ema"),
        ("methods.0.ema=0.5", "is the baseline"),
        ("methods.2.terms.0.rows='hidden_mask'", "no 'hidden_mask'"),
        ("methods.2.terms.0.weigher='confidence'", "weigher"),
        ("methods.2.terms.0.teacher='othr:hidden'", "no teacher 'othr'|no sub-module"),
    ],
)
def test_mistakes_are_found_before_training(opened, setting, message) -> None:
    with pytest.raises((RecipeError, LookupError), match=message):
        opened(setting).train()


def test_the_shipped_recipe_of_mutual_learning_teaches_both_ways(tmp_path) -> None:
    settings = ["dataset.nodes=40", "seeds=[0]", "training.epochs=2", "teacher.training.epochs=1"]
    file = read_recipe("mutual", settings)
    console = Console(quiet=True)
    run = open_run(file, create_host(), Devices("cpu"), console, out=tmp_path / "run")
    run.train()
    folder = tmp_path / "run" / "students" / "mutual" / "seed-0"
    rows = json.loads((folder / "summary.json").read_text())["history"]
    for row in rows:
        assert row["term/kd"] > 0
        assert row["term/kd-2"] > 0
        # Two networks of one kind: their divergences and their tasks' losses are alike.
        assert row["term/kd"] == pytest.approx(row["term/kd-2"], rel=0.2)
    assert rows[-1]["task/other"] < rows[0]["task/other"]
