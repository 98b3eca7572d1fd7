"""One graph attention layer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gkd import Graph
from gkd.benchmarking import Benchmark, Goal, Setting, Work
from gkd_benchmarks.packages import geometric
from gkd_benchmarks.problems import (
    TWO_PPI_GRAPHS,
    EdgeSizes,
    normal,
    undirected_edges,
)
from gkd_gat.gat_layer import GATLayer


class Layer(Benchmark):
    """Output of a layer and all gradients, its input's included."""

    alternative = "torch_geometric GATConv"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        heads: int,
        *,
        concat: bool = True,
        goal: Goal,
        sizes: EdgeSizes = TWO_PPI_GRAPHS,
        seed: int = 3,
    ) -> None:
        self.shape, self.goal, self.sizes = (in_channels, out_channels, heads), goal, sizes
        self.concat = concat
        # With other seeds a score lies within rounding of LeakyReLU's kink, which only shows luck.
        self.x = normal(sizes.nodes, in_channels, seed=seed)
        self.cotangent = normal(sizes.nodes, out_channels * (heads if concat else 1), seed=2)
        self.edges = undirected_edges(sizes)

    def ours(self, setting: Setting) -> Work:
        """Attend over neighbours and the node itself, with the graph's structure kept."""
        layer = setting.module(self._layer())
        graph = Graph(setting.indices(self.edges), self.sizes.nodes).with_self_loops()
        return self._work(layer, graph, setting)

    def theirs(self, setting: Setting) -> Work:
        """Attend with the same weights over the same edges."""
        return self._work(self.their_layer(setting), setting.indices(self.edges), setting)

    def their_layer(self, setting: Setting) -> nn.Module:
        """Return GATConv with the same weights."""
        conv: nn.Module = geometric().nn.GATConv(*self.shape, concat=self.concat, bias=False)
        conv.load_state_dict(self._layer().state_dict())
        return setting.module(conv)

    def _layer(self) -> GATLayer:
        torch.manual_seed(0)
        return GATLayer(*self.shape, concat=self.concat)

    def _work(self, layer: nn.Module, edges: Graph | Tensor, setting: Setting) -> Work:
        given, cotangent = setting.inputs(self.x), setting.inputs(self.cotangent)
        weights = list(layer.parameters())

        def work() -> Sequence[Tensor]:
            x = given.detach().requires_grad_()
            with setting.autocast():
                out = layer(x, edges)
            gradients = torch.autograd.grad(out, [x, *weights], cotangent.to(out.dtype))
            return [out.detach(), *gradients]

        return work
