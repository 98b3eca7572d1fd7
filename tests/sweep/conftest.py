"""Sweeps of the tiny recipe."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from tiny_plugin import RECIPE, Blobs, Mapped, TinyPlugin

from gkd import ParameterError, hookimpl
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


class Fragile(Mapped):
    """Fails after the dry run: with an error for one ``limit``, with NaN for another."""

    def __init__(self, limit: str = "none") -> None:
        super().__init__()
        self.limit = limit
        self.calls = 0

    def forward(self, student, teacher):
        self.calls += 1
        if self.calls > 3 and self.limit == "error":
            raise ParameterError("fragile: broken")
        value = super().forward(student, teacher)
        return value * float("nan") if self.calls > 3 and self.limit == "nan" else value


class SweptPlugin(TinyPlugin):
    """The tiny plugin with sealed data; can be pickled.

    A process in which an epoch of a student is trained dies once, where there is a file ``fatal``.
    """

    def __init__(self, fatal: Path) -> None:
        super().__init__()
        self.fatal = fatal

    @hookimpl
    def gkd_datasets(self):
        return {"blobs": Blobs, "sealed": Sealed}

    @hookimpl
    def gkd_losses(self):
        return {"mapped": Mapped, "fragile": Fragile}

    @hookimpl
    def gkd_step(self, event):
        super().gkd_step(event)
        if event.epoch == 1 and event.report.terms and self.fatal.exists():
            self.fatal.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


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
