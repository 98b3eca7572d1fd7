"""Methods with teachers of their own, trained elsewhere: two label sets, one student."""

from pathlib import Path

import pytest
import torch
from rich.console import Console

import gkd
from gkd.errors import GkdError, RecipeError
from gkd.hosting.host import create_host
from gkd.recipe.file import read_recipe
from gkd.report.results import run_results
from gkd.training.devices import Devices
from gkd.training.recipe_run import Run, open_run
from gkd.training.weights import write_weights

SMALL = (
    "dataset.train_graphs=2",
    "dataset.validation_graphs=1",
    "dataset.test_graphs=1",
    "dataset.nodes=30",
    "dataset.degree=4",
    "dataset.classes=7",
    "student.params.hidden_channels=[4, 4, 4, 4]",
    "training.epochs=2",
    "seeds=[0]",
)
LABELS = {"first": 4, "second": 3}


@pytest.fixture
def weights(tmp_path: Path) -> dict[str, Path]:
    """Files of two teachers' weights."""
    found = {}
    for number, (name, labels) in enumerate(LABELS.items()):
        torch.manual_seed(number)
        model = gkd.create("model", "gat", **small_gat(labels), in_channels=32)
        write_weights(found.setdefault(name, tmp_path / f"{name}.safetensors"), model)
    return found


def small_gat(labels: int) -> dict[str, object]:
    return {"hidden_channels": [4], "heads": [1, 1], "out_channels": labels}


def opened(tmp_path: Path, weights: dict[str, Path], *more: str, resume: bool = False) -> Run:
    settings = [*SMALL, *more]
    for method in ("amalgamation", "hard"):
        for name, labels in LABELS.items():
            place = f"methods.{method}.teachers.{name}"
            params = ", ".join(f"{key} = {value}" for key, value in small_gat(labels).items())
            settings += [f"{place}.weights={weights[name]}", f"{place}.params={{{params}}}"]
    file = read_recipe("amalgamation", settings)
    console, devices = Console(quiet=True), Devices("cpu")
    return open_run(file, create_host(), devices, console, out=tmp_path / "run", resume=resume)


def test_one_student_learns_from_two_teachers_and_no_labels(
    tmp_path: Path, weights: dict[str, Path]
) -> None:
    before = {name: path.read_bytes() for name, path in weights.items()}
    opened(tmp_path, weights).train()
    results = run_results(tmp_path / "run")
    by_method = {one.method: one for one in results.networks}
    assert set(by_method) == {"baseline", "amalgamation", "hard"}
    for method in ("amalgamation", "hard"):
        first, last = (row["term/amalgamation"] for row in by_method[method].history)
        assert 0 < last < first
        assert by_method[method].history[0]["loss"] == pytest.approx(first)
    assert results.missing == []
    assert before == {name: path.read_bytes() for name, path in weights.items()}


def test_weights_that_have_changed_are_refused_when_resumed(
    tmp_path: Path, weights: dict[str, Path]
) -> None:
    opened(tmp_path, weights).train()
    (tmp_path / "run" / "students" / "hard" / "seed-0" / "summary.json").unlink()
    torch.manual_seed(5)
    other = gkd.create("model", "gat", **small_gat(4), in_channels=32)
    write_weights(weights["first"], other)
    with pytest.raises(RecipeError, match="other teachers than the files of their weights hold"):
        opened(tmp_path, weights, resume=True).train()


def test_weights_that_are_missing_or_of_another_model_are_named(
    tmp_path: Path, weights: dict[str, Path]
) -> None:
    with pytest.raises(GkdError, match=r"teachers\.first\.weights: .* of another model"):
        opened(tmp_path, weights | {"first": weights["second"]}).train()
    weights["first"].unlink()
    with pytest.raises(GkdError, match=r"teachers\.first\.weights"):
        opened(tmp_path, weights).train()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [("teacher", r"'teacher' is the name of the \[teacher\]"), ("student", "of the student")],
)
def test_names_of_other_networks_are_taken(tmp_path: Path, name: str, words: str) -> None:
    given = '{name = "gat", weights = "a"}'
    with pytest.raises(RecipeError, match=words):
        read_recipe("amalgamation", [f"methods.hard.teachers.{name}={given}"])


def test_labels_of_the_communities_are_those_of_all(tmp_path: Path) -> None:
    small = {"nodes": 30, "degree": 4, "train_graphs": 1, "validation_graphs": 1, "test_graphs": 1}
    whole = gkd.create("dataset", "communities", **small)
    some = gkd.create("dataset", "communities", labels=(5, 9), **small)
    assert some.num_classes == 4
    assert torch.equal(some.train[0].y, whole.train[0].y[:, 5:9])
    assert torch.equal(some.train[0].x, whole.train[0].x)
    with pytest.raises(gkd.ParameterError, match="labels must be some of the 40"):
        gkd.create("dataset", "communities", labels=(9, 5), **small)
