"""A kernel that keeps every law, and for each law one that breaks it."""

import os

import torch
from torch import Tensor

from gkd import AbstractKernel


class Near(AbstractKernel):
    """Minus the squared distance."""

    def similarity(self, pairs) -> Tensor:
        return -pairs.squared_distance()


class Columns(Near):
    def similarity(self, pairs):
        return super().similarity(pairs)[:, None]


class OneSided(Near):
    def similarity(self, pairs):
        return pairs.compared(lambda targets, sources: targets.sum(1) - 2 * sources.sum(1))


class Cancelling(Near):
    def similarity(self, pairs):
        norms = pairs.features.square().sum(1)
        ends = norms[pairs.graph.target] + norms[pairs.graph.source]
        return 2 * pairs.dot(tolerance=1e9) - ends


class BlockMean(Near):
    def similarity(self, pairs):
        return pairs.compared(lambda targets, sources: (targets - sources.mean(0)).sum(1))


class Relative(Near):
    def similarity(self, pairs):
        values = super().similarity(pairs)
        return values / (1 + values.abs().sum())


class NeedsEdges(Near):
    def similarity(self, pairs):
        values = super().similarity(pairs)
        return values - 0 * values.max()


class Counting(Near):
    def __init__(self):
        self.calls = 0

    def similarity(self, pairs):
        self.calls += 1
        return super().similarity(pairs) - self.calls


class ByNumber(Near):
    def similarity(self, pairs):
        return super().similarity(pairs) - pairs.graph.source - pairs.graph.target


class InPlace(Near):
    def similarity(self, pairs):
        with torch.no_grad():
            pairs.features.mul_(0.5)
        return super().similarity(pairs)


class Detached(Near):
    def similarity(self, pairs):
        return super().similarity(pairs).detach()


class InfiniteSlope(Near):
    def similarity(self, pairs):
        return -pairs.squared_distance().sqrt()


class TwiceTheSlope(Near):
    def similarity(self, pairs):
        values = super().similarity(pairs)
        return 2 * values - values.detach()


class InHalf(Near):
    def similarity(self, pairs):
        return super().similarity(pairs).half()


class AlwaysSingle(Near):
    def similarity(self, pairs):
        return super().similarity(pairs).float()


class OnTheCPU(Near):
    def similarity(self, pairs):
        return super().similarity(pairs) * torch.ones(pairs.graph.num_edges)


class Gathers(Near):
    def similarity(self, pairs):
        z, graph = pairs.features, pairs.graph
        return -(z[graph.target] - z[graph.source]).square().sum(1)


class Unseeded(Near):
    def similarity(self, pairs):
        return super().similarity(pairs) - int.from_bytes(os.urandom(4)) / 2**32


class HoldsLambda(Near):
    def __init__(self):
        self.weigh = lambda value: value

    def similarity(self, pairs):
        return self.weigh(super().similarity(pairs))


SETTINGS = {"scale": 1.0}


class GlobalSetting(Near):
    def __init__(self):
        SETTINGS["scale"] = 2.0

    def similarity(self, pairs):
        return super().similarity(pairs) * SETTINGS["scale"]


class AllPairs(Near):
    def similarity(self, pairs):
        z, graph = pairs.features, pairs.graph
        return -torch.cdist(z, z)[graph.target, graph.source].square()


class Mistyped(Near):
    symetric = False


class Seeds(Near):
    def similarity(self, pairs):
        torch.manual_seed(0)
        return super().similarity(pairs)


class Draws(Near):
    def similarity(self, pairs):
        torch.rand(1)
        return super().similarity(pairs)


GOOD = Near
BROKEN = {
    "finite-and-one-per-edge": [Columns],
    "symmetric": [OneSided],
    "statistics-agree-with-raw-pairs": [Cancelling, BlockMean],
    "depends-on-the-pair-alone": [Relative],
    "isolated-nodes-and-empty-edges": [NeedsEdges],
    "invariant-to-edge-order": [Counting],
    "equivariant-to-node-relabelling": [ByNumber],
    "inputs-unmodified": [InPlace],
    "gradient-reaches-the-features": [Detached, InfiniteSlope],
    "gradcheck-in-float64": [TwiceTheSlope],
    "half-precision-under-autocast": [InHalf],
    "dtype-preserved": [AlwaysSingle],
    "device-preserved": [OnTheCPU],
    "bounded-memory": [Gathers],
    "deterministic-under-a-seed": [Unseeded],
    "pickles": [HoldsLambda],
    "works-in-two-processes": [GlobalSetting],
    "work-grows-with-the-graph": [AllPairs],
    "declarations-are-known": [Mistyped],
    "global-state-left-alone": [Seeds, Draws],
}
