"""Training steps of a student: alone, and distilled from a teacher that is cached or runs."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

import gkd
from gkd import Distiller, Sample, Term
from gkd.benchmarking import Benchmark, Goal, Setting, Work
from gkd.cache.teacher_cache import TeacherCache
from gkd_benchmarks.dgcnn_cases import CLASSES, STUDENT, TEACHER
from gkd_benchmarks.problems import (
    TWO_PPI_GRAPHS,
    EdgeSizes,
    generator,
    normal,
    point_clouds,
    undirected_edges,
)


class Step(Benchmark):
    """Collate, forward, losses, backward, optimiser, against the same step without the teacher."""

    alternative = "baseline"
    same_result = False

    task: str
    inputs: tuple[str, ...]
    term: Term

    def __init__(
        self, *, cached: bool, goal: Goal, half: bool = False, term: Term | None = None
    ) -> None:
        self.cached, self.goal, self.half = cached, goal, half
        if term is not None:
            self.term = term

    @abstractmethod
    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Return teacher and student, the same each time."""

    @abstractmethod
    def samples(self, setting: Setting) -> list[Sample]:
        """Return the samples of the batch."""

    @abstractmethod
    def optimiser(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """Return what the student is trained with."""

    def ours(self, setting: Setting) -> Work:
        """With a term between features of both networks."""
        return self.distilled(setting, torch.bfloat16 if self.half and not setting.exact else None)

    def distilled(self, setting: Setting, teacher_autocast: torch.dtype | None = None) -> Work:
        """Return a step with a term, whose teacher may have a precision of its own."""
        teacher, student = map(setting.module, self.networks())
        return self._work(
            Distiller(
                teacher,
                student,
                [self.term],
                task=self.task,
                inputs=self.inputs,
                teacher_cache=TeacherCache() if self.cached else None,
                teacher_autocast=teacher_autocast,
            ),
            setting,
        )

    def theirs(self, setting: Setting) -> Work:
        """With the supervised loss alone."""
        return self.alone(setting.module(self.networks()[1]), setting)

    def alone(self, student: nn.Module, setting: Setting) -> Work:
        """Return a step of ``student`` with the supervised loss."""
        return self._work(Distiller({}, student, task=self.task, inputs=self.inputs), setting)

    def _work(self, distiller: Distiller, setting: Setting) -> Work:
        samples = self.samples(setting)
        distiller.prepare(gkd.collate(samples))
        parameters = list(distiller.parameters())
        optimiser = self.optimiser(parameters)

        def step() -> Sequence[Tensor]:
            batch = gkd.collate(samples)
            with setting.autocast():
                report = distiller(batch)
            optimiser.zero_grad()
            report.total.backward()
            optimiser.step()
            return [parameter.grad for parameter in parameters if parameter.grad is not None]

        return step

    def error(self, results: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
        """Return the relative error of the gradient as a whole."""
        vectors = [
            torch.cat([each.flatten().double() for each in side]) for side in (results, exact)
        ]
        return super().error([vectors[0]], [vectors[1]])


class GATStep(Step):
    """A step of the small GAT on two graphs of PPI's size, LSP from the large one."""

    task, inputs = "multi-label", ("x", "edge_index")
    term = Term(
        "lsp", weight=100.0, student="layers.2", teacher="layers.1", params={"kernel": "rbf"}
    )

    def __init__(
        self,
        *,
        cached: bool = True,
        goal: Goal,
        sizes: EdgeSizes = TWO_PPI_GRAPHS,
        channels: int = 50,
        classes: int = 121,
        widths: tuple[int, int] = (256, 68),
        **options: Any,
    ) -> None:
        super().__init__(cached=cached, goal=goal, **options)
        self.sizes = EdgeSizes(sizes.nodes // 2, sizes.edges // 2)
        self.channels, self.classes, self.widths = channels, classes, widths

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Return the teacher and the student of the paper's table 1."""
        torch.manual_seed(0)
        shape = {"in_channels": self.channels, "out_channels": self.classes}
        wide, narrow = self.widths
        teacher = gkd.create("model", "gat", **shape, hidden_channels=(wide,) * 2)
        student = gkd.create("model", "gat", **shape, hidden_channels=(narrow,) * 4, heads=(2,) * 5)
        return teacher, student

    def samples(self, setting: Setting) -> list[Sample]:
        """Return two graphs with random features and labels."""
        nodes = self.sizes.nodes
        return [
            Sample(
                id=f"graph-{seed}",
                x=setting.inputs(normal(nodes, self.channels, seed=seed)),
                edge_index=setting.indices(undirected_edges(self.sizes, seed)),
                y=setting.inputs((normal(nodes, self.classes, seed=9 + seed) > 0).float()),
            )
            for seed in range(2)
        ]

    def optimiser(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(parameters, lr=0.005)


class DGCNNStep(Step):
    """A step of the small DGCNN on eight clouds, LSP on union edges from the large one."""

    task, inputs = "single-label", ("pos", "batch")
    term = Term(
        "lsp",
        weight=100.0,
        student="layers.2",
        teacher="layers.3",
        student_graph="tap:graphs.2",
        teacher_graph="tap:graphs.3",
        params={"kernel": "rbf"},
    )
    repeats = 9

    def __init__(
        self,
        *,
        cached: bool = True,
        goal: Goal,
        clouds: int = 8,
        points: int = 1024,
        **options: Any,
    ) -> None:
        super().__init__(cached=cached, goal=goal, **options)
        self.clouds = point_clouds(clouds, points)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Return the teacher and the student of the paper's table 3."""
        torch.manual_seed(0)
        shape = {"in_channels": 3, "out_channels": CLASSES, "dropout": 0.0}
        teacher = gkd.create("model", "dgcnn", **shape, **TEACHER)
        return teacher, gkd.create("model", "dgcnn", **shape, **STUDENT)

    def samples(self, setting: Setting) -> list[Sample]:
        """Return points on the sphere with random labels."""
        labels = torch.randint(CLASSES, (len(self.clouds), 1), generator=generator())
        return [
            Sample(id=f"cloud-{number}", pos=setting.inputs(cloud), y=setting.indices(label))
            for number, (cloud, label) in enumerate(zip(self.clouds, labels, strict=True))
        ]

    def optimiser(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """Return SGD."""
        return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)


class TeacherInHalf(Benchmark):
    """A step of a student whose teacher runs in bfloat16, the student in float32."""

    alternative = "teacher in float32"
    same_result = False
    repeats = 7

    def __init__(self, step: Callable[..., Step], **sizes: Any) -> None:
        self.step, self.goal = step(cached=False, goal=Goal(), **sizes), Goal()

    def ours(self, setting: Setting) -> Work:
        """Run the teacher in bfloat16."""
        return self.step.distilled(setting, None if setting.exact else torch.bfloat16)

    def theirs(self, setting: Setting) -> Work:
        """Run it as the student."""
        return self.step.distilled(setting)

    def results(self, setting: Setting, *, ours: bool) -> Sequence[Tensor]:
        """Return the gradients of the first step alone: later ones are of other weights."""
        return (self.ours if ours else self.theirs)(setting)()

    def error(self, results: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
        """Return the relative error of the gradient as a whole."""
        return self.step.error(results, exact)
