"""Sweeps of the tiny recipe."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from tiny_plugin import RECIPE, Blobs, TinyPlugin

from gkd import hookimpl
from gkd.hosting.host import create_host
from gkd.recipe.file import read_recipe
from gkd.sweep.sweep_run import SweepRun, open_sweep
from gkd.training.devices import Devices
from gkd.training.executor import Executor, Serial

SPACE = """
[sweep]
trials = 6
seeds = [100, 101]

[sweep.space]
"training.learning_rate" = "1e-3..0.5 log"
"methods.mapped.terms.0.weight" = [0.5, 2.0, { gradient_share = 0.3 }]
"""


class Sealed(Blobs):
    """Data whose test split must not be touched."""

    @property
    def test(self):
        raise AssertionError("a sweep has looked at test data")


class SweptPlugin(TinyPlugin):
    """The tiny plugin with sealed data; can be pickled."""

    @hookimpl
    def gkd_datasets(self):
        return {"blobs": Blobs, "sealed": Sealed}


@pytest.fixture
def plugin() -> SweptPlugin:
    return SweptPlugin()


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
    ) -> SweepRun:
        file = read_recipe(recipe_path, settings, space)
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
