"""SKD against its formula with the N × N matrices that it never makes."""

import pytest
import torch

from gkd import View
from gkd.errors import ParameterError
from gkd_logits.skd import SKD


def logits(rows=6, classes=4, seed=0):
    random = torch.Generator().manual_seed(seed)
    return (torch.randn(rows, classes, generator=random, dtype=torch.float64) for _ in range(2))


def value(student, teacher, **params):
    return SKD(**params)(View(logits=student), View(logits=teacher))


def by_hand(student, teacher, heat, direction, tikhonov):
    n = len(student)
    unit = [[z / z.norm() for z in side] for side in (student, teacher)]
    d = torch.tensor(
        [[float(unit[0][i] @ unit[0][j] - unit[1][i] @ unit[1][j]) for j in range(n)]
         for i in range(n)], dtype=torch.float64,
    )  # fmt: skip
    mean = d.mean(0)
    covariance = sum(torch.outer(row - mean, row - mean) for row in d) / (n - 1)
    inverse = torch.linalg.inv(covariance + tikhonov * torch.eye(n, dtype=torch.float64))
    distance = sum(float(row @ inverse @ row) ** 0.5 for row in d) / n
    p, q = ((z / heat).softmax(1) for z in (teacher, student))
    return float((p * (p / q).log()).sum() / n) + direction * distance


@pytest.mark.parametrize("shape", [(6, 4), (3, 5), (12, 2)])  # more nodes than 2 C, and fewer
@pytest.mark.parametrize("params", [(4.0, 1.0, 0.1), (1.5, 0.3, 1e-3)])
def test_the_value_is_what_the_matrices_of_all_pairs_give(shape, params):
    student, teacher = logits(*shape)
    heat, direction, tikhonov = params
    got = value(student, teacher, temperature=heat, direction=direction, tikhonov=tikhonov)
    assert got.item() == pytest.approx(by_hand(student, teacher, *params), rel=1e-8)


@pytest.mark.parametrize("gap", [1e-4, 1.0])
def test_the_gradient_in_float32_keeps_its_digits(gap):
    teacher, way = logits(2000)
    student = (teacher + gap * way).float()
    leaf, double = student.clone().requires_grad_(), student.double().requires_grad_()
    value(leaf, teacher.float()).backward()
    value(double, teacher.float().double()).backward()
    assert (leaf.grad - double.grad).norm() < 1e-5 * double.grad.norm()


def test_equal_logits_are_at_zero_with_a_gradient_of_zero():
    student, _ = logits()
    leaf = student.clone().requires_grad_()
    result = value(leaf, student)
    result.backward()
    assert result == 0
    assert (leaf.grad == 0).all()


def test_outputs_that_are_no_classes_are_refused():
    with pytest.raises(ParameterError, match=r"skd: .* no true class, as its outputs are gaussian"):
        SKD(task="regression")
    with pytest.raises(ParameterError, match=r"skd: expected logits of equal shapes"):
        value(torch.zeros(2, 3), torch.zeros(2, 4))


def test_no_nodes_are_zero_and_one_is_fine():
    student = torch.zeros(0, 3, requires_grad=True)
    value(student, torch.zeros(0, 3)).backward()
    assert student.grad.shape == (0, 3)
    one, other = logits(1)
    # Of one node there is no other to be like: exactly, as a root would make 1e-8 of rounding.
    assert value(one, other) == value(one, other, direction=0.0)
