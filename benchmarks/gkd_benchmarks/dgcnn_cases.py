"""DGCNN on a batch of point clouds, neighbours included."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gkd import Graph
from gkd.benchmarking import Benchmark, Goal, Setting, Work
from gkd_benchmarks.problems import generator, point_clouds
from gkd_benchmarks.textbook import nearest, textbook_logits
from gkd_dgcnn.dgcnn import DGCNN

CLASSES = 40
TEACHER: Mapping[str, Any] = {"k": 20}
STUDENT: Mapping[str, Any] = {
    "channels": (32, 32, 64),
    "embedding": 128,
    "head": (256,),
    "k": 10,
}
_ERROR_POINTS = 256  # of each cloud: the textbook in float64 is slow


class Network(Benchmark):
    """A training step without its optimiser, or inference, of a whole DGCNN.

    Errors are taken on given neighbours: where rounding chooses another neighbour, both results
    are right, and differ.
    """

    alternative = "textbook EdgeConv"
    repeats = 7

    def __init__(
        self,
        parameters: Mapping[str, Any] = TEACHER,
        *,
        training: bool,
        goal: Goal,
        clouds: int = 8,
        points: int = 1024,
    ) -> None:
        self.parameters, self.training, self.goal = parameters, training, goal
        self.clouds = point_clouds(clouds, points)
        self.labels = torch.randint(CLASSES, (clouds,), generator=generator())

    def ours(self, setting: Setting) -> Work:
        """Products at nodes."""
        return self._ours(setting, self.clouds, None)

    def theirs(self, setting: Setting) -> Work:
        """Products over edges, with the same weights."""
        return self._theirs(setting, self.clouds, None)

    def results(self, setting: Setting, *, ours: bool) -> Sequence[Tensor]:
        """Return what has an error: on fewer points, with neighbours that are given."""
        clouds = self.clouds[:, :_ERROR_POINTS]
        neighbours = nearest(clouds.transpose(1, 2), self.parameters["k"])
        return (self._ours if ours else self._theirs)(setting, clouds, neighbours)()

    def _network(self) -> DGCNN:
        torch.manual_seed(0)
        return DGCNN(3, CLASSES, **self.parameters, dropout=0.0).train(self.training)

    def _ours(self, setting: Setting, clouds: Tensor, neighbours: Tensor | None) -> Work:
        network = setting.module(self._network())
        count, points, _ = clouds.shape
        if neighbours is not None:
            first = torch.arange(count)[:, None, None] * points
            graph = Graph.from_neighbours(setting.indices((neighbours + first).flatten(0, 1)))
            network.graphs = nn.ModuleList(Given(graph) for _ in network.layers)
        given = setting.inputs(clouds.flatten(0, 1))
        batch = setting.indices(torch.arange(count).repeat_interleave(points))
        return self._work(network, lambda: network(given, batch), setting)

    def _theirs(self, setting: Setting, clouds: Tensor, neighbours: Tensor | None) -> Work:
        network, given = setting.module(self._network()), setting.inputs(clouds)
        known = None
        if neighbours is not None:
            known = [setting.indices(neighbours)] * len(network.layers)
        k = self.parameters["k"]
        return self._work(network, lambda: textbook_logits(network, given, k, known), setting)

    def _work(self, network: nn.Module, logits: Callable[[], Tensor], setting: Setting) -> Work:
        labels, weights = setting.indices(self.labels), list(network.parameters())

        def step() -> Sequence[Tensor]:
            with setting.autocast():
                loss = cross_entropy(logits(), labels)
            gradients = torch.autograd.grad(loss, weights)
            return [torch.cat([gradient.flatten() for gradient in gradients])]

        def inference() -> Sequence[Tensor]:
            with torch.inference_mode(), setting.autocast():
                return [logits().clone()]

        return step if self.training else inference


class Given(nn.Module):
    """A graph that is known, in the place of a builder."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, features: Tensor, batch: Tensor | None) -> Graph:
        """Return the graph."""
        return self.graph
