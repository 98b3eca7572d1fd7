"""The recipes that compare the losses of the zoo: all of them there, or named with the reason."""

import re
from importlib.resources import files

import node_archives
import pytest

from gkd.hosting.host import create_host
from gkd.recipe.file import read_recipe
from gkd.sweep.space import spaces
from gkd.training.devices import Devices
from gkd.training.dry_run import dry_run
from gkd.training.experiment import Experiment

SHIPPED = "gkd"
ZOOS = ("zoo-nodes",)


@pytest.fixture
def settings(tmp_path):
    file = node_archives.write(tmp_path / "rings.npz", node_archives.shchur())
    return [
        *(f"dataset.file={file}", "dataset.train_per_class=2", "dataset.validation_per_class=1"),
        *("teacher.params.hidden_channels=4", "student.params.hidden_channels=4"),
    ]


@pytest.mark.parametrize("name", ZOOS)
def test_every_loss_of_the_zoo_is_compared_or_named_with_the_reason(name):
    host = create_host()
    shipped = {
        loss for loss, one in host.components("loss").items() if one.source.distribution == SHIPPED
    }
    text = (files("gkd.recipes") / f"{name}.toml").read_text(encoding="utf-8")
    left_out = re.findall(r"^#   ([\w-]+): \w.+$", text, re.MULTILINE)
    compared = [term.loss for method in read_recipe(name).recipe.methods for term in method.terms]
    assert sorted([*left_out, *compared]) == sorted(shipped)


@pytest.mark.parametrize("name", ZOOS)
def test_every_method_is_called_by_its_loss_and_has_a_budget_of_the_same_kind(name):
    file = read_recipe(name)
    for method in file.recipe.methods:
        assert [term.loss for term in method.terms] in ([method.name], [])
    searched = {one.method: [d.key for d in one.dimensions] for one in spaces(file, create_host())}
    assert searched.pop("baseline") == ["training.learning_rate"]
    for method, keys in searched.items():
        assert sorted(keys) == [f"methods.{method}.terms.0.weight", "training.learning_rate"]
    for space in spaces(file, create_host()):
        for one in space.dimensions:
            # The middle of the range, by its logarithm, is about what the recipe itself has.
            assert one.own_is_inside
            middle = (one.domain.low * one.domain.high) ** 0.5
            assert one.domain.log
            assert 0.7 < middle / one.own < 1.4


def test_every_term_on_nodes_takes_a_step(settings):
    experiment = Experiment(read_recipe("zoo-nodes", settings), create_host())
    dry_run(experiment, Devices("cpu"))
