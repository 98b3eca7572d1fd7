"""A model that keeps every law, and for each law one that breaks it."""

import torch
from torch import Tensor, nn

from gkd import Graph
from gkd.functional.edge_products import neighbour_sum


class Sums(nn.Module):
    """Linear layers around a sum over neighbours, with dropout."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = nn.Linear(in_channels, 16)
        self.dropout = nn.Dropout(0.2)
        self.last = nn.Linear(16, out_channels)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        hidden = self.dropout(self.first(x).tanh())
        return self.last(hidden + self.gathered(hidden, Graph(edge_index, len(x))))

    def gathered(self, hidden: Tensor, graph: Graph) -> Tensor:
        ones = torch.ones(graph.num_edges, dtype=torch.float64, device=hidden.device)
        full = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
        return neighbour_sum(ones.to(full.dtype), full, graph).to(hidden.dtype)


class OneMoreClass(Sums):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels + 1)


class MeanOverNeighbours(Sums):
    def gathered(self, hidden, graph):
        return super().gathered(hidden, graph) / graph.row_pointer.diff()[:, None]


class ByPosition(Sums):
    def forward(self, x, edge_index):
        weights = torch.arange(edge_index.shape[1], dtype=x.dtype, device=x.device)
        added = torch.zeros_like(x[:, 0]).index_add(0, edge_index[1], weights)
        return super().forward(x, edge_index) + added[:, None]


class ByNumber(Sums):
    def forward(self, x, edge_index):
        return super().forward(x, edge_index) + torch.arange(len(x), device=x.device)[:, None]


class CentredOverTheBatch(Sums):
    def forward(self, x, edge_index):
        return super().forward(x - x.mean(0), edge_index)


class InPlace(Sums):
    def forward(self, x, edge_index):
        return super().forward(x.mul_(0.5), edge_index)


class Unused(Sums):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        self.idle = nn.Linear(2, 2)


class TwiceTheSlope(Sums):
    def forward(self, x, edge_index):
        logits = super().forward(x, edge_index)
        return 2 * logits - logits.detach()


class Unseeded(Sums):
    def forward(self, x, edge_index):
        random = torch.Generator()
        random.seed()
        noise = torch.rand(1, generator=random).to(x.device, x.dtype)
        return super().forward(x, edge_index) + noise


class Unregistered(Sums):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        self.shifts = [torch.rand(1)]

    def forward(self, x, edge_index):
        return super().forward(x, edge_index) + self.shifts[0].to(x.device, x.dtype)


class Overflowing(Sums):
    def forward(self, x, edge_index):
        return super().forward(x, edge_index).half() * 1e5


class AlwaysSingle(Sums):
    def forward(self, x, edge_index):
        return super().forward(x, edge_index).float()


class OnTheCPU(Sums):
    def forward(self, x, edge_index):
        return super().forward(x, edge_index) * torch.ones(len(x), 1, dtype=x.dtype)


class UnregisteredConstant(Sums):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        self.ones = torch.ones(out_channels)

    def forward(self, x, edge_index):
        return super().forward(x, edge_index) * self.ones


class Gathers(Sums):
    def gathered(self, hidden, graph):
        return torch.zeros_like(hidden).index_add(0, graph.target, hidden[graph.source])


class AllPairs(Sums):
    def forward(self, x, edge_index):
        apart = torch.cdist(x, x) * 0
        return super().forward(x, edge_index) + apart.sum(1, keepdim=True)


class HoldsLambda(Sums):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        self.weigh = lambda value: value


SETTINGS = {"scale": 1.0}


class GlobalSetting(Sums):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        SETTINGS["scale"] = 2.0

    def forward(self, x, edge_index):
        return super().forward(x, edge_index) * SETTINGS["scale"]


class OtherNames(Sums):
    def forward(self, nodes, links):
        return super().forward(nodes, links)


class DeclaredNames(OtherNames):
    inputs = ("x", "edge_index")


class BySource(Sums):
    """Shares out what a node says among those it speaks to."""

    def gathered(self, hidden, graph):
        sent = torch.bincount(graph.source, minlength=graph.num_nodes).clamp(min=1)
        return super().gathered(hidden / sent[:, None], graph)


class Mistyped(Sums):
    input = ("x", "edge_index")


class SeedsItsWeights(Sums):
    """Has the same first weights in every run, whatever its seed."""

    def __init__(self, in_channels, out_channels):
        torch.manual_seed(0)
        super().__init__(in_channels, out_channels)


class DrawsInEvaluation(Sums):
    def forward(self, x, edge_index):
        torch.rand(1)
        return super().forward(x, edge_index)


GOOD = Sums
BROKEN = {
    "finite-logits": [OneMoreClass],
    "isolated-nodes-and-empty-edges": [MeanOverNeighbours],
    "invariant-to-edge-order": [ByPosition],
    "equivariant-to-node-relabelling": [ByNumber],
    "samples-do-not-mix": [CentredOverTheBatch],
    "inputs-unmodified": [InPlace],
    "gradient-reaches-every-parameter": [Unused],
    "gradcheck-in-float64": [TwiceTheSlope],
    "deterministic-under-a-seed": [Unseeded],
    "state-dict-round-trip": [Unregistered],
    "half-precision-under-autocast": [Overflowing],
    "dtype-preserved": [AlwaysSingle],
    "device-preserved": [OnTheCPU, UnregisteredConstant],
    "bounded-memory": [Gathers, AllPairs],
    "pickles": [HoldsLambda],
    "works-in-two-processes": [GlobalSetting],
    "an-edge-concerns-its-target": [BySource],
    "work-grows-with-the-graph": [AllPairs],
    "declarations-are-known": [Mistyped],
    "global-state-left-alone": [SeedsItsWeights, DrawsInEvaluation],
}
