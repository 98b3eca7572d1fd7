"""Where a run computes, and several processes that share it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only

from gkd.errors import ParameterError
from gkd.report.summary import summaries
from gkd.training.devices import Devices

SCRIPT = """\
import sys
from pathlib import Path
from rich.console import Console
from tiny_plugin import RECIPE, TinyPlugin
from gkd.hosting.host import create_host
from gkd.recipe.file import read_recipe
from gkd.training.devices import Devices
from gkd.training.recipe_run import open_run

folder = Path(sys.argv[1])
host = create_host(discover=False)
host.register(TinyPlugin())
file = read_recipe(folder / "tiny.toml", ["seeds=[0]"])
run = open_run(file, host, Devices("cpu", 2), Console(), out=folder / "run")
run.train()
sys.stdout.write("first done\\n" if run.first_process else "second done\\n")  # in one piece
"""


def test_auto_finds_a_device():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert Devices.of("auto").kind == expected


@pytest.mark.parametrize(
    ("device", "devices", "words"),
    [("cdua", 1, "did you mean 'cuda'"), ("cpu", 0, "--devices 0"), ("cpu", -1, "--devices -1")],
)
def test_wrong_devices(device, devices, words):
    with pytest.raises(ParameterError, match=words):
        Devices.of(device, devices)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has cuda")
def test_absent_devices():
    with pytest.raises(ParameterError, match=r"this machine has no cuda.*it has: cpu"):
        Devices.of("cuda")


def test_batches_and_precisions_that_do_not_fit():
    with pytest.raises(ParameterError, match="batch_size of 3 is not divisible by 2 devices"):
        Devices("cpu", 2).check(3, "32-true")
    with pytest.raises(ParameterError, match="16-mixed needs a GPU"):
        Devices("cpu").check(2, "16-mixed")
    Devices("cpu", 2).check(4, "bf16-mixed")


SCHEDULERS = {
    "slurm": {"SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_JOB_NAME": "gkd"},
    "ranks": {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "NODE_RANK": "1"},
    "lsf": {"LSB_JOBID": "1", "LSB_DJOB_RANKFILE": "none", "JSM_NAMESPACE_SIZE": "2"},
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_schedulers_do_not_steer_a_run_on_one_device(opened, monkeypatch, scheduler):
    for name, value in SCHEDULERS[scheduler].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rank_zero_only, "rank", 1)  # as Lightning reads it when it is imported
    run = opened("seeds=[0]", "training.epochs=1")
    run.train()
    assert rank_zero_only.rank == 0
    found = summaries(run.directory.folder)
    assert [summary.method for summary in found] == ["baseline", "mapped", "teacher"]
    assert Devices("cuda").torch_device == torch.device("cuda", 0)


def test_two_processes_train_one_run(recipe_path, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    path = [str(Path(__file__).parents[1]), *filter(None, sys.path)]
    done = subprocess.run(
        [sys.executable, script, tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "first done" in done.stdout
    assert "second done" in done.stdout, done.stderr
    found = summaries(tmp_path / "run")
    assert [summary.method for summary in found] == ["baseline", "mapped", "teacher"]
    for summary in found:
        losses = [row["loss"] for row in summary.history]
        assert losses[-1] < losses[0]
