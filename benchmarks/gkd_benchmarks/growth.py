"""Large graphs: what time and memory grow with."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

import gkd
from gkd import Graph, View
from gkd.benchmarking import Benchmark, Goal, Setting, Work
from gkd_benchmarks.problems import EdgeSizes, generator, normal, value_and_gradient
from gkd_gat.gat_layer import GATLayer

_EDGES_PER_NODE = 32
_GIBIBYTE = 2**30


def sparse_edges(sizes: EdgeSizes, seed: int = 0) -> Tensor:
    """Return random directed edges of equal in-degree in order, int64 ``[2, E]``.

    Made in order, so that what is measured is not how they are sorted.
    """
    degree = sizes.edges // sizes.nodes
    block = sizes.nodes // degree
    # One source out of each of as many blocks of nodes: ascending and different by construction.
    offset = torch.randint(block, (sizes.nodes, degree), generator=generator(seed))
    sources = offset + torch.arange(degree) * block
    targets = torch.arange(sizes.nodes).repeat_interleave(degree)
    return torch.stack([sources.flatten(), targets])


class LSPGrowth(Benchmark):
    """Loss and gradient of LSP, 64 channels on both sides, for each edge of a large graph.

    Against a graph that fits into the cache; the structure of the graphs is built before.
    """

    alternative = "a small graph"
    goal = Goal(time=3.0, memory=1.3)
    same_result = False
    repeats = 3
    long = True

    def __init__(self, edges: int = 10**7, small: int = 10**5, width: int = 64) -> None:
        self.sizes = [EdgeSizes(count // _EDGES_PER_NODE, count) for count in (edges, small)]
        self.units = (float(edges), float(small))
        self.width = width

    def ours(self, setting: Setting) -> Work:
        """Take the large graph."""
        return self._work(setting, self.sizes[0])

    def theirs(self, setting: Setting) -> Work:
        """Take the small graph."""
        return self._work(setting, self.sizes[1])

    def traffic(self) -> int:
        """Count a row gathered for every edge by each of four products."""
        return 4 * self.sizes[0].edges * self.width * 4

    def _work(self, setting: Setting, sizes: EdgeSizes) -> Work:
        return lsp_work(setting, sparse_edges(sizes), sizes.nodes, self.width)


class NodeOrder(Benchmark):
    """LSP on a large graph of near neighbours, numbered along it, against numbered at random.

    What renumbering the nodes of a graph once, so that neighbours lie together, is worth.
    """

    alternative = "nodes in random order"
    same_result = False
    repeats = 3
    long = True

    def __init__(self, edges: int = 10**7, width: int = 64) -> None:
        self.sizes, self.width = EdgeSizes(edges // _EDGES_PER_NODE, edges), width

    def ours(self, setting: Setting) -> Work:
        """Take nodes that are numbered along the graph."""
        return lsp_work(setting, ring_edges(self.sizes), self.sizes.nodes, self.width)

    def theirs(self, setting: Setting) -> Work:
        """Take nodes that are numbered at random."""
        order = torch.randperm(self.sizes.nodes, generator=generator())
        return lsp_work(setting, order[ring_edges(self.sizes)], self.sizes.nodes, self.width)


class LargeStep(Benchmark):
    """Gradients of a GAT layer of 2 heads x 64 on 128 channels, with LSP on its output.

    On a graph of 10,000,000 edges, where memory is what counts.
    """

    alternative = "without LSP"
    goal = Goal(process_bytes=6 * _GIBIBYTE)
    same_result = False
    repeats = 3
    long = True

    def __init__(self, edges: int = 10**7, width: int = 128) -> None:
        self.sizes, self.width = EdgeSizes(edges // _EDGES_PER_NODE, edges), width

    def ours(self, setting: Setting) -> Work:
        """Compare the layer's output with a teacher's features."""
        loss = gkd.create("loss", "lsp", kernel="rbf")
        teacher = setting.features(normal(self.sizes.nodes, self.width, seed=1) / self.width**0.5)

        def total(out: Tensor, graph: Graph) -> Tensor:
            views = (View(features=each, graph=graph) for each in (out, teacher))
            value: Tensor = loss(*views)
            return out.square().mean() + value

        return self._work(setting, total)

    def theirs(self, setting: Setting) -> Work:
        """Train the layer alone."""
        return self._work(setting, lambda out, graph: out.square().mean())

    def _work(self, setting: Setting, total: Callable[[Tensor, Graph], Tensor]) -> Work:
        graph = Graph(setting.indices(sparse_edges(self.sizes)), self.sizes.nodes)
        x = setting.inputs(normal(self.sizes.nodes, self.width))
        torch.manual_seed(0)
        layer = setting.module(GATLayer(self.width, self.width // 2, heads=2))
        weights = list(layer.parameters())

        def step() -> Sequence[Tensor]:
            with setting.autocast():
                value = total(layer(x, graph), graph)
            return torch.autograd.grad(value, weights)

        return step


def lsp_work(setting: Setting, edges: Tensor, num_nodes: int, width: int) -> Work:
    """Loss and gradient between random features; the structure of the graph is built before."""
    graph = Graph(setting.indices(edges), num_nodes)
    student, teacher = (
        setting.features(normal(num_nodes, width, seed=seed) / width**0.5) for seed in range(2)
    )
    loss = gkd.create("loss", "lsp", kernel="rbf")
    view = View(features=teacher, graph=graph)
    return lambda: value_and_gradient(
        lambda features: loss(View(features=features, graph=graph), view), student
    )


def ring_edges(sizes: EdgeSizes) -> Tensor:
    """Return edges to every node from those around it on a ring, int64 ``[2, E]``."""
    half = sizes.edges // sizes.nodes // 2
    steps = torch.cat([torch.arange(-half, 0), torch.arange(1, half + 1)])
    targets = torch.arange(sizes.nodes)[:, None]
    sources = (targets + steps).remainder(sizes.nodes)
    return torch.stack([sources.flatten(), targets.expand_as(sources).flatten()])
