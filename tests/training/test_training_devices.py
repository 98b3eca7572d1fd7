"""Where a run computes, and several processes that share it."""

import copy
from io import StringIO

import pytest
import tiny_plugin
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from rich.console import Console
from safetensors.torch import load_file
from torch import nn

import gkd
from gkd.data import collate
from gkd.errors import ParameterError
from gkd.recipe.file import read_recipe
from gkd.report.summary import summaries
from gkd.training.devices import _AVAILABLE, Devices
from gkd.training.dry_run import dry_run
from gkd.training.executors import executor_for
from gkd.training.experiment import Experiment
from gkd.training.sharing import differences


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
    with pytest.raises(ParameterError, match="2 devices cannot share a batch of 1"):
        Devices("cpu", 2).check(1, "32-true")
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


def test_two_processes_train_as_one(opened, train_once):
    # Five samples in batches of two: the last has none for the second process.
    settings = ["seeds=[0]", "student.params={width=3, batch_norm=false}", "training.epochs=3"]
    settings.append("teacher.params={width=8, batch_norm=false}")
    heard = Console(file=StringIO(), width=300)
    run = opened(*settings, devices=Devices("cpu", 2), console=heard)
    run.train()
    assert heard.file.getvalue().count("mapped seed 0  epoch 3/3") == 1
    alone = train_once(*settings).directory.folder
    for network in ("teacher", "students/baseline/seed-0", "students/mapped/seed-0"):
        ours, theirs = (
            load_file(folder / network / "weights.safetensors")
            for folder in (run.directory.folder, alone)
        )
        for name, weights in ours.items():
            assert weights.allclose(theirs[name], rtol=1e-5, atol=1e-6), (network, name)
    together, alone = (
        {summary.method: summary for summary in summaries(folder)}
        for folder in (run.directory.folder, alone)
    )
    for method, summary in together.items():
        for row, other in zip(summary.history, alone[method].history, strict=True):
            assert row["loss"] == pytest.approx(other["loss"], rel=1e-5)
            assert row["validation/accuracy"] == other["validation/accuracy"]


def test_what_is_not_as_on_one_device_is_said(recipe_path, tmp_path, host):
    file = read_recipe(recipe_path, ["seeds=[0]"])
    experiment = Experiment(file, host)
    with host.activated():
        notes = dry_run(experiment, Devices("cpu", 2))
    assert notes == [
        f"2 devices: batch normalisation of the {name} (norm) takes its statistics from the share "
        "of each device, not from the whole batch"
        for name in ("student",)
    ]


class Mixing(nn.Module):
    """Outputs for a sample that depend on the others."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, 3)

    def forward(self, x):
        return self.out(x - x.mean(dim=0))


class Heads(nn.Module):
    """Keeps heads before nodes."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.out = nn.Identity(), nn.Linear(4, 3)

    def forward(self, x):
        return self.out(self.heads(x.reshape(len(x), 2, 2).transpose(0, 1))[0].repeat(1, 2))


def shared_by_two(network, **term):
    batch = collate([tiny_plugin.Blobs().sample("train", index) for index in range(3)])
    terms = [gkd.Term(tiny_plugin.Mapped(), **term)] if term else []
    distiller = gkd.Distiller(
        copy.deepcopy(network), network, terms, task="single-label", inputs=["x"]
    )
    return differences(distiller.prepare(batch), batch, processes=2)


def test_networks_whose_samples_depend_on_one_another_are_named():
    notes = shared_by_two(Mixing())
    assert "what the student outputs for a sample (logits) depends on the other" in notes[0]
    assert shared_by_two(nn.Linear(4, 3)) == []


def test_taps_that_cannot_be_put_together():
    term = {"student": "heads", "teacher": "heads", "layout": "H N F"}
    with pytest.raises(ParameterError, match=r"tap 'heads' of shape \[2, 60, 2\].*first axis"):
        shared_by_two(Heads(), **term)


def test_a_device_may_be_named_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(_AVAILABLE, "cuda", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    chosen = Devices.of("cuda:1")
    assert (chosen.kind, chosen.count, chosen.number) == ("cuda", 1, 1)
    assert chosen.torch_device == torch.device("cuda:1")
    assert (chosen.of_lightning, Devices.of("cuda", 2).of_lightning) == ([1], 2)
    assert Devices.of("cpu:0").of_lightning == 1
    for wrong, count, words in (
        ("cuda:2", 1, "no device 'cuda:2': cuda has 0 to 1"),
        ("cuda:x", 1, "no device 'cuda:x'"),
        ("cpu:1", 1, "no device 'cpu:1': cpu has 0 to 0"),
        ("cuda:1", 2, "--device cuda:1 is one device"),
        ("gpu", 1, "no device 'gpu': did you mean 'cuda'?"),
        ("gpu:1", 1, "no device 'gpu': did you mean 'cuda'?"),
    ):
        with pytest.raises(ParameterError, match=words):
            Devices.of(wrong, count)
    with pytest.raises(ParameterError, match="let CUDA_VISIBLE_DEVICES=1 choose"):
        executor_for(chosen, jobs=2)
