"""A finished run with small networks, made once."""

from pathlib import Path

import pytest

from gkd.cli import main

SETTINGS = (
    "dataset.train_graphs=2",
    "dataset.validation_graphs=1",
    "dataset.test_graphs=1",
    "dataset.nodes=40",
    "dataset.degree=6",
    "teacher.params.hidden_channels=[4, 4]",
    "teacher.training.epochs=1",
    "training.epochs=2",
)


@pytest.fixture(autouse=True)
def _quick(quick_latency: None) -> None:
    """What runs measure is no matter here."""


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run of two seeds."""
    out = tmp_path_factory.mktemp("deployment") / "run"
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    arguments = ["run", "communities", "--out", str(out), "--seed", "0", "--seed", "1"]
    with pytest.raises(SystemExit) as exit:
        main([*arguments, *settings])
    assert not exit.value.code
    return out
