"""Small networks, batches and losses that the tests of the distiller share."""

from types import SimpleNamespace

import torch
from torch import Tensor, nn

import gkd

SAME_TAPS = {"student": "layers.0", "teacher": "layers.0"}
"""Taps of a term, at the same place in both networks."""


class Squared(gkd.AbstractLoss):
    """Mean squared difference of the features, or of the logits where there are none."""

    def forward(self, student: gkd.View, teacher: gkd.View) -> Tensor:
        ours = student.logits if student.features is None else student.features
        theirs = teacher.logits if teacher.features is None else teacher.features
        return (ours - theirs).square().mean()


class Recorder(gkd.AbstractLoss):
    """Keeps the views it saw."""

    def forward(self, student: gkd.View, teacher: gkd.View) -> Tensor:
        self.student, self.teacher = student, teacher
        tensor = student.logits if student.features is None else student.features
        return tensor.square().mean()


class Mapped(gkd.AbstractLoss):
    """Squared difference after a learned map to the teacher's width."""

    def __init__(self) -> None:
        super().__init__()
        self.map: nn.Linear | None = None

    def build(self, student: gkd.View, teacher: gkd.View) -> None:
        widths = student.features.shape[1], teacher.features.shape[1]
        self.map = nn.Linear(*widths, dtype=student.features.dtype)

    def forward(self, student: gkd.View, teacher: gkd.View) -> Tensor:
        return (self.map(student.features) - teacher.features).square().mean()


class Network(nn.Module):
    """Two linear layers with batch normalisation and dropout between them."""

    def __init__(self, width: int = 4, classes: int = 3) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(5, width), nn.Linear(width, classes)])
        self.norm = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(0.5)
        self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.norm(self.layers[0](x)).relu()
        return self.layers[1](self.dropout(hidden))


class Output(nn.Module):
    """A network whose sub-module ``inner`` returns what ``function`` makes of ``x``."""

    def __init__(self, function, calls: int = 1) -> None:
        super().__init__()
        self.inner = _Inner(function)
        self.head = nn.Linear(5, 3)
        self.calls = calls
        self.one = nn.Parameter(torch.ones(()))  # what a student's tap compares can be trained

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.calls):
            self.inner(x * self.one)
        return self.head(x)


class _Inner(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> object:
        return self.function(x)


def batch_of(nodes: int = 6, seed: int = 0) -> SimpleNamespace:
    random = torch.Generator().manual_seed(seed)
    return SimpleNamespace(
        x=torch.randn(nodes, 5, generator=random),
        y=torch.randint(3, (nodes,), generator=random),
        edge_index=torch.stack([torch.arange(nodes), torch.arange(nodes).roll(1)]),
    )


def distiller_of(teacher, student, *terms: gkd.Term, **options) -> gkd.Distiller:
    settings = {"task": "single-label", "inputs": ["x"], **options}
    return gkd.Distiller(teacher, student, list(terms), **settings)


def hooks_of(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in network.modules())
