"""Losses of relations against float64 references written as their formulas read."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor

import gkd
from gkd import ParameterError, Step, View
from gkd.distillation.loss_call import asked_by, loss_value
from gkd.functional import node_pairs
from gkd.testing.memory_watch import MemoryWatch

NAMES = ("darkrank", "gsp", "pkt", "rkd-angle", "rkd-distance", "sp")


def problem(nodes: int = 7, widths: tuple[int, int] = (3, 4), seed: int = 0) -> tuple[View, View]:
    random = torch.Generator().manual_seed(seed)
    student, teacher = (
        View(features=torch.randn(nodes, width, generator=random, dtype=torch.float64))
        for width in widths
    )
    student.features.requires_grad_()
    return student, teacher


def value_of(loss: gkd.AbstractLoss, student: View, teacher: View, seed: int = 0) -> Tensor:
    step = Step.of(student, seed=seed)
    return loss_value(loss, student, {"teacher": teacher}, step, asked_by(loss))


def norm(x: Tensor) -> Tensor:
    return (x * x).sum().sqrt() if x.any() else x.sum()


def cosine(x: Tensor, y: Tensor) -> Tensor:
    lengths = norm(x) * norm(y)
    return (x * y).sum() / lengths if lengths > 0 else (x * y).sum()


def huber(gap: Tensor) -> Tensor:
    return gap * gap / 2 if gap.abs() < 1 else gap.abs() - 0.5


def rkd_distance(s: Tensor, t: Tensor) -> Tensor:
    n = range(len(s))
    ours, theirs = ([[norm(z[i] - z[j]) for j in n] for i in n] for z in (s, t))
    means = [sum(map(sum, each)) / (len(s) * (len(s) - 1)) for each in (ours, theirs)]
    gaps = (huber(ours[i][j] / means[0] - theirs[i][j] / means[1]) for i, j in product(n, n))
    return sum(gaps) / len(s) ** 2


def rkd_angle(s: Tensor, t: Tensor) -> Tensor:
    n = range(len(s))
    gaps = (
        huber(cosine(s[i] - s[j], s[k] - s[j]) - cosine(t[i] - t[j], t[k] - t[j]))
        for i, j, k in product(n, n, n)
    )
    return sum(gaps) / len(s) ** 3


def sp(s: Tensor, t: Tensor) -> Tensor:
    total = 0
    for i in range(len(s)):
        rows = [torch.stack([(z[i] * z[j]).sum() for j in range(len(z))]) for z in (s, t)]
        ours, theirs = (row / norm(row) if row.any() else row for row in rows)
        total = total + (ours - theirs).square().sum()
    return total / len(s) ** 2


def pkt(s: Tensor, t: Tensor, itself: bool = False) -> Tensor:
    total = 0
    for i in range(len(s)):
        others = [j for j in range(len(s)) if itself or j != i]
        likely = []
        for z in (s, t):
            row = torch.stack([(1 + cosine(z[i], z[j])) / 2 for j in others])
            likely.append(row / row.sum() + 1e-7)
        total = total + (likely[1] * (likely[1] / likely[0]).log()).sum()
    return total / len(s)


GSP_KERNELS = {
    "cosine": cosine,
    "poly": lambda x, y: cosine(x, y) ** 2,
    "l2": lambda x, y: norm(x - y),
    "rbf": lambda x, y: (-(x - y).square().sum() / 2).exp(),
}


def gsp(s: Tensor, t: Tensor, kernel: str = "cosine") -> Tensor:
    n, similarity = range(len(s)), GSP_KERNELS[kernel]
    gaps = (similarity(s[i], s[j]) - similarity(t[i], t[j]) for i, j in product(n, n))
    return sum(gap * gap for gap in gaps) / len(s) ** 2


def darkrank(s: Tensor, t: Tensor, count: int = 4, normalise: bool = True) -> Tensor:
    if normalise:
        s, t = (torch.stack([row / norm(row) for row in z]) for z in (s, t))
    total = 0
    for i in range(len(s)):
        others = sorted(
            (j for j in range(len(s)) if j != i), key=lambda j: float(norm(t[i] - t[j]))
        )[:count]
        scores = [-3 * norm(s[i] - s[j]) ** 3 for j in others]
        for k, score in enumerate(scores):
            total = total + torch.stack(scores[k:]).logsumexp(0) - score
    return total / len(s)


CASES = [
    ("rkd-distance", {}, rkd_distance, {}),
    ("rkd-angle", {}, rkd_angle, {}),
    ("sp", {}, sp, {}),
    ("pkt", {}, pkt, {}),
    ("pkt", {"variant": "official-code"}, pkt, {"itself": True}),
    *(("gsp", {"kernel": kernel}, gsp, {"kernel": kernel}) for kernel in GSP_KERNELS),
    ("darkrank", {}, darkrank, {}),
    ("darkrank", {"neighbours": 2, "normalise": False}, darkrank, {"count": 2, "normalise": False}),
]


@pytest.mark.parametrize(("name", "params", "reference", "options"), CASES)
@pytest.mark.parametrize("blocks", [False, True])
def test_value_and_gradient_are_those_of_the_formula(
    name, params, reference, options, blocks, monkeypatch
):
    if blocks:
        monkeypatch.setattr(node_pairs, "_NUMBERS", 15)  # two nodes at a time
    student, teacher = problem()
    value = value_of(gkd.create("loss", name, **params), student, teacher)
    expected = reference(student.features, teacher.features, **options)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=0)
    gradients = [torch.autograd.grad(v, student.features)[0] for v in (value, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_turning_the_features_changes_nothing(name):
    student, teacher = problem()
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)).double())[
        0
    ]
    loss = gkd.create("loss", name)
    turned = View(features=student.features @ turn)
    torch.testing.assert_close(value_of(loss, turned, teacher), value_of(loss, student, teacher))


def test_rkd_asks_for_neither_place_nor_scale():
    student, teacher = problem()
    moved = View(features=5 - 3 * student.features)
    for name in ("rkd-distance", "rkd-angle"):
        loss = gkd.create("loss", name)
        assert value_of(loss, moved, student).item() == pytest.approx(0, abs=1e-12)
        torch.testing.assert_close(value_of(loss, moved, teacher), value_of(loss, student, teacher))


@pytest.mark.parametrize(
    ("name", "params"),
    [(name, {}) for name in NAMES if name not in ("sp", "gsp")] + [("gsp", {"kernel": "rbf"})],
)
def test_nodes_are_drawn_with_the_step_where_there_are_more(name, params):
    student, teacher = problem(12)
    few, all_ = (gkd.create("loss", name, samples=count, **params) for count in (5, 12))
    values = [value_of(few, student, teacher, seed).item() for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]
    drawn = torch.randperm(12, generator=torch.Generator().manual_seed(1))[:5]
    part = value_of(few, student.rows(drawn), teacher.rows(drawn))
    assert values[0] == pytest.approx(part.item())
    assert value_of(all_, student, teacher, 1) == value_of(all_, student, teacher, 2)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("nodes", [0, 1])
def test_nodes_without_others_are_no_difference(name, nodes):
    student, teacher = problem(nodes)
    value = value_of(gkd.create("loss", name), student, teacher)
    value.backward()
    assert value.item() == 0
    assert student.features.grad.abs().sum() < 1e-12


@pytest.mark.parametrize("name", NAMES)
def test_coinciding_and_zero_rows_have_finite_gradients(name):
    student, teacher = problem()
    with torch.no_grad():
        student.features[1:3] = student.features[0]
        student.features[4] = 0
    value = value_of(gkd.create("loss", name), student, teacher)
    value.backward()
    assert value.isfinite()
    assert student.features.grad.isfinite().all()


@pytest.mark.parametrize("name", ["rkd-distance", "rkd-angle", "sp", "pkt", "gsp"])
def test_the_gradient_near_agreement_points_to_it(name):
    # A value of 1e-14: to clamp, or to lose the digits of the difference, would show here.
    student, teacher = problem(widths=(3, 3))
    gap = 1e-7 * torch.randn(7, 3, generator=torch.Generator().manual_seed(2)).double()
    student = View(features=(teacher.features + gap).requires_grad_())
    loss = gkd.create("loss", name)
    value_of(loss, student, teacher).backward()
    twice = View(features=(teacher.features + 2 * gap).requires_grad_())
    value_of(loss, twice, teacher).backward()
    torch.testing.assert_close(
        twice.features.grad, 2 * student.features.grad, rtol=1e-3, atol=1e-12
    )


def test_equally_near_nodes_share_a_rank():
    # Nodes 1 and 2 are as near to 0 as each other: which of them is first must not matter.
    teacher = View(features=torch.tensor([[0.0], [1.0], [-1.0], [7.0]], dtype=torch.float64))
    student = View(features=torch.tensor([[0.0], [1.0], [2.0], [9.0]], dtype=torch.float64))
    loss = gkd.create("loss", "darkrank", neighbours=2, alpha=1.0, beta=1.0, normalise=False)
    apart = math.log(1 + math.exp(-1))  # log of the sum of two scores that differ by 1, less one
    both = -1 + apart
    # Of node 0 both denominators have both; 1 and 2 begin with 0; 3 has a list of 1 and 0.
    values = [(both + 1) + (both + 2), math.log(2), both + 2, apart]
    assert value_of(loss, student, teacher).item() == pytest.approx(sum(values) / 4)


@pytest.mark.parametrize(
    ("name", "params"), [("rkd-distance", {}), ("pkt", {}), ("darkrank", {}), ("sp", {})]
)
def test_memory_does_not_grow_with_pairs(name, params, monkeypatch):
    monkeypatch.setattr(node_pairs, "_NUMBERS", 2**11)
    student, teacher = problem(200, (4, 4))
    with MemoryWatch() as watch:
        value_of(gkd.create("loss", name, **params), student, teacher).backward()
    assert watch.elements <= 2**11  # of 40,000 pairs


def test_what_does_not_fit_is_said():
    student = problem()[0]
    for name in NAMES:
        loss = gkd.create("loss", name)
        with pytest.raises(ParameterError, match=f"{name}: .* 7 rows from the student and 6"):
            value_of(loss, student, problem(6)[1])
        with pytest.raises(ParameterError, match=f"{name} compares features"):
            value_of(loss, student, View())
    with pytest.raises(ParameterError, match="sigma: the l2 kernel has no such parameter, got 2"):
        gkd.create("loss", "gsp", kernel="l2", sigma=2.0)
    with pytest.raises(ParameterError, match="'samples' must be"):
        gkd.create("loss", "rkd-angle", samples=5000)
