"""GLNN against plain loops, and against the task and kd that it is a mixture of."""

import math

import pytest
import torch
from distiller_problems import Network, batch_of, distiller_of

import gkd
from gkd import Step, View
from gkd.errors import ParameterError
from gkd_graph_to_mlp.glnn import GLNN

STUDENT = torch.tensor([[1.0, -0.5, 2.0], [0.0, 0.3, -1.0], [3.0, 3.0, 0.0]], dtype=torch.float64)
TEACHER = torch.tensor([[2.0, 0.5, 1.0], [-1.0, 1.3, 0.0], [0.0, 2.0, 0.5]], dtype=torch.float64)
LABELS, LABELLED = torch.tensor([2, 0, 1]), torch.tensor([True, False, True])


def softmax(row):
    total = sum(math.exp(value) for value in row)
    return [math.exp(value) / total for value in row]


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_plain_loops(weight):
    rows = [
        (softmax(s), softmax(t)) for s, t in zip(STUDENT.tolist(), TEACHER.tolist(), strict=True)
    ]
    hard = -sum(math.log(rows[i][0][LABELS[i]]) for i in (0, 2)) / 2
    soft = sum(q * math.log(q / p) for s, t in rows for p, q in zip(s, t, strict=True)) / 3
    student, teacher = View(logits=STUDENT), View(logits=TEACHER)
    step = Step.of(student, labels=LABELS, labelled=LABELLED)
    value = GLNN(label_weight=weight)(student, teacher, step=step)
    assert value.item() == pytest.approx(weight * hard + (1 - weight) * soft, rel=1e-9)


@pytest.mark.parametrize("task", ["single-label", "multi-label", "regression"])
def test_it_is_the_task_and_kd_in_one(task):
    batch = batch_of()
    batch.m = torch.arange(6) < 4
    if task != "single-label":
        batch.y = (torch.arange(18) % 2).reshape(6, 3).float()
    networks = Network().eval(), Network().eval()
    kd = gkd.Term("kd", weight=0.7, params={"temperature": 1.0})
    glnn = gkd.Term("glnn", params={"label_weight": 0.3})
    values = [
        gkd.Distiller(*networks, [term], task=task, inputs=["x"], mask="m", task_weight=weight)(
            batch
        ).total
        for term, weight in ((kd, 0.3), (glnn, 0.0))
    ]
    torch.testing.assert_close(*values)


def test_without_labels_it_needs_none():
    student, teacher = View(logits=STUDENT), View(logits=TEACHER)
    step = Step.of(student)
    expected = gkd.create("loss", "kd", temperature=1.0)(student, teacher)
    torch.testing.assert_close(GLNN()(student, teacher, step=step), expected)
    with pytest.raises(ParameterError, match="glnn needs labels, but the batch has none"):
        GLNN(label_weight=0.1)(student, teacher, step=step)


def test_what_does_not_fit_is_said():
    student = View(logits=STUDENT)
    step = Step.of(student, labels=LABELS[:2])
    with pytest.raises(ParameterError, match=r"a label for each of 3 rows .* shape \[2\]"):
        GLNN(label_weight=0.5)(student, student, step=step)
    with pytest.raises(ParameterError, match="outputs of this task are embeddings"):
        GLNN(task="link-prediction")
    with pytest.raises(ParameterError, match="'label_weight' must be"):
        GLNN(label_weight=1.5)


def test_no_nodes():
    none = View(logits=torch.zeros(0, 3, requires_grad=True))
    step = Step.of(none, labels=torch.zeros(0, dtype=torch.int64))
    assert GLNN(label_weight=0.5)(none, none, step=step) == 0


def test_rows_of_a_term():
    batch = batch_of()
    batch.m = torch.arange(6) < 3
    networks = Network(), Network().eval()
    report = distiller_of(*networks, gkd.Term("glnn", rows="m"))(batch)
    assert report.terms["glnn"].isfinite()
