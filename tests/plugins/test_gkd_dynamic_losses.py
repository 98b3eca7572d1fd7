"""Losses on graphs that student and teacher build for themselves (CVPR 2020, section 3.5)."""

import pytest
import torch
from lsp_reference import SIMILARITIES, lsp
from torch import nn

import gkd
from gkd import Graph, View

SIZES = [12, 7, 15]
BATCH = torch.arange(3).repeat_interleave(torch.tensor(SIZES))


def features(width: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(sum(SIZES), width, generator=generator, dtype=torch.float64)


def knn(k: int, x: torch.Tensor) -> Graph:
    return gkd.create("graph", "knn", k=k)(x, BATCH)


def loss_of(student: View, teacher: View) -> torch.Tensor:
    return gkd.create("loss", "lsp", kernel="rbf")(student, teacher)


@pytest.mark.parametrize(("ours", "theirs"), [(4, 4), (3, 6), (6, 3), (10, 2)])
def test_the_loss_is_that_of_the_equations_on_the_union(ours: int, theirs: int) -> None:
    student, teacher = features(4, 0), features(9, 1)
    graphs = knn(ours, student), knn(theirs, teacher)
    value = loss_of(
        View(features=student, graph=graphs[0]), View(features=teacher, graph=graphs[1])
    )
    edges = torch.cat([graph.edge_index for graph in graphs], dim=1)
    expected = lsp(student, teacher, edges, SIMILARITIES["rbf"])
    torch.testing.assert_close(value, torch.as_tensor(expected, dtype=value.dtype))


def test_with_equal_graphs_the_dynamic_loss_is_the_loss_on_the_fixed_graph() -> None:
    student, teacher = features(4, 0), features(9, 1)
    graph = knn(5, teacher)
    again = (
        Graph.from_neighbours(graph.neighbours.flip(1)) if graph.neighbours is not None else None
    )
    assert again == graph
    fixed = loss_of(View(features=student, graph=graph), View(features=teacher, graph=graph))
    dynamic = loss_of(View(features=student, graph=again), View(features=teacher, graph=graph))
    assert dynamic == fixed


class Network(nn.Module):
    """A map of the points, whose graph of nearest neighbours can be tapped."""

    def __init__(self, width: int, k: int) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(3, width), nn.Linear(width, 4)
        self.graph = gkd.create("graph", "knn", k=k)

    def forward(self, pos: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        hidden = self.inner(pos)
        self.graph(hidden, batch)
        return self.head(hidden)


def samples() -> gkd.Batch:
    torch.manual_seed(3)
    return gkd.collate(
        [
            gkd.Sample(id=str(i), pos=torch.randn(n, 3), y=torch.randint(4, (n,)))
            for i, n in enumerate(SIZES)
        ]
    )


@pytest.mark.parametrize(
    "graphs",
    [
        {"student_graph": {"name": "knn", "k": 3}, "teacher_graph": {"name": "knn", "k": 6}},
        {"graph": "tap:graph"},
        {
            "student_graph": "tap:graph",
            "teacher_graph": {
                "name": "union",
                "graphs": [{"name": "knn", "k": 6}, {"name": "radius", "radius": 1e-9}],
            },
        },
    ],
)
def test_a_distiller_compares_on_the_union_of_both_networks_graphs(graphs) -> None:
    torch.manual_seed(0)
    student, teacher, batch = Network(5, 3), Network(8, 6), samples()
    term = gkd.Term("lsp", student="inner", teacher="inner", params={"kernel": "rbf"}, **graphs)
    distiller = gkd.Distiller(
        teacher, student, [term], task="single-label", inputs=("pos", "batch")
    )
    report = distiller(batch)
    z, zt = student.inner(batch.pos).detach(), teacher.inner(batch.pos).detach()
    edges = torch.cat([knn(3, z).edge_index, knn(6, zt).edge_index], dim=1)
    expected = lsp(z.double(), zt.double(), edges, SIMILARITIES["rbf"])
    assert report.terms["lsp"].item() == pytest.approx(float(expected), rel=1e-4)
    report.total.backward()
    assert student.inner.weight.grad.isfinite().all()


def test_graphs_built_by_a_teacher_under_inference_serve_the_student_s_gradient() -> None:
    student, teacher = features(4, 0).requires_grad_(), features(9, 1)
    with torch.inference_mode():
        theirs = knn(6, teacher)
    ours = knn(3, student)
    loss_of(View(features=student, graph=ours), View(features=teacher, graph=theirs)).backward()
    assert student.grad.isfinite().all()
