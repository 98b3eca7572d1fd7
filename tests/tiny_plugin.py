"""A plugin of tiny networks and data, so that training is tested in milliseconds."""

import torch
from torch import nn

from gkd import AbstractDataset, AbstractLoss, Sample, hookimpl

RECIPE = """\
title = "tiny"
seeds = [0, 1]

[dataset]
name = "blobs"

[teacher]
name = "perceptron"
params = { width = 8 }

[teacher.training]
epochs = 2
batch_size = 2
learning_rate = 0.05

[student]
name = "perceptron"
params = { width = 3, dropout = 0.3 }

[training]
epochs = 5
batch_size = 2
learning_rate = 0.05
schedule = "cosine"

[[methods]]
name = "baseline"

[[methods]]
name = "mapped"
terms = [{ loss = "mapped", weight = 2.0, student = "hidden", teacher = "hidden" }]
"""


class Perceptron(nn.Module):
    """Two layers with batch norm and dropout: state and randomness that a resumption can lose."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int = 4,
        dropout: float = 0.0,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        self.hidden = nn.Linear(in_channels, width)
        self.norm = nn.BatchNorm1d(width) if batch_norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.dropout(self.norm(self.hidden(x)).relu()))


class Blobs(AbstractDataset):
    """Points around class centres; noise of its own in every epoch if augmented."""

    task = "single-label"
    num_features = 4
    num_classes = 3
    inputs = ("x",)

    def __init__(self, augmented: bool = False, graphs: int = 5, test_graphs: int = 2) -> None:
        self.augmented = augmented
        self.epoch = 0
        self.centres = 2 * torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
        self.graphs, self.test_graphs = graphs, test_graphs

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    @property
    def train(self) -> "list[Sample]":
        noise = self.epoch if self.augmented else 0
        return [self.sample("train", index, noise) for index in range(self.graphs)]

    @property
    def validation(self) -> "list[Sample]":
        return [self.sample("validation", index) for index in range(2)]

    @property
    def test(self) -> "list[Sample]":
        return [self.sample("test", index) for index in range(self.test_graphs)]

    def sample(self, split: str, index: int, epoch: int = 0) -> Sample:
        seed = 1000 * epoch + 100 * ("train", "validation", "test").index(split) + index
        generator = torch.Generator().manual_seed(seed)
        y = torch.randint(3, (20,), generator=generator)
        x = self.centres[y] + torch.randn(20, 4, generator=generator)
        return Sample(id=f"{split}-{index}", x=x, y=y)


class Mapped(AbstractLoss):
    """Distance after a learned map: a loss with an adapter."""

    def build(self, student, teacher):
        self.map = nn.Linear(student.features.shape[1], teacher.features.shape[1])

    def forward(self, student, teacher):
        return (self.map(student.features) - teacher.features).square().mean()


class TinyPlugin:
    """Components under test, and an observer that can misbehave."""

    def __init__(self) -> None:
        self.events = []
        self.whole = []
        self.interrupt_at: int | None = None

    @hookimpl
    def gkd_models(self):
        return {"perceptron": Perceptron}

    @hookimpl
    def gkd_datasets(self):
        return {"blobs": Blobs}

    @hookimpl
    def gkd_tasks(self):
        return {"single-label": "gkd_tasks.single_label:SingleLabel"}

    @hookimpl
    def gkd_losses(self):
        return {"mapped": Mapped}

    @hookimpl
    def gkd_step(self, event):
        self.whole.append(event)
        self.events.append((event.epoch, event.step, event.report.total.item()))
        if self.interrupt_at is not None and len(self.events) == self.interrupt_at:
            raise KeyboardInterrupt
