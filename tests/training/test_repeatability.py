"""Data and models that would make a network depend on what was made or read before it."""

from functools import wraps
from io import StringIO

import pytest
import torch
from rich.console import Console
from tiny_plugin import Blobs, Perceptron
from torch import nn

from gkd import Sample
from gkd.errors import GkdError, ParameterError
from gkd.training.repeatability import require_repeatable


class GoingOn(Blobs):
    """Noise from a generator that goes on, of its own or that of the process."""

    generator: torch.Generator | None = torch.Generator().manual_seed(0)

    @property
    def train(self) -> list[Sample]:
        noise = [torch.randn(20, 4, generator=self.generator) for _ in range(self.graphs)]
        return [
            Sample(id=one.id, x=one.x + more, y=one.y)
            for one, more in zip(super().train, noise, strict=True)
        ]


class DrawnBefore(Blobs):
    """Noise that each epoch begins by drawing."""

    def set_epoch(self, epoch: int) -> None:
        self.epoch = int(torch.randint(1000, ()))

    def __init__(self) -> None:
        super().__init__(augmented=True)


@pytest.mark.parametrize("dataset", [GoingOn(), DrawnBefore()], ids=["going-on", "drawn-before"])
def test_data_that_depend_on_what_was_read_before_are_refused(dataset: Blobs) -> None:
    with pytest.raises(ParameterError, match="is another when it is read again"):
        require_repeatable(dataset)


def test_data_from_the_random_state_of_one_process_are_taken() -> None:
    dataset = GoingOn()
    dataset.generator = None
    require_repeatable(dataset)
    with pytest.raises(ParameterError, match="several devices"):
        require_repeatable(dataset, processes=2)


def test_such_data_are_refused_before_anything_is_trained(opened, monkeypatch) -> None:
    random, sample = torch.Generator().manual_seed(0), Blobs.sample

    def going_on(self: Blobs, split: str, index: int, epoch: int = 0) -> Sample:
        one = sample(self, split, index)
        return Sample(id=one.id, x=one.x + torch.randn(20, 4, generator=random), y=one.y)

    monkeypatch.setattr(Blobs, "sample", going_on)
    run = opened("teacher.cache=false")
    with pytest.raises(GkdError, match="read again"):
        run.train()
    assert not run.directory.folder.exists()


@pytest.mark.parametrize("frozen", [False, True])
def test_networks_that_share_what_they_learn_are_refused(opened, monkeypatch, frozen) -> None:
    shared = nn.Linear(4, 3).requires_grad_(not frozen)
    build = Perceptron.__init__

    @wraps(build)
    def sharing(self: Perceptron, **options: float) -> None:
        build(self, **options)
        if self.hidden.out_features == 3:  # of the students
            self.hidden = shared

    monkeypatch.setattr(Perceptron, "__init__", sharing)
    run = opened("training.epochs=1", 'methods=[{ name = "baseline" }]')
    if frozen:
        run.train()
        return
    with pytest.raises(GkdError, match=r"'perceptron' gives the same hidden\.weight to several"):
        run.train()


@pytest.mark.parametrize("registered", [False, True])
def test_networks_that_remember_what_no_checkpoint_has_are_said(
    opened, monkeypatch, registered
) -> None:
    build, forward = Perceptron.__init__, Perceptron.forward

    @wraps(build)
    def remembering(self: Perceptron, **options: float) -> None:
        build(self, **options)
        calls = torch.zeros(())
        if registered:
            self.register_buffer("calls", calls)
        else:
            self.calls = calls

    def counting(self: Perceptron, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return forward(self, x) * (1 + 0.1 * self.calls)

    monkeypatch.setattr(Perceptron, "__init__", remembering)
    monkeypatch.setattr(Perceptron, "forward", counting)
    settings = ('methods=[{ name = "baseline" }]', "training.epochs=1", "seeds=[0]")
    heard = Console(file=StringIO(), width=400)
    opened(*settings, console=heard).train()
    assert ("what it remembers is not in its state_dict()" in heard.file.getvalue()) != registered
