"""Amalgamation: each teacher is compared with its own columns of the student."""

import math

import pytest
import torch
from distiller_problems import Network, batch_of, distiller_of

import gkd
from gkd import View
from gkd.errors import ParameterError
from gkd_teachers.amalgamation import Amalgamation


def wave(rows, columns, slope, start):
    numbers = torch.arange(rows * columns, dtype=torch.float64)
    return 2 * (numbers * slope + start).sin().reshape(rows, columns)


STUDENT = View(logits=wave(4, 5, 0.9, 0.1))
TEACHERS = {"tissue": View(logits=wave(4, 2, 1.3, 0.7)), "organ": View(logits=wave(4, 3, 2.1, 0.5))}


def value(loss, student=STUDENT, teachers=TEACHERS):
    return loss(student, next(iter(teachers.values())), teachers=teachers)


def softmax(row):
    total = sum(math.exp(value) for value in row)
    return [math.exp(value) / total for value in row]


def by_hand(targets, task):
    total = [0.0] * 4
    for (start, end), teacher in zip(((0, 2), (2, 5)), TEACHERS.values(), strict=True):
        for i, t in enumerate(teacher.logits.tolist()):
            s = STUDENT.logits[i, start:end].tolist()
            if task == "multi-label":
                ours, theirs = ([1 / (1 + math.exp(-z)) for z in row] for row in (s, t))
                if targets == "hard":
                    theirs = [float(z > 0) for z in t]
                each = [
                    sum(q * math.log(q / p) for p, q in ((p, q), (1 - p, 1 - q)) if q)
                    for p, q in zip(ours, theirs, strict=True)
                ]
                total[i] += sum(each) / len(each) / 2
            elif targets == "hard":
                total[i] -= math.log(softmax(s)[t.index(max(t))]) / 2
            else:
                pairs = zip(softmax(s), softmax(t), strict=True)
                total[i] += sum(q * math.log(q / p) for p, q in pairs) / 2
    return total


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
@pytest.mark.parametrize("targets", ["soft", "hard"])
def test_plain_loops(targets, task):
    params = {"targets": targets, "temperature": 1.0, "task": task}
    rows = value(Amalgamation(per_row=True, **params))
    assert rows.tolist() == pytest.approx(by_hand(targets, task), rel=1e-9)
    mean = value(Amalgamation(**params))
    assert mean.item() == pytest.approx(rows.mean().item())


def test_columns_by_name():
    swapped = View(logits=STUDENT.logits[:, [4, 0, 2, 1, 3]])
    places = {"tissue": [1, 3], "organ": [2, 4, 0]}  # where columns 0, 1 and 2, 3, 4 went
    torch.testing.assert_close(value(Amalgamation(columns=places), swapped), value(Amalgamation()))


def test_teachers_of_the_same_classes_share_the_columns():
    teachers = {name: View(logits=wave(4, 5, slope, 0.3)) for name, slope in (("a", 0.4), ("b", 1))}
    kd = gkd.create("loss", "kd")
    expected = sum(kd(STUDENT, view) for view in teachers.values()) / 2
    torch.testing.assert_close(value(Amalgamation(), teachers=teachers), expected)


def test_regression_has_soft_targets_alone():
    squares = (STUDENT.logits - torch.cat([v.logits for v in TEACHERS.values()], 1)).square()
    expected = (squares[:, :2].mean() + squares[:, 2:].mean()) / 2
    torch.testing.assert_close(value(Amalgamation(task="regression")), expected)
    with pytest.raises(ParameterError, match="of this task are gaussian, of which there is no"):
        Amalgamation(targets="hard", task="regression")


def test_a_student_of_two_teachers_of_different_label_sets():
    torch.manual_seed(0)
    batch = batch_of()
    teachers = {"tissue": Network(classes=2), "organ": Network(classes=3)}
    student = Network(classes=5).eval()
    term = gkd.Term("amalgamation", teacher=["tissue:", "organ:"])
    report = distiller_of(teachers, student, term, task_weight=0.0)(batch)
    report.total.backward()
    assert (student.layers[1].weight.grad.abs().sum(1) > 0).all()


def test_columns_that_do_not_fit():
    with pytest.raises(
        ParameterError, match=r"student has 5 columns, and its teachers have 2 \+ 2"
    ):
        value(Amalgamation(), teachers={"a": TEACHERS["tissue"], "b": TEACHERS["tissue"]})
    with pytest.raises(ParameterError, match=r"no columns of the teacher 'organ'; .*'organs'"):
        value(Amalgamation(columns={"tissue": [0, 1], "organs": [2, 3, 4]}))
    for wrong in ([2, 3], [2, 3, 5]):
        with pytest.raises(ParameterError, match=r"columns of 'organ': expected 3 numbers below 5"):
            value(Amalgamation(columns={"tissue": [0, 1], "organ": wrong}))
