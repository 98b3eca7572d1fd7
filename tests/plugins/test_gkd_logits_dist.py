"""DIST against Pearson's formula."""

import math

import pytest
import torch

from gkd import View
from gkd.errors import ParameterError
from gkd_logits.dist import DIST


def softmax(row):
    powers = [math.exp(value) for value in row]
    return [power / sum(powers) for power in powers]


def correlation(one, other):
    one, other = ([x - sum(z) / len(z) for x in z] for z in (one, other))
    products = sum(x * y for x, y in zip(one, other, strict=True))
    return products / math.sqrt(sum(x * x for x in one) * sum(x * x for x in other))


def mean_distance(rows, others):
    apart = [1 - correlation(*pair) for pair in zip(rows, others, strict=True)]
    return sum(apart) / len(apart)


def logits(rows=7, seed=0):
    random = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(rows, 4, generator=random, dtype=torch.float64) for _ in range(2))


def value(student, teacher, **params):
    return DIST(**params)(View(logits=student), View(logits=teacher))


@pytest.mark.parametrize(("beta", "gamma", "heat"), [(1.0, 1.0, 1.0), (2.0, 0.5, 3.0)])
def test_the_value_is_that_of_correlations(beta, gamma, heat):
    student, teacher = logits()
    ours, theirs = ([softmax(row) for row in (z / heat).tolist()] for z in (student, teacher))
    columns = [list(map(list, zip(*side, strict=True))) for side in (ours, theirs)]
    expected = beta * mean_distance(ours, theirs) + gamma * mean_distance(*columns)
    got = value(student, teacher, beta=beta, gamma=gamma, temperature=heat)
    assert got.item() == pytest.approx(heat**2 * expected, rel=1e-10)


def test_near_the_teacher_the_gradient_keeps_its_digits():
    teacher, way = logits()
    student = teacher + 1e-3 * way
    gradients = []
    for dtype in (torch.float32, torch.float64):
        leaf = student.to(torch.float32).to(dtype).requires_grad_()
        value(leaf, teacher.to(torch.float32).to(dtype)).backward()
        gradients.append(leaf.grad.double())
    assert (gradients[0] - gradients[1]).norm() < 2e-3 * gradients[1].norm()


def test_what_has_no_spread_has_no_gradient():
    student = torch.zeros(3, 4, requires_grad=True)
    result = value(student, torch.zeros(3, 4))
    result.backward()
    assert result == 0
    assert (student.grad == 0).all()
    one_node = next(logits(1))
    assert value(one_node, one_node) == 0
    assert value(one_node, -one_node) == value(one_node, -one_node, gamma=0.0)  # of classes alone


def test_one_logit_stands_for_two_classes():
    student, teacher = (z[:, :1] for z in logits())
    two = [torch.cat([torch.zeros_like(z), z], dim=1) for z in (student, teacher)]
    torch.testing.assert_close(value(student, teacher), value(*two))


def test_outputs_that_are_no_classes_are_refused():
    with pytest.raises(ParameterError, match=r"dist: .* no true class, as its outputs are sigmoid"):
        DIST(task="multi-label")
    with pytest.raises(ParameterError, match=r"dist: expected logits of equal shapes"):
        value(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ParameterError, match="dist compares logits"):
        DIST()(View(), View())


def test_no_nodes_are_zero():
    student = torch.zeros(0, 3, requires_grad=True)
    value(student, torch.zeros(0, 3)).backward()
    assert student.grad.shape == (0, 3)
