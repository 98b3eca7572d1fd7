"""G-CRD against a float64 reference written as the formula reads, its memory and its mistakes."""

import math

import pytest
import torch
from torch import nn

from gkd import ParameterError, Step, View
from gkd.functional import node_pairs
from gkd.testing.memory_watch import MemoryWatch
from gkd_contrast.gcrd import GCRD


def problem(nodes: int = 7) -> tuple[View, View]:
    random = torch.Generator().manual_seed(nodes)
    ours, theirs = (
        torch.randn(nodes, width, generator=random, dtype=torch.float64) for width in (3, 5)
    )
    return View(features=ours.requires_grad_()), View(features=theirs.requires_grad_())


def built(student: View, teacher: View, **parameters) -> GCRD:
    torch.manual_seed(0)
    loss = GCRD(**{"width": 4, "temperature": 0.5, **parameters})
    loss.build(student, teacher)
    return loss


def value_of(loss: GCRD, student: View, teacher: View, seed: int = 0) -> torch.Tensor:
    return loss(student, teacher, step=Step.of(student, seed=seed))


def reference(loss: GCRD, student: View, teacher: View) -> float:
    """Evaluate the formula, pair by pair."""
    s = loss.heads["student"](student.features).tolist()
    t = loss.heads["teacher"](teacher.features).tolist()

    def similarity(a: list[float], b: list[float]) -> float:
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / math.hypot(*a) / math.hypot(*b) / loss.temperature

    total = 0.0
    for i, ours in enumerate(s):
        among_all = sum(math.exp(similarity(ours, theirs)) for theirs in t)
        total -= math.log(math.exp(similarity(ours, t[i])) / among_all)
    return total / len(s)


@pytest.mark.parametrize("nodes", [2, 7])
@pytest.mark.parametrize("head", ["linear", "batch-norm"])
def test_it_is_the_formula(nodes, head):
    student, teacher = problem(nodes)
    loss = built(student, teacher, head=head, width=16)
    assert value_of(loss, student, teacher).item() == pytest.approx(
        reference(loss, student, teacher), 1e-12
    )


def test_blocks_change_neither_value_nor_gradient(monkeypatch):
    student, teacher = problem(30)
    loss = built(student, teacher)
    tensors = [student.features, *loss.parameters()]
    whole = value_of(loss, student, teacher)
    expected = torch.autograd.grad(whole, tensors)
    monkeypatch.setattr(node_pairs, "_NUMBERS", 300)
    with MemoryWatch() as watch:
        value = value_of(loss, student, teacher)
        gradients = torch.autograd.grad(value, tensors)
    assert watch.elements <= 300  # of 900 pairs
    torch.testing.assert_close(value, whole)
    for gradient, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, wanted)


def test_both_maps_learn_and_the_teacher_does_not():
    student, teacher = problem()
    loss = built(student, teacher)
    value_of(loss, student, teacher).backward()
    assert teacher.features.grad is None
    assert student.features.grad.abs().sum() > 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in loss.parameters())


def test_heads_with_batch_normalisation_are_those_of_the_published_code():
    loss = built(*problem(), head="batch-norm")
    assert [type(part) for part in loss.heads["teacher"]] == [nn.Linear, nn.BatchNorm1d, nn.ReLU]


def test_nodes_are_drawn_with_their_counterparts():
    student, teacher = problem(30)
    loss = built(student, teacher, samples=5)
    values = [value_of(loss, student, teacher, seed).item() for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]
    drawn = torch.randperm(30, generator=torch.Generator().manual_seed(1))[:5]
    chosen = (View(features=view.features[drawn]) for view in (student, teacher))
    assert values[0] == pytest.approx(reference(loss, *chosen), 1e-12)


def test_one_node_has_nothing_to_be_told_from():
    student, teacher = problem(1)
    value = value_of(built(student, teacher, head="batch-norm"), student, teacher)
    value.backward()
    assert value.item() == 0
    assert student.features.grad.tolist() == [[0, 0, 0]]


def test_what_is_missing_or_does_not_fit_is_said():
    student, teacher = problem()
    with pytest.raises(ParameterError, match="gcrd: the maps do not exist yet"):
        value_of(GCRD(), student, teacher)
    loss = built(student, teacher)
    with pytest.raises(ParameterError, match="built for features of widths 3 and 5, got 5"):
        value_of(loss, teacher, teacher)
    with pytest.raises(ParameterError, match="7 rows from the student and 8"):
        value_of(loss, student, problem(8)[1])
    with pytest.raises(ParameterError, match=r"'head' must be 'linear' \| 'batch-norm', got 'mlp'"):
        GCRD(head="mlp")
    with pytest.raises(ParameterError, match="'samples' must be"):
        GCRD(samples=1)
