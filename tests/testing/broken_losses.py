"""A loss that keeps every law, and for each law one that breaks it."""

import os
import random

import torch
from torch import Tensor, nn

from gkd import AbstractLoss, View


class Norms(AbstractLoss):
    """Squared difference of the summed squared norms of each node's neighbours."""

    def forward(self, student: View, teacher: View) -> Tensor:
        ours, theirs = self.sums(student), self.sums(self.held(teacher)).detach()
        return (ours - theirs).square().mean()

    def held(self, teacher: View) -> View:
        return teacher

    def norms(self, view: View) -> Tensor:
        features = view.require_features("norms")
        return features.to(torch.promote_types(features.dtype, torch.float32)).square().mean(1)

    def sums(self, view: View) -> Tensor:
        graph, norms = view.require_graph("norms"), self.norms(view)
        return norms.index_add(0, graph.target, norms[graph.source])


class PerNode(Norms):
    def forward(self, student, teacher):
        return (self.sums(student) - self.sums(teacher).detach()).square()


class Crashes(Norms):
    def forward(self, student, teacher):
        theirs = self.sums(teacher).detach()
        return (self.sums(student) - torch.cat([theirs, theirs])).square().mean()


class Negative(Norms):
    def forward(self, student, teacher):
        return -super().forward(student, teacher)


class NeverZero(Norms):
    def forward(self, student, teacher):
        return super().forward(student, teacher) + 1


class MeanOverEdges(Norms):
    def forward(self, student, teacher):
        source = student.require_graph("mean").source
        gap = (self.norms(student) - self.norms(teacher).detach())[source]
        return gap.square().mean()


class EqualWidthsOnly(Norms):
    def forward(self, student, teacher):
        gap = student.require_features("equal") - teacher.require_features("equal").detach()
        return gap.square().mean()


class Counting(Norms):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, student, teacher):
        self.calls += 1
        return super().forward(student, teacher) * self.calls


class ByNumber(Norms):
    def sums(self, view):
        sums = super().sums(view)
        return sums * torch.arange(len(sums), device=sums.device)


class InPlace(Norms):
    def norms(self, view):
        with torch.no_grad():
            view.require_features("norms").mul_(0.5)
        return super().norms(view)


class Unexplained(Norms):
    def norms(self, view):
        return view.features.square().mean(1)


class OtherTarget(Norms):
    def target(self, teacher):
        return View(features=teacher.features * 2, graph=teacher.graph, batch=teacher.batch)


class BatchTarget(Norms):
    target_per_sample = True

    def norms(self, view):
        return super().norms(self.target(view))

    def target(self, teacher):
        features = teacher.require_features("norms")
        centred = features - features.mean(0)
        return View(features=centred, graph=teacher.graph, batch=teacher.batch)


class Detached(Norms):
    def forward(self, student, teacher):
        return super().forward(student, teacher).detach()


class Uphill(Norms):
    def forward(self, student, teacher):
        value = super().forward(student, teacher)
        return 2 * value.detach() - value


class TwiceTheSlope(Norms):
    def forward(self, student, teacher):
        value = super().forward(student, teacher)
        return 2 * value - value.detach()


class TeachesTheTeacher(Norms):
    def forward(self, student, teacher):
        return (self.sums(student) - self.sums(teacher)).square().mean()


class InHalf(Norms):
    def norms(self, view):
        return view.require_features("norms").square().sum(1)


class AlwaysSingle(Norms):
    def forward(self, student, teacher):
        return super().forward(student, teacher).float()


class OnTheCPU(Norms):
    def sums(self, view):
        sums = super().sums(view)
        return sums * torch.ones(len(sums), dtype=sums.dtype)


class Gathers(Norms):
    def sums(self, view):
        graph, features = view.require_graph("norms"), view.require_features("norms")
        messages = features[graph.source].float().square()
        return messages.new_zeros(graph.num_nodes).index_add(0, graph.target, messages.mean(1))


class Unseeded(Norms):
    def forward(self, student, teacher):
        return super().forward(student, teacher) * (1 + int.from_bytes(os.urandom(4)) / 2**32)


class Unregistered(Norms):
    def __init__(self):
        super().__init__()
        self.scales = [torch.rand(()) + 0.5]

    def forward(self, student, teacher):
        value = super().forward(student, teacher)
        return value * self.scales[0].to(value.device, value.dtype)


class HoldsLambda(Norms):
    def __init__(self):
        super().__init__()
        self.weigh = lambda value: value

    def forward(self, student, teacher):
        return self.weigh(super().forward(student, teacher))


SETTINGS = {"scale": 1.0}


class GlobalSetting(Norms):
    def __init__(self):
        super().__init__()
        SETTINGS["scale"] = 2.0

    def forward(self, student, teacher):
        return super().forward(student, teacher) * SETTINGS["scale"]


class Unlearned(Norms):
    """Has a learned part that no gradient reaches."""

    def __init__(self):
        super().__init__()
        self.idle = nn.Linear(2, 2)


class OutOfOrder(Norms):
    """A value per row, the largest first."""

    per_row = True

    def forward(self, student, teacher):
        gap = (self.sums(student) - self.sums(teacher).detach()).square()
        return gap.sort(descending=True).values


class MeanOfRows(Norms):
    """A value per row, which is relative to the rows that count."""

    per_row = True

    def forward(self, student, teacher, *, rows=None):
        gap = (self.sums(student) - self.sums(teacher).detach()).square()
        return gap / (1 + (gap if rows is None else gap[rows]).mean())


class SumOverRows(Norms):
    """A mean, but a sum where rows are weighed."""

    def __init__(self, per_row: bool = False):
        super().__init__()
        self.per_row = per_row

    def forward(self, student, teacher):
        gap = (self.sums(student) - self.sums(teacher).detach()).square()
        return gap * len(gap) if self.per_row else gap.mean()


class ReadsAllLabels(Norms):
    def forward(self, student, teacher, *, step):
        right = step.require_labels("norms") == 0
        return super().forward(student, teacher) * (1 + right.double().mean().to(student.features))


class DrawsElsewhere(Norms):
    def forward(self, student, teacher, *, step):
        return super().forward(student, teacher) * torch.rand((), device=student.features.device)


class DrawsInVain(Norms):
    """Draws what it does not use, but others' draws change."""

    def forward(self, student, teacher, *, step):
        torch.rand(1, device=student.features.device)
        return super().forward(student, teacher)


class Queue(Norms):
    """Remembers the last sums, and forgets in a checkpoint where it was."""

    zero_at_equality = False

    def __init__(self):
        super().__init__()
        self.register_buffer("memory", torch.zeros(4))
        self.place = 0

    def forward(self, student, teacher):
        ours = self.sums(student)
        memory = self.memory.to(ours.dtype) * torch.arange(4, device=ours.device)
        value = (ours.mean() - memory.mean()).square()
        with torch.no_grad():
            self.memory[self.place] = self.sums(self.held(teacher)).mean()
        self.place = (self.place + 1) % 4
        return value


class Repelled(Norms):
    """Is largest where the student equals its teacher, and careless in what it declares."""

    non_negative = zero_at_equality = False

    def forward(self, student, teacher):
        return torch.exp(-super().forward(student, teacher))


class Soft(AbstractLoss):
    """Divergence of the classes, softened, with the factor that keeps its gradient."""

    uses = ("logits",)
    likelihoods = ("softmax",)

    def __init__(self, temperature: float = 2.0):
        super().__init__()
        self.temperature = temperature

    def forward(self, student, teacher):
        ours, theirs = self.logits(student), self.logits(teacher).detach()
        value = torch.nn.functional.kl_div(ours, theirs, reduction="sum", log_target=True)
        return self.temperature**2 * value / max(1, len(ours))

    def logits(self, view):
        return (view.require_logits("soft") / self.temperature).log_softmax(1)


class Fading(Soft):
    def forward(self, student, teacher):
        return super().forward(student, teacher) / self.temperature**2


class FadingByTau(Fading):
    def __init__(self, tau: float = 2.0):
        super().__init__(tau)


class FadingBySoftness(Fading):
    temperature_names = ("softness",)

    def __init__(self, softness: float = 2.0):
        super().__init__(softness)


class Patient(Soft):
    """Its ``tau`` is no temperature, and says so."""

    temperature_names = ()

    def __init__(self, tau: float = 2.0):
        super().__init__()
        self.tau = tau

    def forward(self, student, teacher):
        return super().forward(student, teacher) / self.tau**2


class FirstClasses(Soft):
    def logits(self, view):
        return super().logits(view)[:, :2]


class WrongAxis(Soft):
    def logits(self, view):
        return (view.require_logits("soft") / self.temperature).log_softmax(0)


class Centred(Norms):
    def sums(self, view):
        sums = super().sums(view)
        return sums / (1 + sums.mean())


class BySource(Norms):
    """A mean of messages, but over those that a neighbour sends."""

    def sums(self, view):
        graph, norms = view.require_graph("norms"), self.norms(view)
        sent = torch.bincount(graph.source, minlength=graph.num_nodes).clamp(min=1)
        shares = norms / sent
        return norms.index_add(0, graph.target, shares[graph.source])


class PairByPair(Norms):
    """All pairs of nodes, a row at a time: little memory, much work."""

    def sums(self, view):
        sums = super().sums(view)
        return torch.stack([(one - sums).square().sum() for one in sums])


class Mistyped(Norms):
    zero_at_equallity = False


class MistypedLater(Norms):
    def __init__(self):
        super().__init__()
        self.per_rows = False


class SeedsAll(Norms):
    """Gives the same value whatever the seed, and everything after it the same draws."""

    def forward(self, student, teacher):
        torch.manual_seed(0)
        return super().forward(student, teacher)


class SeedsWhenMade(Norms):
    def __init__(self):
        super().__init__()
        random.seed(0)


class SetsTheDefault(Norms):
    def forward(self, student, teacher):
        torch.set_default_dtype(torch.float64)
        return super().forward(student, teacher)


class DrawsWithoutStep(Norms):
    """A dropout of values that are the same for all nodes: no order shows it."""

    def forward(self, student, teacher):
        kept = torch.rand((), device=student.features.device)
        return super().forward(student, teacher) * kept


class KeepsTheGraph(Norms):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, student, teacher):
        value = super().forward(student, teacher)
        self.mean = 0.9 * self.mean.to(value.dtype) + 0.1 * value
        return value


class ListsTheGraph(Norms):
    def __init__(self):
        super().__init__()
        self.values = []

    def forward(self, student, teacher):
        self.values.append(super().forward(student, teacher))
        return self.values[-1]


class ByPlace(Norms):
    def __init__(self, margin: float = 0.0, /):
        super().__init__()


class OfNoType(Norms):
    def __init__(self, margin: "NoSuchType" = 0.0):  # noqa: F821  as under TYPE_CHECKING
        super().__init__()


GOOD = Norms
BROKEN = {
    "finite-and-scalar": [PerNode, Crashes],
    "non-negative": [Negative],
    "zero-at-equality": [NeverZero],
    "isolated-nodes-and-empty-edges": [MeanOverEdges],
    "different-widths": [EqualWidthsOnly],
    "invariant-to-edge-order": [Counting],
    "invariant-to-node-relabelling": [ByNumber],
    "inputs-unmodified": [InPlace],
    "says-what-is-missing": [Unexplained],
    "target-stands-for-the-teacher": [OtherTarget],
    "targets-of-samples-make-that-of-a-batch": [BatchTarget],
    "gradient-reaches-the-student": [Detached, Unlearned],
    "gradient-step-lowers-the-loss": [Uphill],
    "gradcheck-in-float64": [TwiceTheSlope],
    "no-gradient-to-the-teacher": [TeachesTheTeacher],
    "half-precision-under-autocast": [InHalf],
    "dtype-preserved": [AlwaysSingle],
    "device-preserved": [OnTheCPU],
    "bounded-memory": [Gathers],
    "deterministic-under-a-seed": [Unseeded],
    "state-dict-round-trip": [Unregistered],
    "goes-on-equal-after-a-resume": [Queue],
    "steps-do-not-hang-together": [KeepsTheGraph, ListsTheGraph],
    "pickles": [HoldsLambda],
    "works-in-two-processes": [GlobalSetting],
    "values-go-with-their-rows": [OutOfOrder],
    "all-rows-make-the-loss": [SumOverRows],
    "rows-that-count-are-as-among-all": [MeanOfRows],
    "labels-of-other-rows-play-no-part": [ReadsAllLabels],
    "draws-from-the-step-alone": [DrawsElsewhere, DrawsInVain, DrawsWithoutStep],
    "least-at-equality": [Repelled],
    "gradient-lasts-at-high-temperatures": [Fading, FadingByTau, FadingBySoftness],
    "invariant-to-class-order": [FirstClasses],
    "invariant-to-a-shift-of-logits": [WrongAxis],
    "samples-do-not-mix": [Centred, WrongAxis],
    "an-edge-concerns-its-target": [BySource],
    "work-grows-with-the-graph": [PairByPair],
    "declarations-are-known": [Mistyped, MistypedLater, ByPlace, OfNoType],
    "global-state-left-alone": [SeedsAll, SeedsWhenMade, SetsTheDefault],
}
