"""A run keeps what its teacher says where that holds in every epoch, and tells the user."""

import io
import json
import shutil
import sys
import tomllib
from contextlib import suppress
from types import SimpleNamespace

import pytest
import tomlkit
import torch
from rich.console import Console
from safetensors.torch import load_file
from tiny_plugin import Perceptron

from gkd import hookimpl
from gkd.cache.teacher_cache import TeacherCache
from gkd.errors import RecipeError
from gkd.files import read_sealed_json, write_sealed_json
from gkd.training import cache_policy, lightning_module, teacher_precision
from gkd.training.failures import FailedNetworks
from gkd.training.provenance import MADE_BY

TEACHER_STEPS, STEPS_PER_EPOCH = 2 * 3, 3
PER_SAMPLE = 20 * (8 + 3) * 4  # float32 features and logits


@pytest.fixture
def told(opened):
    """Function that trains a run, and returns it with the lines that it printed."""

    def train(*settings: str, **options):
        written = io.StringIO()
        run = opened(*settings, console=Console(file=written, width=200), **options)
        with suppress(KeyboardInterrupt):
            run.train()
        return run, written.getvalue().splitlines()

    return train


def lines_about_the_teacher(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith(("teacher cache", "teacher runs"))]


def weights(run) -> dict[str, torch.Tensor]:
    return {
        f"{path.relative_to(run.directory.folder)}/{name}": tensor
        for path in sorted(run.directory.folder.rglob("weights.safetensors"))
        for name, tensor in load_file(path).items()
    }


def assert_same_weights(one, two) -> None:
    ours, theirs = weights(one), weights(two)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


def summaries(run, method: str = "mapped") -> list[dict]:
    folder = run.directory.folder / "students" / method
    return [json.loads(path.read_text()) for path in sorted(folder.rglob("summary.json"))]


def test_samples_that_stay_the_same_are_shown_to_the_teacher_once(told) -> None:
    run, lines = told()
    size = f"{5 * PER_SAMPLE / 1024:.3g} KiB"
    assert lines_about_the_teacher(lines) == [f"teacher cache: 5 of 5 samples, {size} in memory"]
    assert [found["teacher_cached"] for found in summaries(run)] == [True, True]
    assert [found["teacher_cached"] for found in summaries(run, "baseline")] == [False, False]


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("dataset.augmented=true", "the training data is augmented at random"),
        ("teacher.cache=false", "teacher.cache is off"),
    ],
)
def test_otherwise_the_user_is_told_why_the_teacher_runs(told, setting, reason) -> None:
    run, lines = told(setting, "seeds=[0]", "training.epochs=1")
    assert lines_about_the_teacher(lines) == [f"teacher runs in every step: {reason}"]
    assert [found["teacher_cached"] for found in summaries(run)] == [False]


def test_with_and_without_the_cache_the_student_learns_the_same(told) -> None:
    kept, running = (told(f"teacher.cache={on}", out=on)[0] for on in ("true", "false"))
    for ours, theirs in zip(summaries(kept), summaries(running), strict=True):
        for row, other in zip(ours["history"], theirs["history"], strict=True):
            assert row["term/mapped"] == pytest.approx(other["term/mapped"], rel=1e-4)


def test_mixed_precision_keeps_what_the_teacher_says_in_it(told) -> None:
    settings = ("precision=bf16-mixed", "seeds=[0]")
    kept, running = (told(f"teacher.cache={on}", *settings, out=on) for on in ("true", "false"))
    assert "5 of 5 samples" in lines_about_the_teacher(kept[1])[0]
    for row, other in zip(
        summaries(kept[0])[0]["history"], summaries(running[0])[0]["history"], strict=True
    ):
        assert row["term/mapped"] == pytest.approx(other["term/mapped"], rel=0.05)


def test_a_recipe_that_insists_on_the_cache_is_refused_where_it_cannot_be(opened, tmp_path) -> None:
    run = opened("dataset.augmented=true", "teacher.cache=true")
    message = r"--set teacher.cache=true.*augmented at random.*turn the augmentation off"
    with pytest.raises(RecipeError, match=message):
        run.train()
    assert not run.directory.folder.exists()


class Drawing(Perceptron):
    """Drops features in every mode."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(torch.nn.functional.dropout(x, 0.5))


class Drawings:
    @hookimpl
    def gkd_models(self):
        return {"drawing": Drawing}


@pytest.mark.filterwarnings("ignore:the teacher answers at random:UserWarning")
def test_a_random_teacher_is_refused_before_it_is_trained(opened, host) -> None:
    host.register(Drawings())
    run = opened('teacher.name="drawing"', "seeds=[0]")
    with pytest.raises(RecipeError, match=r"methods\.1: .*answers at random.*cache = false"):
        run.train()
    assert not run.directory.folder.exists()
    opened('teacher.name="drawing"', "seeds=[0]", "teacher.cache=false").train()


@pytest.fixture
def no_memory(monkeypatch) -> None:
    """Give the caches of runs no memory, so that all goes to files."""
    monkeypatch.setattr(
        cache_policy, "TeacherCache", lambda limit, *others: TeacherCache(1, *others)
    )


def test_what_memory_has_no_room_for_goes_to_the_folder_of_the_run(told, no_memory) -> None:
    run, lines = told(out="files")
    size = f"{5 * PER_SAMPLE / 1024:.3g} KiB"
    assert lines_about_the_teacher(lines) == [f"teacher cache: 5 of 5 samples, {size} in files"]
    assert {path.name for path in run.directory.folder.iterdir()} == {
        ".lock", "environment.json", "latency.json", "recipe.toml", "students", "teacher",
    }  # fmt: skip


def test_files_of_an_interrupted_run_serve_when_it_goes_on(told, plugin, no_memory) -> None:
    whole, _ = told(out="whole")
    plugin.interrupt_at = len(plugin.events) + TEACHER_STEPS + 8 * STEPS_PER_EPOCH + 1
    broken, _ = told(out="broken")
    files = list((broken.directory.folder / cache_policy.FOLDER).iterdir())
    assert len(files) == 2 * 5
    written = [file.stat().st_mtime_ns for file in files]
    plugin.interrupt_at += 1
    again, _ = told(out="broken", resume=True)
    assert [file.stat().st_mtime_ns for file in files] == written
    plugin.interrupt_at = None
    resumed, lines = told(out="broken", resume=True)
    assert lines_about_the_teacher(lines)
    assert not (again.directory.folder / cache_policy.FOLDER).exists()
    assert_same_weights(whole, resumed)


def test_without_room_anywhere_the_teacher_runs(told, no_memory, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=0))
    with pytest.warns(UserWarning, match="no room on the disk"):
        run, lines = told("seeds=[0]")
    reason = "neither memory nor disk has room for its outputs"
    assert lines_about_the_teacher(lines) == [f"teacher runs in every step: {reason}"]
    assert [found["teacher_cached"] for found in summaries(run)] == [False]


@pytest.mark.parametrize("augmented", ["false", "true"])
def test_batches_from_workers_are_the_same(told, augmented) -> None:
    settings = (f"dataset.augmented={augmented}", "seeds=[0]", "training.epochs=3")
    here, there = (
        told(*settings, f"training.workers={workers}", out=f"workers-{workers}")[0]
        for workers in (0, 2)
    )
    assert_same_weights(here, there)


def test_the_run_folder_is_named_once_the_recipe_holds(opened, told) -> None:
    run, lines = told("seeds=[0]", "training.epochs=1")
    assert lines[2] == f"run folder: {run.directory.folder}"
    written = io.StringIO()
    broken = opened(
        "methods.mapped.terms.0.student=nowhere", out="other", console=Console(file=written)
    )
    with pytest.raises(RecipeError, match="nowhere"):
        broken.train()
    assert "run folder" not in written.getvalue()


def test_a_run_from_before_a_setting_existed_can_go_on(opened) -> None:
    run = opened("seeds=[0]", "training.epochs=1")
    run.train()
    path = run.directory.folder / "recipe.toml"
    recipe = tomllib.loads(path.read_text())
    del recipe["teacher"]["cache_mebibytes"], recipe["training"]["workers"]
    path.write_text(tomlkit.dumps(recipe))
    summaries = sorted(run.directory.folder.glob("**/summary.json"))
    for summary in summaries:  # which did not say then what a network was made by
        content = read_sealed_json(summary)
        del content[MADE_BY]
        write_sealed_json(summary, content)
    before = [summary.read_text() for summary in summaries]
    opened("seeds=[0]", "training.epochs=1", resume=True).train()
    assert before
    assert [summary.read_text() for summary in summaries] == before


@pytest.fixture
def measured(monkeypatch) -> list[int]:
    """Sizes that measured steps are told to have; every measurement takes one."""
    sizes = iter(range(1000, 2000))
    calls: list[int] = []

    def measure(step, device):
        step()
        calls.append(next(sizes))
        return calls[-1]

    monkeypatch.setattr(lightning_module, "peak_memory", measure)
    return calls


def test_the_memory_of_the_second_step_is_reported(told, measured) -> None:
    run, _ = told("seeds=[0]")
    assert len(measured) == 2 * 3
    teacher = json.loads((run.directory.teacher / "summary.json").read_text())
    assert teacher["peak_memory_bytes"] == 1001
    assert summaries(run, "baseline")[0]["peak_memory_bytes"] == 1003
    assert summaries(run)[0]["peak_memory_bytes"] == 1005


def test_the_memory_that_was_measured_survives_an_interruption(told, plugin, measured) -> None:
    plugin.interrupt_at = TEACHER_STEPS + 2 * STEPS_PER_EPOCH + 1
    told("seeds=[0]")
    plugin.interrupt_at = None
    run, _ = told("seeds=[0]", resume=True)
    assert summaries(run, "baseline")[0]["peak_memory_bytes"] == 1003
    assert len(measured) == 2 * 3


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a step's memory")
def test_the_memory_of_a_step_is_really_measured(told) -> None:
    run, _ = told("seeds=[0]", "student.params.width=20000", "training.epochs=1")
    # 100 kB of parameters; 40 rows of 20,000 hidden features, several times over.
    assert summaries(run, "baseline")[0]["peak_memory_bytes"] > 40 * 20000 * 4


@pytest.mark.parametrize("cache", ["true", "false"])
def test_a_teacher_teaches_in_its_own_precision(opened, monkeypatch, cache):
    dtypes = set()
    forward = Perceptron.forward

    def looking(self, x):
        out = forward(self, x)
        dtypes.add((self.hidden.out_features, self.training, out.dtype))
        return out

    monkeypatch.setattr(Perceptron, "forward", looking)
    # One of 40 validation rows is more than is allowed, and processors round otherwise.
    monkeypatch.setattr(teacher_precision, "TOLERANCE", 0.5)
    run = opened('teacher.precision="bf16-mixed"', f"teacher.cache={cache}", "seeds=[0]")
    run.train()
    assert (8, False, torch.bfloat16) in dtypes
    # Trained as the run says, and the students with it.
    assert {dtype for _, training, dtype in dtypes if training} == {torch.float32}
    assert {dtype for width, _, dtype in dtypes if width == 3} == {torch.float32}


def test_a_teacher_that_is_worse_in_its_precision_is_an_error(opened, monkeypatch):
    monkeypatch.setattr(teacher_precision, "TOLERANCE", -1.0)
    run = opened('teacher.precision="bf16-mixed"', "seeds=[0]", "training.epochs=1")
    with pytest.raises(FailedNetworks) as failed:
        run.train()
    message = str(failed.value)
    assert "precision: in bf16-mixed the teacher's validation accuracy is" in message
    assert "worse by more than the -1 allowed; leave precision out" in message


def test_a_precision_that_the_device_lacks_is_said_before_training(opened):
    with pytest.raises(RecipeError, match="16-mixed needs a GPU"):
        opened('teacher.precision="16-mixed"').train()
