"""A recipe whose dataset splits anew for each seed: every seed has its own teacher, too."""

import io
import json

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from gkd import AbstractDataset, Sample, hookimpl
from gkd.report.results import run_results
from gkd.training.failures import FailedNetworks


class Points(AbstractDataset):
    """Sixty points, of which each split takes others."""

    task = "single-label"
    num_features = 4
    num_classes = 3
    inputs = ("x",)
    rows = {"train": "train_mask", "validation": "val_mask", "test": "test_mask"}  # noqa: RUF012

    def __init__(self, split: int = -1, overlap: int = -2) -> None:
        self.split, self.overlap = split, overlap
        random = torch.Generator().manual_seed(0)
        y = torch.arange(60) % 3
        x = torch.eye(3, 4)[y] + torch.randn(60, 4, generator=random)
        place = torch.randperm(60, generator=random.manual_seed(1 + max(0, split)))
        masks = {"train_mask": place < 30, "val_mask": (place >= 30) & (place < 45)}
        masks["test_mask"] = place >= (0 if overlap == split else 45)
        self.graph = Sample(id=f"split-{max(0, split)}", x=x, y=y, **masks)

    def for_seed(self, seed: int) -> AbstractDataset:
        return Points(seed, self.overlap) if self.split == -1 else self

    @property
    def train(self):
        return [self.graph]

    validation = test = train


class Plugin:
    @hookimpl
    def gkd_datasets(self):
        return {"points": Points}


@pytest.fixture(autouse=True)
def dataset(host) -> None:
    host.register(Plugin())


SETTINGS = ('dataset.name="points"', "training.batch_size=1", "teacher.training.batch_size=1")


def weights(folder) -> dict[str, torch.Tensor]:
    return load_file(folder / "weights.safetensors")


def test_a_seed_is_trained_as_if_alone_with_its_data(opened) -> None:
    run = opened(*SETTINGS, "seeds=[0, 2]")
    run.train()
    assert sorted(path.name for path in run.directory.teacher.iterdir()) == ["seed-0", "seed-2"]
    alone = opened(*SETTINGS, "seeds=[2]", "teacher.seed=2", "dataset.split=2", out="alone")
    alone.train()
    pairs = [(run.directory.teacher / "seed-2", alone.directory.teacher)]
    pairs += [(r.directory.student(m, 2) for r in (run, alone)) for m in ("baseline", "mapped")]
    for ours, theirs in pairs:
        for name, tensor in weights(theirs).items():
            assert torch.equal(weights(ours)[name], tensor), (ours, name)
        assert json.loads((ours / "summary.json").read_text())["seed"] == 2


def test_a_resumed_run_takes_the_teachers_that_are_there(opened) -> None:
    opened(*SETTINGS).train()
    students = {m: opened(*SETTINGS, resume=True).directory.student(m, 1) for m in ("mapped",)}
    before = weights(students["mapped"])
    (students["mapped"] / "summary.json").unlink()
    (students["mapped"] / "last.ckpt").unlink()
    said = io.StringIO()
    resumed = opened(*SETTINGS, resume=True, console=Console(file=said, width=200))
    written = resumed.directory.teacher_of(1) / "weights.safetensors"
    made = written.stat().st_mtime_ns
    resumed.train()
    assert "teacher seed 1: finished before" in said.getvalue()
    assert written.stat().st_mtime_ns == made
    for name, tensor in weights(students["mapped"]).items():
        assert torch.equal(before[name], tensor)


def test_results_are_over_the_teachers_of_all_seeds(opened) -> None:
    run = opened(*SETTINGS)
    run.train()
    results = run_results(run.directory.folder)
    assert {row.method: row.seeds for row in results.rows} == {
        "teacher": [0, 1],
        "baseline": [0, 1],
        "mapped": [0, 1],
    }
    assert "the choice of seeds and of their splits" in results.protocol["comparison"]
    assert not results.missing


def test_splits_of_a_seed_that_overlap_are_refused(opened) -> None:
    run = opened(*SETTINGS, "dataset.overlap=1")
    with pytest.raises(
        FailedNetworks, match=r"dataset: row .* of sample .split-1. is in .* and again in test"
    ):
        run.train()
    assert run.directory.student("mapped", 0).joinpath("summary.json").is_file()


def test_seeds_without_data_of_their_own_share_a_teacher(opened) -> None:
    run = opened(*SETTINGS, "dataset.split=0")
    run.train()
    assert (run.directory.teacher / "summary.json").is_file()
    assert "not of test data" in run_results(run.directory.folder).protocol["comparison"]
