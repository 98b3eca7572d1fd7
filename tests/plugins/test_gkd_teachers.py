"""MSKD against plain loops, and against what its authors' code gave."""

import math

import pytest
import torch
from distiller_problems import SAME_TAPS, Network, batch_of, distiller_of
from torch import nn

import gkd
from gkd import Graph, View
from gkd.errors import ParameterError
from gkd_teachers.mskd import MSKD

RECORDED = 0.0035658598726497344
EDGES = torch.tensor([[0, 1, 2, 3, 4, 1, 5], [1, 2, 0, 4, 3, 0, 0]])


def wave(columns: int, slope: float, start: float) -> torch.Tensor:
    return (torch.arange(6 * columns, dtype=torch.float64) * slope + start).sin().reshape(6, -1)


def views() -> tuple[View, dict[str, View]]:
    graph = Graph(EDGES, 6)
    student = View(logits=wave(3, 0.9, 1.0), features=40 * wave(3, 1.3, 0.1), graph=graph)
    shallow = View(logits=wave(3, 0.5, 0.4), features=40 * wave(4, 0.7, 0.2), graph=graph)
    deep = View(logits=wave(3, 1.9, 1.4), features=40 * wave(2, 2.1, 0.3), graph=graph)
    return student, {"shallow": shallow, "deep": deep}


def value(loss, student, teachers, **more):
    return loss(student, next(iter(teachers.values())), teachers=teachers, **more)


def test_recorded_value_of_the_authors_code():
    result = value(MSKD(attention="batch"), *views())
    assert result.item() == pytest.approx(RECORDED, rel=1e-6)


@pytest.mark.parametrize(
    ("inner", "params"), [("lsp", {"kernel": "rbf"}), ("kd", {"temperature": 2.0})]
)
def test_each_node_attends_to_the_teachers_by_itself(inner, params):
    student, teachers = views()
    single = gkd.create("loss", inner, per_row=True, **params)
    values = [single(student, view).tolist() for view in teachers.values()]
    expected = []
    for node in range(6):
        scores = [
            math.exp(sum(a * b for a, b in zip(*map(list, rows), strict=True)) / math.sqrt(3))
            for rows in (
                (student.logits[node].tolist(), view.logits[node].tolist())
                for view in teachers.values()
            )
        ]
        weights = [score / sum(scores) for score in scores]
        expected.append(sum(w * v[node] for w, v in zip(weights, values, strict=True)))
    per_row = value(MSKD(inner, params=params, per_row=True), student, teachers)
    assert per_row.tolist() == pytest.approx(expected, rel=1e-9)
    mean = value(MSKD(inner, params=params), student, teachers)
    assert mean.item() == pytest.approx(sum(expected) / 6, rel=1e-9)


def test_one_teacher_is_the_loss_itself():
    student, teachers = views()
    only = {"deep": teachers["deep"]}
    for attention in ("node", "batch"):
        result = value(MSKD("kd", attention), student, only)
        torch.testing.assert_close(result, gkd.create("loss", "kd")(student, only["deep"]))


def test_the_gradient_is_that_of_the_losses_with_fixed_weights():
    student, teachers = views()
    loss = MSKD("kd", params={"temperature": 1.0})
    weights = loss._weights(student, teachers)
    kd = gkd.create("loss", "kd", temperature=1.0, per_row=True)

    def by_hand(logits):
        each = torch.stack([kd(View(logits=logits), view) for view in teachers.values()])
        return (weights * each).sum(0).mean()

    leaf = student.logits.clone().requires_grad_()
    assert torch.autograd.gradcheck(by_hand, leaf)
    (expected,) = torch.autograd.grad(by_hand(leaf), leaf)
    (got,) = torch.autograd.grad(value(loss, View(logits=leaf), teachers), leaf)
    torch.testing.assert_close(got, expected)


def test_opposed_logits_leave_the_batch_undecided():
    student = View(logits=torch.tensor([[1.0, 1.0]]))
    teachers = {"a": View(logits=torch.ones(1, 2)), "b": View(logits=-torch.ones(1, 2))}
    weights = MSKD("kd", "batch")._weights(student, teachers)
    assert weights.flatten().tolist() == [0.5, 0.5]


def test_nodes_attend_as_their_whole_graph_does():
    student, teachers = views()
    batch = torch.tensor([0, 0, 0, 1, 1, 1])

    def changed(change):
        return change(student), {name: change(view) for name, view in teachers.items()}

    whole = changed(lambda view: View(view.logits[:2], view.features, view.graph, batch))
    spread = changed(lambda view: View(view.logits[:2][batch], view.features, view.graph))
    loss = MSKD(per_row=True)
    torch.testing.assert_close(value(loss, *whole), value(loss, *spread))
    unknown = changed(lambda view: View(view.logits[:2], view.features, view.graph))
    with pytest.raises(ParameterError, match="logits of 2 rows for 6 nodes"):
        value(loss, *unknown)


def test_through_a_distiller_with_teachers_of_different_depth():
    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(5, 7), nn.Linear(7, 6), nn.Linear(6, 3)])

        def forward(self, x):
            for layer in self.layers:
                x = layer(x).tanh()
            return x

    batch, student = batch_of(), Network().eval()
    networks = {"shallow": Network(width=8), "deep": Deep()}
    taps = {"student": "layers.0", "teacher": ["deep:layers.1", "shallow:layers.0"]}
    batch.m = torch.arange(6) < 4
    of = {}
    for rows in ("all", "m", "~m"):
        term = gkd.Term("mskd", rows=rows, **taps)
        report = distiller_of(networks, student, term)(batch)
        of[rows] = report.terms["mskd"]
        report.total.backward()
    torch.testing.assert_close(4 * of["m"] + 2 * of["~m"], 6 * of["all"])


def test_labels_reach_a_loss_that_asks_for_them():
    batch, student = batch_of(), Network().eval()
    networks = {"a": Network(), "b": Network()}
    term = gkd.Term("mskd", teacher=["a:", "b:"], params={"loss": "dkd"})
    report = distiller_of(networks, student, term)(batch)
    assert report.terms["mskd"] > 0


def test_a_distillers_task_reaches_the_loss():
    loss = MSKD("kd", task="multi-label")
    assert loss.loss.divergence is gkd.create("loss", "kd", task="multi-label").divergence
    explicit = MSKD("kd", params={"task": "single-label"}, task="multi-label")
    assert explicit.loss.divergence is gkd.create("loss", "kd").divergence


def test_losses_that_do_not_fit():
    with pytest.raises(ParameterError, match="per_row"):
        MSKD("at")
    with pytest.raises(ParameterError, match="learns something for one teacher"):
        MSKD("fitnet")
    with pytest.raises(ParameterError, match="has no value per row: make it with per_row=True"):
        MSKD(gkd.create("loss", "kd"))
    with pytest.raises(ParameterError, match="params are for a loss given by name"):
        MSKD(gkd.create("loss", "kd", per_row=True), params={"temperature": 1.0})
    with pytest.raises(gkd.UnknownNameError, match="did you mean 'lsp'"):
        MSKD("lps")
    student, teachers = views()
    with pytest.raises(ParameterError, match="mskd compares logits"):
        value(MSKD(), View(features=student.features, graph=student.graph), teachers)
    teachers["deep"] = View(torch.zeros(6, 2), teachers["deep"].features, student.graph)
    with pytest.raises(ParameterError, match=r"equal shapes \[N, C\], got \[6, 3\]"):
        value(MSKD(), student, teachers)


def test_a_term_of_one_teacher_gets_it():
    batch, student = batch_of(), Network().eval()
    report = distiller_of(Network(), student, gkd.Term("mskd", **SAME_TAPS))(batch)
    assert report.terms["mskd"].isfinite()
