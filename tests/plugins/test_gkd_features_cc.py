"""CC against plain loops over pairs, and over orders of a batch."""

import itertools
import math

import pytest
import torch

from gkd import Step, View
from gkd.errors import ParameterError
from gkd_features.cc import CC


def features(rows=6, widths=(3, 4), seed=0):
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, width, generator=random, dtype=torch.float64) for width in widths]


def value(loss, student, teacher):
    views = View(features=student), View(features=teacher)
    loss.build(*views)
    return loss(*views, step=Step.of(views[0]))


def unit(row):
    length = math.sqrt(sum(z * z for z in row))
    return [z / length for z in row]


def dot(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


def kernel(one, other, gamma, order):
    terms = ((2 * gamma * dot(one, other)) ** p / math.factorial(p) for p in range(order + 1))
    return math.exp(-2 * gamma) * sum(terms)


@pytest.mark.parametrize(("gamma", "order"), [(0.4, 2), (1.3, 1), (0.7, 5)])
def test_the_paper_compares_the_kernels_of_all_pairs(gamma, order):
    student, teacher = features()
    s, t = ([unit(row) for row in side.tolist()] for side in (student, teacher))
    expected = sum(
        (kernel(s[i], s[j], gamma, order) - kernel(t[i], t[j], gamma, order)) ** 2
        for i, j in itertools.product(range(6), repeat=2)
    )
    got = value(CC(gamma=gamma, order=order), student, teacher)
    assert got.item() == pytest.approx(expected / 36, rel=1e-10)
    root = value(CC(gamma=gamma, order=order, squared=False), student, teacher)
    assert root.item() == pytest.approx(math.sqrt(expected) / 36, rel=1e-10)


def test_with_many_terms_the_kernel_is_the_gaussian_one():
    student, teacher = features()
    s, t = (side / side.norm(dim=1, keepdim=True) for side in (student, teacher))
    kernels = [(-0.4 * torch.cdist(z, z) ** 2).exp() for z in (s, t)]
    got = value(CC(order=20), student, teacher)
    torch.testing.assert_close(got, (kernels[0] - kernels[1]).square().mean())


def test_the_code_multiplies_distances_of_consecutive_rows_in_the_mean_over_all_orders():
    student, teacher = features(rows=5)
    loss = CC(variant="official-code", width=2)
    got = value(loss, student, teacher)
    maps = [[m.weight.tolist(), m.bias.tolist()] for m in loss.maps.values()]
    distances = []
    for rows in zip(student.tolist(), teacher.tolist(), strict=True):
        u, v = (
            [dot(w, row) + b for w, b in zip(weight, bias, strict=True)]
            for row, (weight, bias) in zip(rows, maps, strict=True)
        )
        distances.append([abs(a - b) for a, b in zip(u, v, strict=True)])
    orders = list(itertools.permutations(distances))
    expected = sum(sum(map(dot, order, order[1:])) / 4 for order in orders) / len(orders)
    assert got.item() == pytest.approx(expected, rel=1e-10)


def test_blocks_of_nodes_make_the_whole(monkeypatch):
    student, teacher = features(rows=20)
    expected = value(CC(), student, teacher)
    monkeypatch.setattr("gkd.functional.node_pairs._NUMBERS", 60)
    torch.testing.assert_close(value(CC(), student, teacher), expected)


def test_samples_are_drawn_from_larger_batches():
    student, teacher = features(rows=20)
    assert value(CC(samples=5), student, teacher) != value(CC(), student, teacher)
    assert value(CC(samples=5), student[:5], teacher[:5]) == value(CC(), student[:5], teacher[:5])


@pytest.mark.parametrize("squared", [True, False])
def test_near_the_teacher_the_gradient_keeps_its_digits(squared):
    teacher, way = features(rows=30, widths=(4, 4))
    student = (teacher + 1e-3 * way).float()
    single, double = student.clone().requires_grad_(), student.double().requires_grad_()
    value(CC(squared=squared), single, teacher.float()).backward()
    value(CC(squared=squared), double, teacher.float().double()).backward()
    assert (single.grad - double.grad).norm() < 1e-5 * double.grad.norm()
    leaf = teacher.clone().requires_grad_()
    agreeing = value(CC(squared=squared), leaf, teacher)
    agreeing.backward()
    assert agreeing == 0
    assert (leaf.grad == 0).all()


@pytest.mark.parametrize("variant", ["paper", "official-code"])
def test_no_nodes_and_one_are_fine(variant):
    for rows in (0, 1):
        student = torch.ones(rows, 3, requires_grad=True)
        result = value(CC(variant=variant), student, torch.ones(rows, 4))
        result.backward()
        assert result.isfinite()
        assert student.grad.isfinite().all()
        assert result.item() == pytest.approx(0, abs=1e-6)


def test_the_code_needs_its_maps_and_the_paper_has_none():
    student, teacher = (View(features=side) for side in features())
    step = Step.of(student)
    assert CC()(student, teacher, step=step) > 0
    with pytest.raises(ParameterError, match="cc: the maps do not exist yet"):
        CC(variant="official-code")(student, teacher, step=step)
