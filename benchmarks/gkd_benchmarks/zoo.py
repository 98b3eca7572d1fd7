"""What each loss of the zoo costs beside the student's own step."""

from collections.abc import Sequence

import torch
from torch import Tensor

import gkd
from gkd import Distiller, Sample, Term
from gkd.benchmarking import Goal, Setting, Work
from gkd.cache.teacher_cache import TeacherCache
from gkd.distillation.loss_call import asked_by
from gkd.hosting.example_parameters import example_parameters
from gkd.hosting.host import current_host
from gkd_benchmarks.problems import EdgeSizes, normal, undirected_edges
from gkd_benchmarks.steps import GATStep

ONE_PPI_GRAPH = EdgeSizes(2372, 66_057)


class ZooStep(GATStep):
    """A step of the small GAT on a graph of PPI's size, one loss from the large one, cached.

    Args:
        loss: its name; it is made as its first example says, or by its defaults.
        sizes: of the graph.
        channels: of its features.
        classes: of which each node has one.
        widths: of a head of teacher and student.
    """

    task = "single-label"
    long = True
    repeats = 7

    def __init__(
        self,
        loss: str,
        sizes: EdgeSizes = ONE_PPI_GRAPH,
        channels: int = 50,
        classes: int = 10,
        widths: tuple[int, int] = (256, 68),
    ) -> None:
        super().__init__(goal=Goal(), channels=channels, classes=classes, widths=widths)
        self.sizes = sizes
        factory = current_host().component("loss", loss).factory
        self.loss, self.params = loss, next(iter(example_parameters(factory)))

    def ours(self, setting: Setting) -> Work:
        """With the loss, between hidden layers where it compares features."""
        loss = gkd.create("loss", self.loss, **self.params)
        large, student = map(setting.module, self.networks())
        layers = ["layers.0", "layers.1"]
        if not loss.different_widths:  # a second student teaches, of other weights
            large, layers = student, ["layers.1", "layers.2"]
            student = setting.module(self.networks()[1])
            with torch.no_grad():
                for parameter in large.parameters():
                    parameter.mul_(1.5)
        teachers = {"one": large}
        if "teachers" in asked_by(loss):
            teachers["two"] = setting.module(self.networks()[0])
        ours: str | list[str] | None = None
        theirs: str | list[str] = [f"{name}:" for name in teachers]
        if "layers" in loss.uses:
            ours, theirs = ["layers.1", "layers.2"], [f"one:{layer}" for layer in layers]
        elif "features" in loss.uses:
            ours, theirs = "layers.2", [f"{name}:{layers[-1]}" for name in teachers]
        term = Term(
            self.loss,
            weight=1.0,
            student=ours,
            teacher=theirs if len(theirs) > 1 else theirs[0],
            params=self.params,
            graph="edge_index" if "graph" in loss.uses else None,
        )
        distiller = Distiller(
            teachers,
            student,
            [term],
            task=self.task,
            inputs=self.inputs,
            teacher_cache=TeacherCache(),
        )
        return self._work(distiller, setting)

    def results(self, setting: Setting, *, ours: bool) -> Sequence[Tensor]:
        """Return nothing: draws and first maps differ in float64, and this is about time."""
        return []

    def samples(self, setting: Setting) -> list[Sample]:
        """Return a graph with random features and a class for each node, a weight for each edge."""
        nodes, edges = self.sizes.nodes, undirected_edges(self.sizes)
        return [
            Sample(
                id="graph",
                x=setting.inputs(normal(nodes, self.channels)),
                edge_index=setting.indices(edges),
                edge_weight=setting.inputs(normal(edges.shape[1], 1, seed=8).exp()),
                y=setting.indices(normal(nodes, self.classes, seed=9).argmax(dim=1)),
                n_id=setting.indices(torch.arange(nodes)),
            )
        ]
