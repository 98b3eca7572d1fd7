"""Runs of the tiny recipe."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console
from tiny_plugin import RECIPE, TinyPlugin

from gkd.hosting.host import Host, create_host
from gkd.recipe.file import RecipeFile, read_recipe
from gkd.training.devices import Devices
from gkd.training.executor import Executor
from gkd.training.recipe_run import Run, open_run

ONE_CPU = Devices("cpu")


@pytest.fixture(autouse=True)
def _quick(quick_latency: None) -> None:
    """What runs measure is no matter here."""


@pytest.fixture
def plugin() -> TinyPlugin:
    return TinyPlugin()


def host_of(plugin: TinyPlugin) -> Host:
    """A host of that plugin alone."""
    host = create_host(discover=False)
    host.register(plugin)
    return host


@pytest.fixture
def host(plugin: TinyPlugin) -> Host:
    return host_of(plugin)


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


def opener(host: Host, recipe_path: Path, folder: Path) -> Callable[..., Run]:
    """Function that opens a run of the recipe in ``folder``."""

    def open(
        *settings: str,
        out: str = "run",
        resume: bool = False,
        console: Console | None = None,
        devices: Devices = ONE_CPU,
        executor: Executor | None = None,
    ) -> Run:
        file: RecipeFile = read_recipe(recipe_path, settings)
        console = console or Console(quiet=True)
        place = {"out": folder / out, "resume": resume}
        return open_run(file, host, devices, console, executor=executor, **place)

    return open


@pytest.fixture
def opened(host: Host, recipe_path: Path, tmp_path: Path) -> Callable[..., Run]:
    """Function that opens a run of the tiny recipe in a folder of the test's."""
    return opener(host, recipe_path, tmp_path)


@pytest.fixture(scope="session")
def train_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Run]:
    """Function that trains a run with those settings, once for all tests that only read it."""

    @cache
    def train(*settings: str) -> Run:
        folder = tmp_path_factory.mktemp("trained")
        recipe = folder / "tiny.toml"
        recipe.write_text(RECIPE)
        run = opener(host_of(TinyPlugin()), recipe, folder)(*settings)
        run.train()
        return run

    return train
