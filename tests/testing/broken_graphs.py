"""A graph builder that keeps every law, and for each law one that breaks it."""

import torch
from torch import Tensor

from gkd import Graph
from gkd_dynamic.knn import KNN


class Nearest(KNN):
    def __init__(self):
        super().__init__(k=3)


class Unsorted(Nearest):
    def forward(self, features, batch=None):
        graph = super().forward(features, batch)
        graph.edge_index = graph.edge_index.flip(1)
        return graph


class EdgesAlone(Nearest):
    def forward(self, features, batch=None):
        return super().forward(features, batch).edge_index


class IgnoresSamples(Nearest):
    def forward(self, features, batch=None):
        return super().forward(features)


class FromTheOrigin(Nearest):
    def forward(self, features, batch=None):
        graph = super().forward(features, batch)
        kept = features[graph.source].norm(dim=1) < 2
        return Graph(graph.edge_index[:, kept], len(features))


class FirstPoint(Nearest):
    def forward(self, features, batch=None):
        graph = super().forward(features, batch)
        return graph.union(Graph(torch.tensor([[0], [len(features) - 1]]), len(features)))


class NeedsThree(Nearest):
    def forward(self, features, batch=None):
        features.select(0, 2)
        return super().forward(features, batch)


class InPlace(Nearest):
    def forward(self, features, batch=None):
        with torch.no_grad():
            features -= features.mean(0)
        return super().forward(features, batch)


class ThroughNumPy(Nearest):
    def forward(self, features, batch=None):
        return super().forward(torch.from_numpy(features.numpy()), batch)


class NoHalf(Nearest):
    def forward(self, features, batch=None):
        if features.dtype in (torch.float16, torch.bfloat16):
            raise TypeError("full precision is needed")
        return super().forward(features, batch)


class OnTheCPU(Nearest):
    def forward(self, features, batch=None):
        nodes = torch.arange(len(features))
        return Graph(torch.stack([nodes, nodes]), len(features))


class AllPairs(Nearest):
    def __init__(self):
        super().__init__()
        self.linear_work = True

    def forward(self, features, batch=None):
        apart = torch.cdist(features.double(), features.double())
        if batch is not None:
            apart = apart.masked_fill(batch[:, None] != batch, torch.inf)
        return Graph((apart < 0.5).nonzero().t(), len(features))


class Unseeded(Nearest):
    def forward(self, features, batch=None):
        graph = super().forward(features, batch)
        random = torch.Generator()
        random.seed()
        kept = torch.rand(graph.num_edges, generator=random) < 0.5
        return Graph(graph.edge_index[:, kept], len(features))


class HoldsLambda(Nearest):
    def __init__(self):
        super().__init__()
        self.keep = lambda graph: graph

    def forward(self, features: Tensor, batch=None):
        return self.keep(super().forward(features, batch))


SETTINGS = {"loops": True}


class GlobalSetting(Nearest):
    def __init__(self):
        super().__init__()
        SETTINGS["loops"] = False

    def forward(self, features, batch=None):
        graph = super().forward(features, batch)
        kept = (graph.source != graph.target) | SETTINGS["loops"]
        return Graph(graph.edge_index[:, kept], len(features))


class Mistyped(Nearest):
    translation_invarant = True


class Draws(Nearest):
    def forward(self, features, batch=None):
        torch.rand(1)
        return super().forward(features, batch)


GOOD = Nearest
BROKEN = {
    "valid-indices": [Unsorted, EdgesAlone],
    "batch-borders-never-crossed": [IgnoresSamples],
    "translation-invariant": [FromTheOrigin],
    "equivariant-to-node-relabelling": [FirstPoint],
    "few-and-coincident-points": [NeedsThree],
    "inputs-unmodified": [InPlace],
    "accepts-features-in-training": [ThroughNumPy],
    "half-precision-under-autocast": [NoHalf],
    "device-preserved": [OnTheCPU],
    "bounded-memory": [AllPairs],
    "deterministic-under-a-seed": [Unseeded],
    "pickles": [HoldsLambda],
    "works-in-two-processes": [GlobalSetting],
    "work-grows-with-the-points": [AllPairs],
    "declarations-are-known": [Mistyped],
    "global-state-left-alone": [Draws],
}
