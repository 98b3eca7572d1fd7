"""The tiny plugin for sweeps: sealed test data, a loss that fails, a process that dies."""

import os
import signal
from pathlib import Path

from tiny_plugin import Blobs, Mapped, TinyPlugin

from gkd import ParameterError, hookimpl

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
