"""A weigher that keeps every law, and for each law one that breaks it."""

import os

import torch
from torch import Tensor

from gkd import AbstractWeigher, Step, View


class Spread(AbstractWeigher):
    """How far the teacher's logits are from each other, and those of a node's neighbours."""

    def forward(self, student: View, teacher: View, step: Step) -> Tensor:
        graph, spread = student.require_graph("spread"), self.spread(teacher)
        return spread + torch.zeros_like(spread).index_add(0, graph.target, spread[graph.source])

    def spread(self, teacher: View) -> Tensor:
        logits = teacher.require_logits("spread")
        return logits.amax(1).float() - logits.amin(1).float()


class Reciprocal(Spread):
    def forward(self, student, teacher, step):
        return 1 / super().forward(student, teacher, step)


class Lowered(Spread):
    def forward(self, student, teacher, step):
        return super().forward(student, teacher, step) - 1


class MeanOfNeighbours(Spread):
    def forward(self, student, teacher, step):
        graph, spread = student.require_graph("mean"), self.spread(teacher)
        sums = torch.zeros_like(spread).index_add(0, graph.target, spread[graph.source])
        return sums / graph.row_pointer.diff()


class Counting(Spread):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, student, teacher, step):
        self.calls += 1
        return super().forward(student, teacher, step) * self.calls


class ByNumber(Spread):
    def forward(self, student, teacher, step):
        weights = super().forward(student, teacher, step)
        return weights * torch.arange(len(weights), device=weights.device)


class InPlace(Spread):
    def spread(self, teacher):
        with torch.no_grad():
            teacher.require_logits("spread").mul_(0.5)
        return super().spread(teacher)


class Unexplained(Spread):
    def spread(self, teacher):
        return teacher.logits.amax(1) - teacher.logits.amin(1)


class Peeking(Spread):
    def forward(self, student, teacher, step):
        return super().forward(student, teacher, step) + step.require_labels("peeking")


class Saliency(Spread):
    def spread(self, teacher):
        logits = teacher.require_logits("saliency")
        (slope,) = torch.autograd.grad(logits.square().sum(), logits)
        return slope.abs().sum(1).float()


class InHalf(Spread):
    def spread(self, teacher):
        return teacher.require_logits("spread").square().sum(1)


class Double(Spread):
    def forward(self, student, teacher, step):
        return super().forward(student, teacher, step).double()


class OnTheCPU(Spread):
    def forward(self, student, teacher, step):
        weights = super().forward(student, teacher, step)
        return weights * torch.ones(len(weights))


class AllPairs(Spread):
    def forward(self, student, teacher, step):
        spread = self.spread(teacher) + 0 * student.require_graph("pairs").num_nodes
        return (spread[:, None] - spread).abs().mean(1)


class Unseeded(Spread):
    def forward(self, student, teacher, step):
        weights = super().forward(student, teacher, step)
        return weights * (1 + torch.rand((), device=weights.device))


class Unregistered(Spread):
    def __init__(self):
        super().__init__()
        self.scale = float(torch.rand(())) + 0.5

    def forward(self, student, teacher, step):
        return super().forward(student, teacher, step) * self.scale


class HoldsLambda(Spread):
    def __init__(self):
        super().__init__()
        self.scaled = lambda weights: weights

    def forward(self, student, teacher, step):
        return self.scaled(super().forward(student, teacher, step))


class ByProcess(Spread):
    def forward(self, student, teacher, step):
        return super().forward(student, teacher, step) * (1 + os.getpid())


class Wrong(Spread):
    """One weight for all rows."""

    def forward(self, student, teacher, step):
        return super().forward(student, teacher, step).mean()


class Mistyped(Spread):
    bounded_memori = False


class Draws(Spread):
    def forward(self, student, teacher, step):
        torch.rand(1)
        return super().forward(student, teacher, step)


GOOD = Spread
BROKEN = {
    "finite-and-one-per-row": [Reciprocal, Wrong],
    "at-least-zero": [Lowered],
    "isolated-nodes-and-empty-edges": [MeanOfNeighbours],
    "invariant-to-edge-order": [Counting],
    "equivariant-to-node-relabelling": [ByNumber],
    "inputs-unmodified": [InPlace],
    "says-what-is-missing": [Unexplained],
    "labels-of-other-rows-play-no-part": [Peeking],
    "needs-no-gradient": [Saliency],
    "half-precision-under-autocast": [InHalf],
    "dtype-no-wider": [Double],
    "device-preserved": [OnTheCPU],
    "bounded-memory": [AllPairs],
    "deterministic-under-a-seed": [Unseeded],
    "state-dict-round-trip": [Unregistered],
    "pickles": [HoldsLambda],
    "works-in-two-processes": [ByProcess],
    "work-grows-with-the-graph": [AllPairs],
    "declarations-are-known": [Mistyped],
    "global-state-left-alone": [Draws],
}
