"""A run's folder: made whole and by one run alone, locked while it trains, given up on SIGTERM."""

import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tiny_plugin import TinyPlugin

from gkd import hookimpl
from gkd.errors import RecipeError
from gkd.files import read_sealed_json, read_sealed_text
from gkd.training import run_directory
from gkd.training.run_directory import RunDirectory, new_folders
from gkd.training.run_lock import locked
from gkd.training.termination import Terminated


def test_runs_that_begin_at_once_have_folders_of_their_own(opened, tmp_path) -> None:
    recipe = opened().file.recipe

    def start(number: int) -> Path:
        folders = new_folders("tiny", tmp_path / "runs")
        directory = RunDirectory(next(folders), folders)
        directory.start(recipe, {"number": number})
        return directory.folder

    with ThreadPoolExecutor(20) as pool:
        folders = list(pool.map(start, range(100)))
    assert len(set(folders)) == 100
    assert set((tmp_path / "runs").iterdir()) == set(folders)
    for number, folder in enumerate(folders):
        assert read_sealed_json(folder / "environment.json") == {"number": number}
        assert read_sealed_text(folder / "recipe.toml")


def test_of_runs_that_name_one_folder_one_begins(opened, tmp_path) -> None:
    runs = [opened(out="same") for _ in range(2)]
    runs[0].directory.start(runs[0].file.recipe, {"first": True})
    with pytest.raises(RecipeError, match="another run made it meanwhile"):
        runs[1].directory.start(runs[1].file.recipe, {"first": False})
    assert read_sealed_json(tmp_path / "same" / "environment.json") == {"first": True}
    assert {path.name for path in tmp_path.iterdir()} == {"same", "tiny.toml"}


def test_an_empty_folder_is_taken(opened, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    opened(out="empty").train()
    assert (tmp_path / "empty" / "teacher" / "summary.json").is_file()


def test_a_folder_that_is_half_made_is_no_run(opened, tmp_path, monkeypatch) -> None:
    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_directory, "write_sealed_text", killed)
    run = opened()
    with pytest.raises(KeyboardInterrupt):
        run.directory.start(run.file.recipe, {})
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.toml"}


def test_a_place_that_cannot_be_written(opened, tmp_path) -> None:
    (tmp_path / "file").touch()
    run = opened(out="file/below")
    with pytest.raises(RecipeError, match=r"below: cannot be made: (File exists|Not a directory)"):
        run.directory.start(run.file.recipe, {})


def hold(folder: Path, held, let_go) -> None:
    with locked(folder):
        held.set()
        let_go.wait(60)


@pytest.mark.parametrize("end", ["released", "killed"])
def test_a_run_is_gone_on_with_by_one_process(opened, tmp_path, end) -> None:
    run = opened("seeds=[0]")
    run.train()
    context = multiprocessing.get_context("spawn")
    held, let_go = context.Event(), context.Event()
    other = context.Process(target=hold, args=(run.directory.folder, held, let_go))
    other.start()
    assert held.wait(60)
    message = rf"run is in use: process {other.pid} on {os.uname().nodename} trains in it since 20"
    with pytest.raises(RecipeError, match=message):
        opened("seeds=[0]", resume=True).train()
    if end == "killed":
        other.kill()
    else:
        let_go.set()
    other.join(60)
    opened("seeds=[0]", resume=True).train()


class EndsAt(TinyPlugin):
    """Sends its process the signal by which schedulers end it, at a step."""

    at: int | None = None

    @hookimpl
    def gkd_step(self, event):
        super().gkd_step(event)
        if len(self.events) == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def plugin() -> EndsAt:
    return EndsAt()


@pytest.mark.parametrize("step", [4, 13])
def test_sigterm_is_an_interrupt(opened, plugin, step) -> None:
    before = signal.getsignal(signal.SIGTERM)
    plugin.at = step
    with pytest.raises(Terminated):
        opened("seeds=[0]").train()
    assert signal.getsignal(signal.SIGTERM) is before
    assert len(plugin.events) == step  # at once, not at the end of the epoch
    opened("seeds=[0]", resume=True).train()
