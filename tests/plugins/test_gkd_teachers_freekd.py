"""FreeKD against plain loops: each node is taught by whoever knows it better."""

import math

import pytest
import torch
from distiller_problems import Network, batch_of, distiller_of

import gkd
from gkd import Step, View
from gkd.errors import ParameterError
from gkd_teachers.freekd import FreeKD

ONE = torch.tensor(
    [[1.0, -0.5, 2.0], [0.0, 0.3, -1.0], [3.0, 3.0, 0.0], [0.1, 0.0, 0.2]], dtype=torch.float64
)
OTHER = torch.tensor(
    [[2.0, 0.5, 1.0], [-1.0, 1.3, 0.0], [0.0, 5.0, 0.5], [4.0, 0.0, 0.0]], dtype=torch.float64
)
LABELS, LABELLED = torch.tensor([2, 1, 1, 1]), torch.tensor([True, True, True, False])


def softmax(row, temperature=1.0):
    total = sum(math.exp(value / temperature) for value in row)
    return [math.exp(value / temperature) / total for value in row]


def entropy(row):
    return -sum(p * math.log(p) for p in softmax(row))


def by_hand(student, teacher, temperature, unlabelled):
    values = []
    for i, (s, t) in enumerate(zip(student.tolist(), teacher.tolist(), strict=True)):
        if LABELLED[i]:
            label = int(LABELS[i])
            taught = -math.log(softmax(t)[label]) < -math.log(softmax(s)[label])
        else:
            taught = unlabelled == "entropy" and entropy(t) < entropy(s)
        p, q = softmax(s, temperature), softmax(t, temperature)
        divergence = sum(b * math.log(b / a) for a, b in zip(p, q, strict=True))
        values.append(temperature**2 * divergence if taught else 0.0)
    return values


@pytest.mark.parametrize("unlabelled", ["skip", "entropy"])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_plain_loops_in_both_directions(temperature, unlabelled):
    loss = FreeKD(temperature=temperature, unlabelled=unlabelled)
    one, other = View(logits=ONE), View(logits=OTHER)
    for student, teacher in ((one, other), (other, one)):
        step = Step.of(student, labels=LABELS, labelled=LABELLED)
        values = loss(student, teacher, step=step)
        expected = by_hand(student.logits, teacher.logits, temperature, unlabelled)
        assert values.tolist() == pytest.approx(expected, rel=1e-9)
        assert any(values)
        assert not all(values)


def test_at_no_node_do_both_learn_from_each_other():
    one, other = View(logits=ONE), View(logits=OTHER)
    loss = FreeKD(unlabelled="entropy")
    there, back = (
        loss(a, b, step=Step.of(a, labels=LABELS, labelled=LABELLED))
        for a, b in ((one, other), (other, one))
    )
    assert not ((there > 0) & (back > 0)).any()
    assert ((there > 0) | (back > 0)).all()


def test_the_gradient_is_that_of_the_chosen_divergences():
    teacher = View(logits=OTHER)
    leaf = ONE.clone().requires_grad_()
    view = View(logits=leaf)
    FreeKD()(view, teacher, step=Step.of(view, labels=LABELS)).sum().backward()
    chosen = torch.tensor([value > 0 for value in by_hand(ONE, OTHER, 1.0, "skip")])
    expected = (ONE.softmax(1) - OTHER.softmax(1)) * chosen[:, None]
    torch.testing.assert_close(leaf.grad[:3], expected[:3])


def test_several_labels_of_plain_loops():
    labels = torch.tensor([[1.0, 0, 1], [0, float("nan"), 1], [float("nan")] * 3, [1, 1, 0]])
    expected = []
    for s, t, y in zip(ONE.tolist(), OTHER.tolist(), labels.tolist(), strict=True):
        known = [c for c in range(3) if not math.isnan(y[c])]
        errors = [
            sum(math.log(1 + math.exp(-z[c] if y[c] else z[c])) for c in known) for z in (s, t)
        ]
        p, q = ([1 / (1 + math.exp(-z)) for z in row] for row in (s, t))
        each = [
            b * math.log(b / a) + (1 - b) * math.log((1 - b) / (1 - a))
            for a, b in zip(p, q, strict=True)
        ]
        expected.append(sum(each) / 3 if errors[1] < errors[0] else 0.0)
    one, other = View(logits=ONE), View(logits=OTHER)
    values = FreeKD(task="multi-label")(one, other, step=Step.of(one, labels=labels))
    assert values.tolist() == pytest.approx(expected, rel=1e-9)
    assert any(expected)
    assert not all(expected[:2] + expected[3:])


def test_labels_that_are_left_out_choose_nothing():
    one, other = View(logits=ONE), View(logits=OTHER)
    for labels in (torch.full((4,), -1), torch.full((4, 1), float("nan"))):
        assert not FreeKD()(one, other, step=Step.of(one, labels=labels)).any()


def test_a_single_column_is_the_logit_of_class_1():
    one, other = View(logits=ONE[:, :1]), View(logits=OTHER[:, 0])
    wide = [View(logits=torch.stack([0 * z, z], 1)) for z in (ONE[:, 0], OTHER[:, 0])]
    labels = torch.tensor([1, 0, 1, 0])
    narrow = FreeKD()(one, other, step=Step.of(one, labels=labels))
    torch.testing.assert_close(narrow, FreeKD()(*wide, step=Step.of(wide[0], labels=labels)))


def test_peers_teach_each_other():
    torch.manual_seed(0)
    batch = batch_of()
    terms = [
        gkd.Term("freekd", teacher="other:", name="there"),
        gkd.Term("freekd", student="other:", teacher="student:", name="back"),
    ]
    networks = {"other": Network().eval()}, Network().eval()
    report = distiller_of(*networks, *terms, trained=["other"])(batch)
    assert report.terms["there"] > 0
    assert report.terms["back"] > 0


def test_what_does_not_fit_is_said():
    one = View(logits=ONE)
    with pytest.raises(ParameterError, match="freekd needs labels, but the batch has none"):
        FreeKD()(one, one, step=Step.of(one))
    with pytest.raises(ParameterError, match=r"a class number for each of 4 rows .* \[4, 3\]"):
        FreeKD()(one, one, step=Step.of(one, labels=torch.zeros(4, 3)))
    with pytest.raises(ParameterError, match=r"of the shape of the logits, \[4, 3\], got \[4, 1\]"):
        FreeKD(task="multi-label")(one, one, step=Step.of(one, labels=torch.zeros(4)))
    with pytest.raises(ParameterError, match="freekd: outputs of this task are gaussian"):
        FreeKD(task="regression")
