"""Processes that share batches train as one that has them alone: values, weights, memories."""

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, multiprocessing, nn

import gkd
from gkd.data.shared_batch import SharedBatch, own_share
from gkd.distillation.joint_outputs import join_rows

FEATURES, CLASSES = 4, 3
STEPS = ((6, 31, 20, 15, 2), (9,))
"""Numbers of nodes of the samples of each step: uneven ones, and fewer samples than processes."""


def gcn(width: int = 8, pool: str = "none") -> nn.Module:
    return gkd.create(
        "model", "gcn", in_channels=FEATURES, out_channels=CLASSES, hidden_channels=width,
        num_layers=3, act="tanh", pool=pool,
    )  # fmt: skip


class Padded(nn.Module):
    """Keeps the points of each sample on an axis of their own, padded to the largest sample."""

    inputs = ("x", "batch")

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.first, self.padded = nn.Linear(FEATURES, width), nn.Identity()
        self.last = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor, batch: Tensor) -> Tensor:
        sizes = torch.bincount(batch)
        place = torch.arange(len(x)) - (sizes.cumsum(0) - sizes)[batch]
        h = self.first(x).tanh()
        rows = h.new_zeros(len(sizes), int(sizes.max()), h.shape[1])
        rows = self.padded(rows.index_put((batch, place), h).transpose(1, 2))  # [B, C, N]
        return self.last(rows.transpose(1, 2)[batch, place])


class Dynamic(nn.Module):
    """Outputs a graph of its own, as a dynamic network does."""

    inputs = ("x", "batch")

    def __init__(self, k: int = 2) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(FEATURES, 6), nn.Linear(6, CLASSES)
        self.graph = Neighbours(k)

    def forward(self, x: Tensor, batch: Tensor) -> Tensor:
        h = self.first(x).tanh()
        graph = self.graph(h, batch)
        mean = torch.zeros_like(h).index_add(0, graph.target, h[graph.source])
        return self.last(mean)


class Neighbours(nn.Module):
    def __init__(self, k: int) -> None:
        super().__init__()
        self.builder = gkd.create("graph", "knn", k=k)

    def forward(self, h: Tensor, batch: Tensor) -> gkd.Graph:
        return self.builder(h.detach(), batch)


@dataclass(frozen=True)
class Case:
    """What a distiller is made of.

    Attributes:
        term: arguments of its term.
        options: of the distiller.
        student: makes it.
        teacher: makes it, or several.
        task: of the distiller.
    """

    term: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    student: Callable[[], nn.Module] = gcn
    teacher: Callable[[], Any] = lambda: gcn(12)
    task: Any = "single-label"


def features(loss: str, **more: Any) -> dict[str, Any]:
    return {"loss": loss, "student": "layers.1", "teacher": "layers.1", **more}


def two_teachers() -> dict[str, nn.Module]:
    return {"one": gcn(12), "two": gcn(10)}


LSP = partial(features, "lsp")
LAYERS = {"student": ["layers.0", "layers.1"], "teacher": ["layers.0", "layers.1"]}
CASES = {
    "amalgamation": Case({"loss": "amalgamation", "teacher": ["one:", "two:"]},
                         teacher=two_teachers),
    "ab": Case(features("ab")),
    "at": Case(features("at")),
    "crd": Case(features("crd", params={"width": 5, "negatives": 7})),
    "cc": Case(features("cc", params={"samples": 9})),
    "cwd": Case(features("cwd"), teacher=gcn),
    "dist": Case({"loss": "dist"}),
    "darkrank": Case(features("darkrank")),
    "dkd": Case({"loss": "dkd"}),
    "ff-g2m-high": Case({"loss": "ff-g2m-high"}),
    "ff-g2m-low": Case({"loss": "ff-g2m-low"}),
    "fitnet": Case(features("fitnet")),
    "freekd": Case({"loss": "freekd", "params": {"unlabelled": "entropy"}}),
    "ft": Case(features("ft")),
    "fsp": Case({"loss": "fsp", **LAYERS}, teacher=gcn),
    "gcrd": Case(features("gcrd", params={"width": 5})),
    "gsp": Case(features("gsp", params={"kernel": "rbf", "samples": 9})),
    "glnn": Case({"loss": "glnn", "params": {"label_weight": 0.5}}, {"task_weight": 0.0}),
    "heat-kernel": Case(features("heat-kernel", params={"samples": 9})),
    "hgmd": Case({"loss": "hgmd", "params": {"warmup": 0}}),
    "kd": Case({"loss": "kd"}),
    "krd": Case({"loss": "krd", "params": {"warmup": 0}}),
    "llp-d": Case(features("llp-d")),
    "llp-r": Case(features("llp-r")),
    "learned-heat-kernel": Case({"loss": "learned-heat-kernel", **LAYERS}, teacher=gcn),
    "lsp": Case(LSP(params={"kernel": "rbf", "sigma": 1.0, "hops": 2, "learn_scale": True})),
    "lsp-walks": Case(features("lsp-walks")),
    "lsp-weighted": Case(features("lsp-weighted", params={"edge_weight": "strength"})),
    "mgd": Case(features("mgd")),
    "mskd": Case({"loss": "mskd", "teacher": ["one:", "two:"], "params": {"loss": "kd"}},
                 teacher=two_teachers),
    "mugsi": Case(features("mugsi")),
    "nosmog": Case(features("nosmog", params={"iterations": 2})),
    "nst": Case(features("nst")),
    "pkt": Case(features("pkt")),
    "pkd": Case(features("pkd"), teacher=gcn),
    "reviewkd": Case({"loss": "reviewkd", **LAYERS}),
    "skd": Case({"loss": "skd"}),
    "srd": Case(features("srd")),
    "tf-kd": Case({"loss": "tf-kd"}),
    "rkd-angle": Case(features("rkd-angle", params={"samples": 9})),
    "rkd-distance": Case(features("rkd-distance")),
    "sp": Case(features("sp")),
    "pointdistiller": Case(features("pointdistiller", params={"points": 5, "neighbours": 3})),
    "vqgraph": Case(features("vqgraph", params={"codes": 4})),
    "vid": Case(features("vid")),
    "wsld": Case({"loss": "wsld"}),
    "median bandwidth": Case(LSP(params={"kernel": "rbf", "sigma": "median"})),
    "cached": Case(LSP(), {"teacher_cache": gkd.cache.TeacherCache}),
    "rows, weighed": Case({"loss": "kd", "rows": "train_mask", "weigher": "entropy"},
                          {"mask": "train_mask"}),
    "rows of one process": Case({"loss": "kd", "rows": "last"}, {"mask": "last"}),
    "a graph that is built": Case(LSP(graph={"name": "knn", "k": 2})),
    "a graph of the network": Case(
        {"loss": "lsp", "student": "first", "teacher": "first", "graph": "tap:graph"},
        student=Dynamic, teacher=partial(Dynamic, 3)),
    "padded samples": Case(
        {"loss": "at", "student": "padded", "teacher": "padded", "layout": "B C N"},
        student=Padded, teacher=partial(Padded, 12)),
    "whole graphs": Case({"loss": "kd"}, {"target": "label"}, partial(gcn, pool="mean"),
                         partial(gcn, 12, "mean")),
    "peers": Case({"loss": "kd", "teacher": "teacher:"}, {"trained": ["teacher"]}),
    "an average": Case({"loss": "kd", "teacher": "ema:"}, {"ema": 0.5}),
    "learned weights": Case({"loss": "kd", "weight": {"learned": "uncertainty"}},
                            {"task_weight": {"learned": "uncertainty"}}),
    "negative pairs": Case(features("fitnet"), task="link-prediction"),
}  # fmt: skip


def samples_of(sizes: tuple[int, ...]) -> list[gkd.Sample]:
    generator = torch.Generator().manual_seed(sum(sizes))
    made = []
    for index, size in enumerate(sizes):
        edges = torch.randint(size, (2, 4 * size), generator=generator)
        made.append(
            gkd.Sample(
                id=f"{len(sizes)}-{index}",
                x=torch.randn(size, FEATURES, generator=generator, dtype=torch.float64),
                edge_index=edges,
                strength=torch.rand(4 * size, generator=generator),  # of each edge
                y=torch.randint(CLASSES, (size,), generator=generator),
                label=torch.randint(CLASSES, (1,), generator=generator),
                train_mask=torch.rand(size, generator=generator) < 0.6,
                last=torch.full((size,), index == len(sizes) - 1),  # rows of one process alone
            )
        )
    return made


def distiller_of(case: Case) -> gkd.Distiller:
    torch.manual_seed(0)
    options = {name: value() if callable(value) else value for name, value in case.options.items()}
    student, teacher = case.student().double(), case.teacher()
    for network in teacher.values() if isinstance(teacher, dict) else [teacher]:
        network.double()
    options = {"mask": "all", "inputs": inputs_of(student)} | options
    made = gkd.Distiller(teacher, student, [gkd.Term(**case.term)], task=case.task, **options)
    made.seed = 5
    return made.prepare(batch_of(STEPS[0], 1)).double()


def batch_of(sizes: tuple[int, ...], processes: int, rank: int = 0) -> gkd.Batch:
    samples = samples_of(sizes)
    return gkd.collate(samples) if processes == 1 else SharedBatch(samples, rank, processes)


def inputs_of(network: nn.Module) -> tuple[str, ...]:
    return getattr(network, "inputs", ("x", "edge_index"))


Trained = tuple[list[float], dict[str, Tensor]]
"""Losses of the steps, and the weights and memories that they led to."""


def trained(case: Case, processes: int, rank: int = 0) -> Trained:
    """Take the steps, and return the losses, and the weights and memories that they led to."""
    distiller, losses = distiller_of(case), []
    torch.manual_seed(100 + rank)  # networks draw in each process anew
    optimiser = torch.optim.SGD(distiller.parameters(), lr=0.5)
    for sizes in STEPS:
        optimiser.zero_grad()
        report = distiller(batch_of(sizes, processes, rank))
        report.total.backward()
        if processes > 1:
            for parameter in distiller.parameters():  # as DistributedDataParallel does
                gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                distributed.all_reduce(gradient)
                parameter.grad = gradient / processes
        optimiser.step()
        if distiller.average is not None:
            distiller.update_average()
        losses += [value.item() for value in (report.task, *report.terms.values())]
    return losses, distiller.state_dict()


def process(rank: int, processes: int, folder: Path) -> None:
    """Save what processes together come to, for every case."""
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=processes
    )
    found = {name: trained(case, processes, rank) for name, case in CASES.items()}
    torch.save(found, folder / f"{rank}.pt")
    gc.collect()  # a group that a circle of objects holds ends its process by SIGABRT
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Trained]]:
    """Losses and weights, by case, in each of two processes."""
    folder = tmp_path_factory.mktemp("processes")
    multiprocessing.spawn(process, (2, folder), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("name", CASES)
def test_processes_train_as_one(name, together):
    alone = trained(CASES[name], 1)
    for found in together:
        torch.testing.assert_close(found[name], alone, rtol=0, atol=1e-10, check_dtype=False)


def test_every_shipped_loss_is_tried():
    assert {case.term["loss"] for case in CASES.values()} >= set(gkd.names("loss"))


def test_a_process_without_samples_of_its_own_takes_all_of_them():
    batch = batch_of((4,), processes=2, rank=1)
    assert own_share(batch).ids == batch.ids


def test_what_is_filled_up_with_zeros():
    joined = join_rows([torch.ones(1, 1, 2), torch.ones(2, 3, 1)])
    assert joined.shape == (3, 3, 2)
    assert joined.sum() == 2 + 6
