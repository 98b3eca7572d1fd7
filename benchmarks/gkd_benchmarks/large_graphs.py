"""One graph for all nodes: a step on it as it is, and steps on sampled neighbourhoods of it."""

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax

import gkd
from gkd import Graph, NeighbourLoader, Sample
from gkd.benchmarking import Benchmark, Goal, Setting, Work
from gkd.cache.teacher_cache import TeacherCache
from gkd_benchmarks.growth import sparse_edges
from gkd_benchmarks.problems import EdgeSizes, distinct, generator, normal
from gkd_benchmarks.textbook import SIMILARITIES, textbook_loss

ARXIV = EdgeSizes(nodes=169_343, edges=1_166_243)
_MILLION = EdgeSizes(nodes=10**6, edges=10**7)
_SMALL = EdgeSizes(nodes=2_000, edges=14_000)
_CLASSES = 40
_GIBIBYTE = 2**30


def citations(sizes: EdgeSizes) -> Tensor:
    """Return random edges whose sources are cited more often the lower their number is."""
    targets = torch.randint(sizes.nodes, (sizes.edges,), generator=generator())
    chance = torch.rand(sizes.edges, generator=generator(1), dtype=torch.float64)
    return distinct(torch.stack([(chance.square() * sizes.nodes).long(), targets]), sizes.nodes)


class ArxivStep(Benchmark):
    """Gradients of GraphSAGE with KD and LSP on a graph of ogbn-arxiv's size, 256 channels.

    The teacher's logits and features are given. Against the same student with the losses as one
    writes them down: LSP gathers the channels of both ends of every edge.
    """

    alternative = "textbook losses"
    goal = Goal(speed=2, memory=0.5)
    repeats = 3
    long = True

    def __init__(self, sizes: EdgeSizes = ARXIV, channels: int = 128, width: int = 256) -> None:
        self.sizes, self.channels, self.width = sizes, channels, width

    def ours(self, setting: Setting) -> Work:
        """Take gkd's losses."""
        kd = gkd.create("loss", "kd", temperature=2.0, task="single-label")
        lsp = gkd.create("loss", "lsp", kernel="rbf")

        def losses(
            graph: Graph, logits: tuple[Tensor, Tensor], features: tuple[Tensor, Tensor]
        ) -> Tensor:
            views = [
                gkd.View(logits=answer, features=hidden, graph=graph)
                for answer, hidden in zip(logits, features, strict=True)
            ]
            value: Tensor = kd(*views) + lsp(*views)
            return value

        return self._work(setting, losses)

    def theirs(self, setting: Setting) -> Work:
        """Gather for every edge."""

        def losses(
            graph: Graph, logits: tuple[Tensor, Tensor], features: tuple[Tensor, Tensor]
        ) -> Tensor:
            log_p, log_q = (log_softmax(each / 2.0, 1) for each in logits)
            kd = 4.0 * (log_q.exp() * (log_q - log_p)).sum(1).mean()
            return kd + textbook_loss(*features, graph.edge_index, SIMILARITIES["rbf"])

        return self._work(setting, losses)

    def results(self, setting: Setting, *, ours: bool) -> Sequence[Tensor]:
        """Return the gradients on a small graph: in float64 the textbook has no room for more."""
        if self.sizes == _SMALL:
            return super().results(setting, ours=ours)
        return ArxivStep(_SMALL, self.channels, self.width).results(setting, ours=ours)

    def _work(
        self,
        setting: Setting,
        losses: Callable[[Graph, tuple[Tensor, Tensor], tuple[Tensor, Tensor]], Tensor],
    ) -> Work:
        nodes = self.sizes.nodes
        graph = Graph(setting.indices(citations(self.sizes)), nodes)
        x = setting.inputs(normal(nodes, self.channels))
        y = setting.indices(torch.randint(_CLASSES, (nodes,), generator=generator(2)))
        taught = setting.features(normal(nodes, self.width, seed=3) / self.width**0.5)
        answers = setting.features(normal(nodes, _CLASSES, seed=4))
        student = setting.module(_sage(self.channels, self.width, layers=2))
        hidden: list[Tensor] = []
        student.layers[0].register_forward_hook(lambda _, inputs, output: hidden.append(output))  # type: ignore[index, union-attr]  # it is a list of layers
        weights = list(student.parameters())

        def step() -> Sequence[Tensor]:
            hidden.clear()
            with setting.autocast():
                logits = student(x, graph.edge_index)
                value = losses(graph, (logits, answers), (hidden[0] / self.width**0.5, taught))
            return torch.autograd.grad(cross_entropy(logits.float(), y) + value, weights)

        return step


class SampledStep(Benchmark):
    """A step of 1,024 seeds with KD and LSP on a graph of 10^6 nodes and 10^7 edges.

    With the teacher's outputs, which it gives once for the whole graph, in files; drawing the
    neighbourhoods counts. Against the same step of the student alone.
    """

    alternative = "baseline"
    goal = Goal(process_bytes=6 * _GIBIBYTE)
    same_result = False
    repeats = 15
    long = True

    def __init__(
        self, sizes: EdgeSizes = _MILLION, channels: int = 64, width: int = 256, seeds: int = 1024
    ) -> None:
        self.sizes, self.channels, self.width, self.seeds = sizes, channels, width, seeds

    def ours(self, setting: Setting) -> Work:
        """Distil from the teacher."""
        folder = tempfile.mkdtemp()
        terms = [
            gkd.Term("kd", rows="seeds"),
            gkd.Term("lsp", student="layers.0", teacher="layers.0", rows="seeds"),
        ]
        teacher = setting.module(_sage(self.channels, self.width, layers=2))
        cache = TeacherCache(limit_bytes=0, folder=folder, half=True)
        work = self._work(setting, {"teacher": teacher}, terms, cache)
        weakref.finalize(work, shutil.rmtree, folder, ignore_errors=True)
        return work

    def theirs(self, setting: Setting) -> Work:
        """Train the student alone."""
        return self._work(setting, {}, [], None)

    def _work(
        self,
        setting: Setting,
        teachers: dict[str, nn.Module],
        terms: list[gkd.Term],
        cache: TeacherCache | None,
    ) -> Work:
        nodes = self.sizes.nodes
        graph = Sample(
            id="graph",
            x=normal(nodes, self.channels).to(torch.float64 if setting.exact else torch.float32),
            edge_index=sparse_edges(self.sizes),
            y=torch.randint(_CLASSES, (nodes,), generator=generator(2)),
        )
        student = setting.module(_sage(self.channels, 64, layers=2))
        distiller = gkd.Distiller(
            teachers, student, terms,
            task="single-label", inputs=("x", "edge_index"), mask="seeds", teacher_cache=cache,
        )  # fmt: skip
        optimiser = torch.optim.Adam(distiller.parameters(), lr=0.01)
        batches = _endless(NeighbourLoader(graph, [10, 5], self.seeds))

        def step() -> Sequence[Tensor]:
            batch = next(batches).to(setting.device)
            with setting.autocast():
                report = distiller(batch)
            optimiser.zero_grad()
            report.total.backward()
            optimiser.step()
            return [report.total.detach()]

        return step

    def results(self, setting: Setting, *, ours: bool) -> Sequence[Tensor]:
        """Return the loss of the first step on a small graph."""
        if self.sizes == _SMALL:
            return super().results(setting, ours=ours)
        return SampledStep(_SMALL, self.channels, self.width, 64).results(setting, ours=ours)


def _sage(in_channels: int, width: int, layers: int) -> nn.Module:
    torch.manual_seed(0)
    sizes = {"in_channels": in_channels, "hidden_channels": width, "num_layers": layers}
    model: nn.Module = gkd.create("model", "sage", out_channels=_CLASSES, **sizes)
    return model


def _endless(loader: NeighbourLoader) -> Iterator[gkd.Batch]:
    epoch = 0
    while True:
        loader.set_epoch(epoch)
        yield from loader
        epoch += 1
