"""Runs as processes of their own, what they leave, and what a check found."""

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from safetensors.torch import load_file

RECIPE = "communities"
SETTINGS = (
    "seeds=[0]",
    "dataset.train_graphs=2",
    "dataset.validation_graphs=1",
    "dataset.test_graphs=1",
    "dataset.nodes=40",
    "dataset.degree=6",
    "teacher.params.hidden_channels=[4, 4]",
    "teacher.training.epochs=20",
    "training.epochs=20",
    "training.workers=1",  # which begin and end in every epoch, so that signals meet them
)
PATIENCE = 600.0  # seconds for a small run, on a machine that others use, too


@dataclass
class Outcome:
    """What a check found.

    Args:
        tried: how often the promise was put to the test.
        broken: what was not as promised, a sentence each.
        figures: numbers beside, by name.
    """

    tried: int = 0
    broken: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def count(self, figure: str, number: int = 1) -> None:
        """Add to a figure."""
        self.figures[figure] = self.figures.get(figure, 0) + number


def arguments(out: Path, *more: str) -> list[str]:
    """Arguments of ``gkd`` for a small run, whose bits are equal with any number of jobs."""
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    return ["run", RECIPE, "--out", str(out), "--threads", "1", *settings, *more]


def some_jobs(chance: Random) -> list[str]:
    """Return options for one network after another, here or in a worker, or for two at once."""
    return chance.choice([[], ["--executor", "process"], ["--jobs", "2"]])


def begin(words: Sequence[str], log: Path, **options: Any) -> "subprocess.Popen[bytes]":
    """Begin ``gkd`` with such arguments in a process of its own, which writes to ``log``."""
    options.setdefault("preexec_fn", _heed_interrupts)
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "gkd", *words], stdout=file, stderr=file, **options
        )


def _heed_interrupts() -> None:
    # What a shell starts in the background, or nohup, ignores them, and so would its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def finish(words: Sequence[str], log: Path, **options: Any) -> int:
    """Run ``gkd`` to its end, and return its exit status."""
    return begin(words, log, **options).wait(PATIENCE)


def resumed(out: Path) -> list[str]:
    """Arguments that begin a run, or go on with it where it was begun."""
    return arguments(out, *(["--resume"] if out.exists() else []))


def results(run: Path) -> dict[str, Any]:
    """What a finished run found, without the time that it took: weights, histories, metrics."""
    found = {}
    for path in sorted(run.rglob("summary.json")):
        summary = json.loads(path.read_text(encoding="utf-8"))
        for row in summary.get("history", []):
            row.pop("seconds", None)
        digest = hashlib.sha256()
        for name, tensor in sorted(load_file(path.parent / "weights.safetensors").items()):
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
        found[str(path.parent.relative_to(run))] = {
            "weights": digest.hexdigest(),
            **{key: summary.get(key) for key in ("history", "test", "validation", "best_epoch")},
        }
    return found
