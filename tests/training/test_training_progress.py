"""What a run says of its progress, on terminals and elsewhere."""

import io
import json
import re
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from torch import nn

from gkd.errors import GkdError
from gkd.evaluation.metric import Metric
from gkd.training import progress
from gkd.training.lightning_module import DistillationModule
from gkd.training.run_plan import RunPlan


def test_plain_lines_without_a_terminal(opened):
    written = io.StringIO()
    opened("seeds=[0]", console=Console(file=written, width=40)).train()
    lines = written.getvalue().splitlines()
    assert lines[:2] == ["reading blobs", "trying every network on a batch"]
    assert lines[2].startswith("run folder: ")
    assert lines[3].startswith("[1/3] teacher  epoch 1/2  accuracy ")
    (last,) = (line for line in lines if "mapped seed 0  epoch 5/5" in line)
    assert re.fullmatch(
        r"\[3/3\] mapped seed 0  epoch 5/5  accuracy \d+\.\d\d %  loss \S+  mapped \S+", last
    )
    assert all(len(line) <= progress.WIDTH for line in lines[3:])


def test_a_given_teacher_has_a_line_like_those_that_are_trained(opened, tmp_path):
    opened("seeds=[0]").train()
    weights, written = tmp_path / "run" / "teacher" / "weights.safetensors", io.StringIO()
    again = opened(
        "seeds=[0]", f"teacher.weights={weights}", out="again", console=Console(file=written)
    )
    again.train()
    found = json.loads((again.directory.teacher / "summary.json").read_text())
    reached = f"{100 * found['validation']['accuracy']:.2f} %"
    line = f"[1/3] teacher: given weights, validation accuracy {reached}"
    assert line in written.getvalue().splitlines()


def test_what_fails_while_data_are_read_has_said_so_before(opened):
    written = io.StringIO()
    run = opened("dataset.name=nothing", console=Console(file=written))
    with pytest.raises(GkdError):
        run.train()
    assert written.getvalue().splitlines() == ["reading nothing"]


def test_bar_on_a_terminal(opened):
    written = io.StringIO()
    opened("seeds=[0]", console=Console(file=written, force_terminal=True, width=80)).train()
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.getvalue())
    frames = re.split(r"[\r\n]+", shown)
    assert re.search(r"\[3/3\] mapped seed 0  epoch \d/5 ━━", shown)
    assert any(frame.startswith("[3/3] mapped seed 0  epoch 5/5  accuracy ") for frame in frames)
    assert all(len(frame) <= 80 for frame in frames if not frame.startswith("run folder: "))


class Clock:
    """A trainer whose module has trained some steps of some epochs, at some times."""

    def __init__(self, monkeypatch, epochs: int = 8, steps: int = 10) -> None:
        self.now = 100.0
        monkeypatch.setattr(progress, "monotonic", lambda: self.now)
        self.module = DistillationModule(nn.Identity(), None, 0, SimpleNamespace(main=ACCURACY))
        self.row = {"loss": 0.5, "term/kd": 0.25}
        monkeypatch.setattr(self.module.means, "row", lambda: self.row)
        self.module.means.steps = 1
        self.current = SimpleNamespace(completed=0)
        loop = SimpleNamespace(batch_progress=SimpleNamespace(current=self.current))
        self.trainer = SimpleNamespace(
            current_epoch=0,
            max_epochs=epochs,
            num_training_batches=steps,
            is_last_batch=False,
            is_global_zero=True,
            callback_metrics={},
            fit_loop=SimpleNamespace(epoch_loop=loop),
        )

    def at(self, now: float, epoch: int, step: int) -> None:
        self.now, self.trainer.current_epoch, self.current.completed = now, epoch, step
        self.trainer.is_last_batch = step == self.trainer.num_training_batches


ACCURACY = Metric("accuracy")


def test_lines_tell_what_is_left_of_the_network_and_of_the_run(monkeypatch):
    clock, written = Clock(monkeypatch), io.StringIO()
    plan = RunPlan({"a": ("teacher", 4), "b": ("kd", 8), "c": ("kd", 8)}, {"b", "c"})
    words = progress.Words("kd seed 0", plan.standing("b"))
    lines = progress.ProgressLines(words, Console(file=written, width=40))
    clock.at(100.0, 2, 0)  # it is gone on with after two epochs
    lines.on_train_start(clock.trainer, clock.module)
    clock.at(110.0, 2, 10)
    clock.trainer.callback_metrics = {"validation/accuracy": torch.tensor(0.875)}
    lines.on_train_epoch_end(clock.trainer, clock.module)
    clock.trainer.callback_metrics = {}
    clock.at(112.0, 3, 2)  # nothing: it was just said
    lines.on_train_batch_end(clock.trainer, clock.module, None, None, 1)
    clock.at(145.0, 3, 5)
    lines.on_train_batch_end(clock.trainer, clock.module, None, None, 4)
    assert written.getvalue().splitlines() == [
        "[2/3] kd seed 0  epoch 3/8  accuracy 87.50 %  loss 0.5000  0:50 left, run ~2:10",
        "[2/3] kd seed 0  epoch 4/8 50 %  accuracy 87.50 %  2:15 left, run ~6:15",
    ]


def test_the_bar_reads_losses_a_few_times_per_second(monkeypatch):
    clock = Clock(monkeypatch)
    bar = progress.ProgressBar(
        progress.Words("kd"), Console(file=io.StringIO(), force_terminal=True, width=80)
    )
    read = []
    monkeypatch.setattr(clock.module.means, "row", lambda: read.append(clock.now) or {"loss": 0.5})
    bar.on_train_start(clock.trainer, clock.module)
    for step, now in enumerate((100.3, 100.4, 100.5, 100.6, 100.7), start=1):
        clock.at(now, 0, step)
        bar.on_train_batch_end(clock.trainer, clock.module, None, None, step - 1)
    bar.on_exception(clock.trainer, clock.module, KeyboardInterrupt())
    assert read == [100.3, 100.6]


def test_an_epoch_takes_what_those_of_its_method_took():
    plan = RunPlan({1: ("teacher", 10), 2: ("kd", 4), 3: ("lsp", 4), 4: ("kd", 4)}, {1, 2, 3, 4})
    assert plan.seconds_of_others(1, 6.0) == 12 * 6.0  # nothing else is known yet
    plan.waiting.discard(1)
    assert plan.seconds_of_others(2, 2.0) == 4 * (6.0 + 2.0) / 2 + 4 * 2.0
    assert plan.standing(5) is None
    assert str(plan.standing(3)) == "[3/4]"


def test_lines_fit():
    for width in range(1, 60):
        values = ["accuracy 87.50 %", "loss 0.5"]
        assert len(progress.fitted("kd seed 0  epoch 3/9", values, "1:20", width)) <= width
