"""Runs of the tiny recipe."""

from pathlib import Path

import pytest
from rich.console import Console
from tiny_plugin import RECIPE, TinyPlugin

from gkd.hosting.host import Host, create_host
from gkd.recipe.file import RecipeFile, read_recipe
from gkd.training.devices import Devices
from gkd.training.recipe_run import Run, open_run


@pytest.fixture
def plugin() -> TinyPlugin:
    return TinyPlugin()


@pytest.fixture
def host(plugin: TinyPlugin) -> Host:
    host = create_host(discover=False)
    host.register(plugin)
    return host


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def opened(host: Host, recipe_path: Path, tmp_path: Path):
    """Function that opens a run of the tiny recipe in a folder of the test's."""

    def open(
        *settings: str, out: str = "run", resume: bool = False, console: Console | None = None
    ) -> Run:
        file: RecipeFile = read_recipe(recipe_path, settings)
        console = console or Console(quiet=True)
        return open_run(file, host, Devices("cpu"), console, out=tmp_path / out, resume=resume)

    return open
