"""Sweeps of the tiny recipe."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from swept_plugin import SPACE, SweptPlugin
from tiny_plugin import RECIPE

from gkd.hosting.host import create_host
from gkd.recipe.file import read_recipe
from gkd.sweep.sweep_run import SweepRun, open_sweep
from gkd.training.devices import Devices
from gkd.training.executor import Executor, Serial


@pytest.fixture
def plugin(tmp_path: Path) -> SweptPlugin:
    return SweptPlugin(tmp_path / "fatal")


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    text = RECIPE.replace('"blobs"', '"sealed"').replace("epochs = 5", "epochs = 2")
    path.write_text(text + SPACE)
    return path


@pytest.fixture
def opened(plugin: SweptPlugin, recipe_path: Path, tmp_path: Path) -> Callable[..., SweepRun]:
    """Function that opens a sweep of the tiny recipe in a folder of the test's."""
    host = create_host(discover=False)
    host.register(plugin)

    def open(
        *settings: str,
        space: tuple[str, ...] = (),
        out: str = "sweep",
        resume: bool = False,
        storage: str | None = None,
        console: Console | None = None,
        executor: Executor | None = None,
        recipe: Path = recipe_path,
    ) -> SweepRun:
        file = read_recipe(recipe, settings, space)
        return open_sweep(
            file,
            host,
            Devices("cpu"),
            console or Console(quiet=True),
            executor or Serial(),
            out=tmp_path / out,
            resume=resume,
            storage=storage,
        )

    return open
