"""Files of other networks, put into a run's folder by hand, do not pass for its own."""

import hashlib
import os
import shutil
from io import StringIO

import pytest
from rich.console import Console

from gkd.errors import GkdError, RecipeError
from gkd.recipe.model import GivenTeacherRecipe
from gkd.report.results import run_results
from gkd.report.table import gaps
from gkd.training.provenance import given_weights, recipe_of
from gkd.training.recipe_run import Run

OTHER = ("training.epochs=1", "teacher.training.epochs=1", "seeds=[1]")


@pytest.fixture
def run(opened, train_once, tmp_path) -> Run:
    """A finished run in a folder of the test's own, to be resumed."""
    shutil.copytree(train_once().directory.folder, tmp_path / "run")
    return opened(resume=True)


def replace(run: Run, part: str, other: Run, other_part: str | None = None) -> None:
    place = run.directory.folder / part
    source = other.directory.folder / (other_part or part)
    if place.is_dir():
        shutil.rmtree(place)
        shutil.copytree(source, place)
    else:
        shutil.copy(source, place)


def test_a_network_of_another_recipe(run, train_once) -> None:
    replace(run, "students/baseline/seed-1", train_once(*OTHER))
    with pytest.raises(RecipeError, match=r"seed-1/summary\.json is of a run with another recipe"):
        run.train()
    sentence = "baseline, seed 1 is of a run with another recipe: its numbers may not belong here."
    assert sentence in gaps(run_results(run.directory.folder))


def test_a_network_of_another_seed(run) -> None:
    folder = run.directory.folder / "students" / "mapped"
    shutil.rmtree(folder / "seed-1")
    (folder / "seed-0").rename(folder / "seed-1")
    with pytest.raises(RecipeError, match="is of mapped seed 0; bring back"):
        run.train()


def test_another_teacher(run, train_once) -> None:
    replace(run, "teacher", train_once(*OTHER))
    with pytest.raises(RecipeError, match=r"teacher/summary\.json is of a run with another"):
        run.train()
    sentence = "mapped, seed 0 was distilled from another teacher than that of this run"
    assert any(sentence in gap for gap in gaps(run_results(run.directory.folder)))


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_a_checkpoint_of_another_seed(run, name) -> None:
    (run.directory.student("mapped", 1) / "summary.json").unlink()
    replace(run, f"students/mapped/seed-1/{name}", run, f"students/mapped/seed-0/{name}")
    with pytest.raises(GkdError, match=f"checkpoint .*{name} is of mapped seed 0"):
        run.train()


def test_weights_of_another_seed_are_written_again(opened, run, train_once) -> None:
    for name in ("weights.safetensors", "answers.safetensors"):
        replace(run, f"students/mapped/seed-1/{name}", run, f"students/mapped/seed-0/{name}")
    heard = Console(file=StringIO(), width=300)
    opened(resume=True, console=heard).train()
    assert "weights.safetensors is not the file that" in heard.file.getvalue()
    for place in ("teacher", "students/mapped/seed-1"):
        path = f"{place}/weights.safetensors"
        whole = train_once().directory.folder / path
        assert (run.directory.folder / path).read_bytes() == whole.read_bytes()


def test_nothing_is_said_of_an_ordinary_run(run) -> None:
    run.train()
    assert run_results(run.directory.folder).foreign == []


def test_networks_of_one_method_may_be_brought_together() -> None:
    lsp, kd = {"name": "lsp", "terms": [{"loss": "lsp"}]}, {"name": "kd", "terms": [{"loss": "kd"}]}
    recipe = {"seeds": [0], "dataset": {"name": "a"}, "teacher": {"name": "b"}, "methods": [lsp]}
    more = {**recipe, "title": "x", "seeds": [1, 2], "max_seeds": 9, "methods": [kd, lsp]}
    assert recipe_of(recipe, "lsp") == recipe_of(more, "lsp") != recipe_of(more, "kd")
    assert recipe_of(recipe, "teacher") == recipe_of({**more, "training": {}}, "teacher")
    other = {**recipe, "teacher": {"name": "c"}}
    assert recipe_of(recipe, "lsp") != recipe_of(other, "lsp")
    assert recipe_of(recipe, "baseline") == recipe_of(other, "baseline")


def test_weights_are_read_once_until_they_change(tmp_path, monkeypatch) -> None:
    file, read = tmp_path / "weights.safetensors", []

    def digest(opened, name):
        read.append(opened.name)
        return hashlib.new(name, opened.read())

    monkeypatch.setattr("hashlib.file_digest", digest)
    teachers = {name: GivenTeacherRecipe(name="gat", weights=str(file)) for name in ("a", "b")}
    assert given_weights({}) is None
    absent = given_weights(teachers)
    file.write_bytes(b"one")
    before = given_weights(teachers)
    assert given_weights(teachers) == before != absent
    assert read == [str(file)]
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert given_weights(teachers) != before
    assert len(read) == 2
