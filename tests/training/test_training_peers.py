"""Recipes whose methods train peers or teach by a moving average: run and resume."""

import json

import pytest
import torch
from test_training_resume import STEPS_PER_EPOCH, TEACHER_STEPS, assert_equal, everything

from gkd.errors import RecipeError

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
