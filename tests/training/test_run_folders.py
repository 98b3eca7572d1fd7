"""A run's folder: made whole and by one run alone, locked while it trains, given up on SIGTERM."""

import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from long_tests import LONG
from rich.console import Console
from tiny_plugin import Blobs, TinyPlugin

from gkd import hookimpl
from gkd.errors import RecipeError
from gkd.files import read_sealed_json, read_sealed_text
from gkd.hosting.hookspecs import StepEvent
from gkd.hosting.host import create_host
from gkd.recipe.file import read_recipe
from gkd.training import run_directory
from gkd.training.devices import Devices
from gkd.training.failures import FailedNetworks
from gkd.training.recipe_run import Run, open_run
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


@pytest.mark.parametrize("out", [".", "..", ""])
def test_the_current_folder_is_not_taken(opened, tmp_path, monkeypatch, out) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(RecipeError, match="name a new"):
        opened(out=tmp_path / "here" / out)


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


def hold(folder: Path, other) -> None:
    with locked(folder):
        other.send(os.getpid())
        other.poll(60)


@pytest.mark.parametrize("end", [pytest.param("released", marks=LONG), "killed"])
def test_a_run_is_gone_on_with_by_one_process(opened, tmp_path, end) -> None:
    run = opened("seeds=[0]")
    run.train()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    other = context.Process(target=hold, args=(run.directory.folder, theirs))
    other.start()
    assert ours.poll(60)
    pid = ours.recv()
    message = rf"run is in use: process {pid} on {os.uname().nodename} trains in it since 20"
    with pytest.raises(RecipeError, match=message):
        opened("seeds=[0]", resume=True).train()
    if end == "killed":
        os.kill(pid, signal.SIGKILL)
    else:
        ours.send("end")
    other.join(60)
    opened("seeds=[0]", resume=True).train()


class EndsAt(TinyPlugin):
    """Sends its process the signal by which schedulers end it, or another, at a step."""

    at: int | None = None
    number = signal.SIGTERM
    in_finaliser = False  # where Python ignores what the handler raises

    @hookimpl
    def gkd_step(self, event):
        super().gkd_step(event)
        number = self.number

        class Loader:
            def __del__(self) -> None:
                os.kill(os.getpid(), number)

        if len(self.events) == self.at:
            if self.in_finaliser:
                Loader()
            else:
                os.kill(os.getpid(), number)


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


def test_a_run_under_nohup_outlives_its_terminal(opened, plugin) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        plugin.at, plugin.number = 4, signal.SIGHUP
        opened("seeds=[0]").train()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert len(plugin.events) > 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("step", [4, 6])  # within the teacher's training, and at its end
def test_a_signal_that_a_finaliser_swallows_is_heeded(opened, plugin, tmp_path, number, step):
    plugin.at, plugin.number, plugin.in_finaliser = step, number, True
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            opened("seeds=[0]").train()
        assert isinstance(caught.value, Terminated) == (number == signal.SIGTERM)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(plugin.events) == step
    assert not list(tmp_path.rglob("summary.json"))
    plugin.at = None
    opened("seeds=[0]", resume=True).train()


def test_a_run_with_relative_paths_goes_on_from_another_folder(
    recipe_path, tmp_path, monkeypatch
) -> None:
    class FromFolder(Blobs):
        def __init__(self, root: str | Path, name_of: str = "") -> None:
            super().__init__()
            assert (Path(root) / "blobs").is_file()

    class Plugin(TinyPlugin):
        @hookimpl
        def gkd_datasets(self):
            return {"blobs": FromFolder}

    host = create_host(discover=False)
    host.register(Plugin())
    console = Console(quiet=True)

    def opened(recipe: Path, root: str, **options: object) -> Run:
        settings = [f"dataset.root={root!r}", "dataset.name_of='data'", "seeds=[0]"]
        settings += ["training.epochs=1", "teacher.training.epochs=1"]
        file = read_recipe(recipe, settings)
        return open_run(file, host, Devices("cpu"), console, out=tmp_path / "run", **options)

    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for folder in (here / "data", elsewhere):
        folder.mkdir(parents=True)
    (here / "data" / "blobs").touch()
    monkeypatch.chdir(here)
    opened(recipe_path, "data").train()
    own = tmp_path / "run" / "recipe.toml"
    absolute = str(here / "data")
    assert read_recipe(own).recipe.dataset.params == {"root": absolute, "name_of": "data"}
    monkeypatch.chdir(elsewhere)
    opened(own, absolute, resume=True).train()
    with pytest.raises(RecipeError, match=f"dataset.root was '{absolute}', is '{elsewhere}/data'"):
        opened(recipe_path, "data", resume=True)
    monkeypatch.chdir(here)
    whole = read_sealed_text(own)
    own.write_text(whole.replace(f'"{absolute}"', '"./data"'))  # as runs of before have it
    assert own.read_text() != whole
    opened(recipe_path, "data", resume=True)
    with pytest.raises(RecipeError, match=r"dataset.root was '\./data', is '/data'"):
        opened(recipe_path, "/data", resume=True)


@pytest.mark.parametrize("step", [1, 4], ids=["not-validated", "validated"])
def test_a_folder_that_is_moved_while_it_trains_is_not_made_anew(
    opened, host, tmp_path, step
) -> None:
    class Mover:
        @hookimpl
        def gkd_step(self, event: StepEvent) -> None:
            if event.step == step and not (tmp_path / "moved").exists():
                (tmp_path / "run").rename(tmp_path / "moved")

    host.register(Mover())
    settings = ("teacher.training.epochs=3", "teacher.training.validate_every=2", "seeds=[0]")
    with pytest.raises(FailedNetworks, match="run/teacher is gone: a run's folder must not"):
        opened(*settings).train()
    assert not (tmp_path / "run").exists()
    opened(*settings, out="moved", resume=True).train()
