"""The local structure preserving loss, on graphs of PPI's size and on neighbours of points."""

from typing import Any

import torch
from torch import Tensor

import gkd
from gkd import Graph, View
from gkd.benchmarking import Benchmark, Goal, Setting, Work
from gkd_benchmarks.packages import geometric
from gkd_benchmarks.problems import (
    TWO_PPI_GRAPHS,
    EdgeSizes,
    distinct,
    normal,
    point_clouds,
    undirected_edges,
    value_and_gradient,
)
from gkd_benchmarks.textbook import SIMILARITIES, nearest, sampled_loss, textbook_loss


class LSP(Benchmark):
    """Loss and gradient between 136 channels of a student and 1,024 of a teacher."""

    alternative = "textbook"

    def __init__(
        self,
        kernel: str,
        *,
        cached: bool = False,
        sizes: EdgeSizes = TWO_PPI_GRAPHS,
        widths: tuple[int, int] = (136, 1024),
    ) -> None:
        self.kernel, self.cached, self.sizes, self.widths = kernel, cached, sizes, widths
        self.goal = Goal(speed=100 if cached else 40)
        # Squared distances are about 2, so that σ = 1 resolves them.
        self.student, self.teacher = (
            normal(sizes.nodes, width, seed=seed) / width**0.5 for seed, width in enumerate(widths)
        )
        self.edges = undirected_edges(sizes)

    def ours(self, setting: Setting) -> Work:
        """With the graph's structure kept, and the teacher's too where it is cached."""
        graph = Graph(setting.indices(self.edges), self.sizes.nodes)
        student = setting.features(self.student)
        loss = gkd.create("loss", "lsp", kernel=self.kernel)
        teacher = View(features=setting.features(self.teacher), graph=graph)
        known = loss.target(teacher) if self.cached else teacher
        return lambda: value_and_gradient(
            lambda features: loss(View(features=features, graph=graph), known), student
        )

    def theirs(self, setting: Setting) -> Work:
        """Gather both ends of every edge, compare, scatter."""
        edges, similarity = setting.indices(self.edges), SIMILARITIES[self.kernel]
        student, teacher = setting.features(self.student), setting.features(self.teacher)
        return lambda: value_and_gradient(
            lambda features: textbook_loss(features, teacher, edges, similarity), student
        )


class AgainstSampledProduct(LSP):
    """Loss and gradient between 136 channels of a student and 1,024 of a teacher, RBF kernel."""

    alternative = "sampled_addmm, norms by hand, PyG softmax"

    def __init__(self, **sizes: Any) -> None:
        super().__init__("rbf", **sizes)
        self.goal = Goal(speed=1)

    def theirs(self, setting: Setting) -> Work:
        """Take dot products by torch's sampled product, and the softmax over sorted edges."""
        if setting.exact:
            return super().theirs(setting)
        graph = Graph(setting.indices(self.edges), self.sizes.nodes)
        student, teacher = setting.features(self.student), setting.features(self.teacher)
        softmax = geometric().utils.softmax
        return lambda: value_and_gradient(
            lambda features: sampled_loss(features, teacher, graph, softmax), student
        )


class LSPOnUnion(Benchmark):
    """Loss and gradient on the union of neighbours in two feature spaces, union included."""

    alternative = "textbook"
    goal = Goal(speed=15)

    def __init__(
        self,
        clouds: int = 8,
        points: int = 1024,
        k: tuple[int, int] = (10, 20),
        widths: tuple[int, int] = (128, 1024),
    ) -> None:
        self.num_nodes = clouds * points
        # Features that keep the points' neighbourhoods, at distances that σ = 1 resolves.
        positions = point_clouds(clouds, points)
        maps = [normal(3, width, seed=10 + width) / width**0.5 for width in widths]
        self.student, self.teacher = (
            (positions @ each).tanh().flatten(0, 1) + normal(self.num_nodes, each.shape[1]) * 0.03
            for each in maps
        )
        self.edges = [
            _edges(features.view(clouds, points, -1), each)
            for features, each in zip((self.student, self.teacher), k, strict=True)
        ]

    def ours(self, setting: Setting) -> Work:
        """Both graphs are made anew each time, as networks make them in every step."""
        loss = gkd.create("loss", "lsp", kernel="rbf")
        edges = [setting.indices(each) for each in self.edges]
        student, teacher = setting.features(self.student), setting.features(self.teacher)
        return lambda: value_and_gradient(
            lambda features: loss(
                View(features=features, graph=Graph(edges[0], self.num_nodes)),
                View(features=teacher, graph=Graph(edges[1], self.num_nodes)),
            ),
            student,
        )

    def theirs(self, setting: Setting) -> Work:
        """Unite the edges, gather both ends of each, compare, scatter."""
        edges = [setting.indices(each) for each in self.edges]
        student, teacher = setting.features(self.student), setting.features(self.teacher)
        return lambda: value_and_gradient(
            lambda features: textbook_loss(
                features,
                teacher,
                distinct(torch.cat(edges, dim=1), self.num_nodes),
                SIMILARITIES["rbf"],
            ),
            student,
        )


def _edges(clouds: Tensor, k: int) -> Tensor:
    """Edges to every point from its k nearest, int64 ``[2, B·N·k]``."""
    count, points, _ = clouds.shape
    first = torch.arange(count)[:, None, None] * points
    sources = (nearest(clouds.transpose(1, 2), k) + first).flatten()
    return torch.stack([sources, torch.arange(count * points).repeat_interleave(k)])
