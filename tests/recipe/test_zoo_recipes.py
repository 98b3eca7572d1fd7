"""The recipes that compare the losses of the zoo: all of them there, or named with the reason."""

import re
from importlib.resources import files

import modelnet_files
import node_archives
import pytest
import tu_files

from gkd.hosting.host import create_host
from gkd.recipe.file import read_recipe
from gkd.sweep.space import spaces
from gkd.training.devices import Devices
from gkd.training.dry_run import dry_run
from gkd.training.experiment import Experiment

SHIPPED = "gkd"


NARROW = [f"{network}.params.hidden_channels=4" for network in ("student", "teacher")]
FEW = [f"{whose}training.batch_size=6" for whose in ("", "teacher.")]


def small_nodes(folder):
    file = node_archives.write(folder / "rings.npz", node_archives.shchur())
    sizes = ("dataset.train_per_class=2", "dataset.validation_per_class=1")
    return [f"dataset.file={file}", *sizes, *NARROW]


def small_graphs(folder):
    root = tu_files.write(folder / "TINY", graphs=20)
    return [f"dataset.root={root}", *NARROW, *FEW]


def small_clouds(folder):
    root = modelnet_files.write(folder, modelnet_files.miniature())
    small = ("channels=[4, 4, 4]", "embedding=4", "head=[4]", "k=3")
    sizes = [f"{network}.params.{one}" for network in ("student", "teacher") for one in small]
    split = ("dataset.points=8", "dataset.validation_fraction=0.25")
    return [f"dataset.root={root}", *split, *sizes, *FEW]


SMALL = {"zoo-nodes": small_nodes, "zoo-graphs": small_graphs, "zoo-points": small_clouds}


@pytest.mark.parametrize("name", SMALL)
def test_every_loss_of_the_zoo_is_compared_or_named_with_the_reason(name):
    shipped = {
        loss
        for loss, one in create_host().components("loss").items()
        if one.source.distribution == SHIPPED
    }
    text = (files("gkd.recipes") / f"{name}.toml").read_text(encoding="utf-8")
    left_out = re.findall(r"^#   ([\w-]+): \w.+$", text, re.MULTILINE)
    compared = [term.loss for one in read_recipe(name).recipe.methods for term in one.terms]
    assert sorted([*left_out, *compared]) == sorted(shipped)


@pytest.mark.parametrize("name", SMALL)
def test_every_method_is_one_loss_and_has_what_the_others_have_to_find(name):
    file = read_recipe(name)
    for method in file.recipe.methods:
        assert [term.loss for term in method.terms] in ([method.name], [])
    found = spaces(file, create_host())
    searched = {one.method: sorted(each.key for each in one.dimensions) for one in found}
    assert searched.pop("baseline") == ["training.learning_rate"]
    for method, keys in searched.items():
        assert keys == [f"methods.{method}.terms.0.weight", "training.learning_rate"]
    for one in (each for space in found for each in space.dimensions):
        # The middle of the range, by its logarithm, is about what the recipe itself has.
        assert one.domain.log
        assert (one.domain.low * one.domain.high) ** 0.5 == pytest.approx(one.own, rel=0.3)


@pytest.mark.parametrize("name", SMALL)
def test_every_term_takes_a_step(name, tmp_path):
    file = read_recipe(name, SMALL[name](tmp_path))
    dry_run(Experiment(file, create_host()), Devices("cpu"))
