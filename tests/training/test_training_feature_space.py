"""Looking at feature spaces while a run trains."""

import io
import json
from statistics import fmean

import pytest
import torch
from rich.console import Console
from tiny_plugin import RECIPE, Blobs, TinyPlugin

from gkd import Sample, hookimpl
from gkd.errors import RecipeError
from gkd.evaluation.feature_distances import feature_distances
from gkd.report.feature_spaces import rank_correlation
from gkd.report.results import run_results
from gkd.training.experiment import load_weights
from gkd.training.run_directory import FEATURE_SPACE

SPACE = """
[feature_space]
student = "hidden"
teacher = "norm"
epochs = [1, 3, 5, 50]
"""


class PlacedBlobs(Blobs):
    """Blobs whose points are positions as well."""

    def sample(self, split: str, index: int, epoch: int = 0) -> Sample:
        one = super().sample(split, index, epoch)
        return Sample(id=one.id, x=one.x, pos=one.x[:, :3], y=one.y)


class Placed(TinyPlugin):
    @hookimpl
    def gkd_datasets(self):
        return {"blobs": PlacedBlobs, "unplaced": Blobs}


@pytest.fixture
def plugin() -> TinyPlugin:
    return Placed()


@pytest.fixture
def recipe_path(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE + SPACE)
    return path


def views(run, *path: str) -> dict:
    return json.loads(run.directory.folder.joinpath(*path, FEATURE_SPACE).read_text())


def test_students_are_seen_after_the_epochs_asked_for_and_the_teacher_once(opened):
    run = opened("seeds=[0]", "feature_space.node=2")
    run.train()
    student = views(run, "students", "mapped", "seed-0")
    assert list(student["distances"]) == ["1", "3", "5"]
    assert (student["sample"], student["node"], student["tap"]) == ("test-0", 2, "hidden")
    assert all(row[2] == 0 for row in student["distances"].values())
    assert views(run, "students", "baseline", "seed-0")["distances"] != student["distances"]
    teacher = views(run, "teacher")
    assert list(teacher["distances"]) == ["trained"]
    data = PlacedBlobs()
    network = run.host.create("model", "perceptron", in_channels=4, out_channels=3, width=8)
    load_weights(network, run.directory.teacher / "weights.safetensors")
    expected = feature_distances(network, data.test[0], ["x"], "norm", 2)
    assert teacher["distances"]["trained"] == pytest.approx(expected.tolist(), abs=1e-6)
    assert torch.tensor(teacher["pos"]).allclose(data.test[0].pos)


def test_in_place_of_epochs_after_the_end_the_last_one_is_seen_and_that_is_said(opened):
    written = io.StringIO()
    console = Console(file=written, width=40)
    run = opened("seeds=[0]", "training.epochs=2", console=console)
    run.train()
    for method in ("mapped", "baseline"):
        assert list(views(run, "students", method, "seed-0")["distances"]) == ["1", "2"]
    before, _, _ = written.getvalue().partition("[1/3]")
    assert [line for line in before.splitlines() if "feature_space" in line] == [
        "warning: feature_space.epochs: 3, 5, 50 are after the last epoch: left out, and epoch 2 "
        "is shown"
    ]


def test_further_objects_are_seen_like_the_drawn_one(opened):
    run = opened("seeds=[0]", "feature_space.sample='test-1'", "feature_space.objects=2")
    run.train()
    student, teacher = views(run, "students", "mapped", "seed-0"), views(run, "teacher")
    assert student["sample"] == "test-1"
    assert list(student["others"]) == list(teacher["others"]) == ["test-0"]
    assert list(student["others"]["test-0"]) == ["1", "3", "5"]
    other = opened("seeds=[0]", out="other")
    other.train()
    assert views(other, "teacher")["distances"] == teacher["others"]["test-0"]
    found = run_results(run.directory.folder).rank_correlations
    for method in ("baseline", "mapped"):
        view = views(run, "students", method, "seed-0")
        for epoch in ("1", "3", "5"):
            pairs = [
                (view["distances"][epoch], teacher["distances"]["trained"]),
                (view["others"]["test-0"][epoch], teacher["others"]["test-0"]["trained"]),
            ]
            expected = fmean(rank_correlation(*pair) for pair in pairs)
            assert found[method][int(epoch)] == {0: pytest.approx(expected)}


def test_looking_changes_nothing_and_an_interrupted_run_sees_the_same(opened, plugin):
    whole, blind = opened("seeds=[0]"), opened("seeds=[0]", out="blind")
    whole.train()
    object.__setattr__(
        blind.file, "recipe", blind.file.recipe.model_copy(update={"feature_space": None})
    )
    blind.train()
    weights = [
        (run.directory.student("mapped", 0) / "weights.safetensors").read_bytes()
        for run in (whole, blind)
    ]
    assert weights[0] == weights[1]
    plugin.interrupt_at = len(plugin.events) + 6 + 15 + 8  # in the third epoch of the last student
    torn = opened("seeds=[0]", out="torn")
    with pytest.raises(KeyboardInterrupt):
        torn.train()
    plugin.interrupt_at = None
    again = opened("seeds=[0]", out="torn", resume=True)
    again.train()
    for method in ("baseline", "mapped"):
        place = ("students", method, "seed-0")
        assert views(again, *place) == views(whole, *place)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("feature_space.student='hiden'", r"feature_space.student: .* did you mean 'hidden'"),
        ("feature_space.teacher='out.x'", r"feature_space.teacher: .*no sub-module 'out.x'"),
        ("feature_space.sample='test-7'", r"feature_space: there is no test sample 'test-7'.*tes"),
        ("feature_space.objects=3", r"objects: there are 2 test samples to look at, not 3"),
        ("feature_space.node=20", r"nodes 0 to 19, not 20"),
        ("dataset.name='unplaced'", r"sample 'test-0' has no positions"),
    ],
)
def test_mistakes_are_found_before_training(opened, setting, words):
    with pytest.raises(RecipeError, match=words):
        opened(setting).train()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("feature_space.epochs=[7]", "epochs begin at 7, but training ends with epoch 5"),
        ("feature_space.epochs=[]", "feature_space.epochs: "),
        ("feature_space.epoch=3", "unknown key; did you mean 'epochs'"),
    ],
)
def test_mistakes_that_the_recipe_alone_shows(opened, setting, words):
    with pytest.raises(RecipeError, match=words):
        opened(setting)
