"""Processes that torchrun has started, on one machine or several."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from long_tests import LONG
from safetensors.torch import load_file

from gkd.errors import ParameterError
from gkd.training.devices import Devices
from gkd.training.executor import Serial
from gkd.training.executors import executor_for
from gkd.training.process_pool import _variables
from gkd.training.ranks import by_torchrun, is_first, machines
from gkd.training.run_directory import RunDirectory

SETTINGS = (
    "seeds=[0]",
    "dataset.train_graphs=4",
    "dataset.validation_graphs=1",
    "dataset.test_graphs=1",
    "dataset.nodes=40",
    "dataset.degree=6",
    "teacher.params.hidden_channels=[4, 4]",
    "teacher.training.epochs=2",
    "training.epochs=3",
)


@pytest.fixture
def torchrun(monkeypatch):
    """The environment of the second of four processes, two on each machine."""
    variables = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
    for name, value in {**variables, "TORCHELASTIC_RUN_ID": "none"}.items():
        monkeypatch.setenv(name, value)


def test_what_torchrun_has_started_is_what_there_is(torchrun, monkeypatch):
    devices = Devices.of("cpu")
    assert (devices.count, devices.machines) == (4, 2)
    assert Devices.of("cpu", 4) == devices
    assert by_torchrun()
    assert not is_first()
    assert isinstance(executor_for(devices), Serial)
    with pytest.raises(ParameterError, match=r"torchrun has started 4 processes; leave --devices"):
        Devices.of("cpu", 2)
    with pytest.raises(ParameterError, match=r"--jobs and --executor: torchrun has started"):
        executor_for(devices, jobs=2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr("gkd.training.devices._AVAILABLE", {"cuda": lambda: True})
    with pytest.raises(ParameterError, match=r"2 processes on this machine, which has 1 devices"):
        Devices.of("cuda")


def test_one_process_of_torchrun_is_none_of_several(torchrun, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    assert not by_torchrun()
    assert is_first()
    assert machines() == 1
    assert Devices.of("cpu", 2) == Devices("cpu", 2)


def test_a_machine_without_the_folder_says_so(tmp_path):
    RunDirectory(tmp_path).check_visible()
    with pytest.raises(ValueError, match=rf"{socket.gethostname()} has no .*under the same paths"):
        RunDirectory(tmp_path / "elsewhere").check_visible()


def test_networks_take_the_gpus_in_turn(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,7")

    def visible(slot: int, count: int) -> str:
        variables = _variables(Devices("cuda", count), 1, slot, rank=0, port=1)
        return variables["CUDA_VISIBLE_DEVICES"]

    assert [visible(slot, 1) for slot in range(4)] == ["4", "5", "7", "4"]
    assert [visible(slot, 2) for slot in range(2)] == ["4,5", "7,4"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible(1, 1) == "1"


def node(rank: int, port: int, *arguments: str) -> subprocess.Popen[str]:
    """Start one of two nodes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--node-rank"]
    command += [str(rank), "--master-addr", "127.0.0.1", "--master-port", str(port), "-m", "gkd"]
    return subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def on_two_nodes(*arguments: str) -> list[tuple[int, str, str]]:
    """Return exit status, output and errors of both nodes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nodes = [node(rank, port, *arguments) for rank in range(2)]
    ended = [process.communicate(timeout=300) for process in nodes]
    return [(process.returncode, *words) for process, words in zip(nodes, ended, strict=True)]


@LONG
def test_two_nodes_train_as_one_process(tmp_path: Path) -> None:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    run = ("run", "communities", *settings, "--out", str(tmp_path / "nodes"))
    (first, out, _), (second, silence, errors) = on_two_nodes(*run)
    assert (first, second) == (0, 0), errors
    assert out.count("run folder: ") == out.count("report: ") == 1
    assert silence == ""
    alone = [sys.executable, "-m", "gkd", *run[:-1], str(tmp_path / "alone")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run(alone, env=environment, check=True, capture_output=True, timeout=300)
    files = sorted((tmp_path / "alone").rglob("weights.safetensors"))
    assert len(files) == 4
    for file in files:
        ours = load_file(tmp_path / "nodes" / file.relative_to(tmp_path / "alone"))
        for name, weights in load_file(file).items():
            assert weights.allclose(ours[name], rtol=1e-4, atol=1e-5), (file, name)
    (first, _, told), (second, _, errors) = on_two_nodes(*run)
    assert first
    assert second
    assert "already there; add --resume" in told
    assert "error: " not in errors
    (first, out, _), (second, silence, _) = on_two_nodes(*run, "--resume")
    assert (first, second, silence) == (0, 0, "")
    assert "teacher: finished before" in out
