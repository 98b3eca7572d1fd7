"""The supervised losses against plain formulas, and what the checks refuse."""

import math

import pytest
import torch

import gkd
from gkd.errors import DataError
from gkd_tasks.multi_label import MultiLabel
from gkd_tasks.single_label import SingleLabel

TASKS = {"single-label": SingleLabel, "multi-label": MultiLabel}


def find_task(name):
    return TASKS[name]()


def test_single_label_loss_is_the_mean_negative_log_probability():
    torch.manual_seed(0)
    logits, y = torch.randn(7, 4, dtype=torch.float64), torch.randint(0, 4, (7,))
    expected = 0.0
    for row, label in zip(logits.tolist(), y.tolist(), strict=True):
        expected -= math.log(math.exp(row[label]) / sum(math.exp(value) for value in row)) / 7
    assert find_task("single-label").loss(logits, y).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bool, torch.int64])
def test_multi_label_loss_is_the_mean_binary_cross_entropy(dtype):
    torch.manual_seed(0)
    logits, y = torch.randn(7, 4, dtype=torch.float64), torch.rand(7, 4) < 0.4
    expected = 0.0
    for logit, label in zip(logits.flatten().tolist(), y.flatten().tolist(), strict=True):
        probability = 1 / (1 + math.exp(-logit))
        expected -= math.log(probability if label else 1 - probability) / 28
    value = find_task("multi-label").loss(logits, y.to(dtype)).item()
    assert value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", sorted(TASKS))
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_averaged_in_single_precision(name, half):
    logits = torch.full((5000, 3), 2.0, dtype=half, requires_grad=True)
    y = torch.zeros(5000, dtype=torch.int64)
    if name == "multi-label":
        y = torch.zeros(5000, 3)
    value = find_task(name).loss(logits, y)
    value.backward()
    expected = math.log(3) if name == "single-label" else math.log1p(math.exp(2))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(expected, rel=1e-5)
    assert logits.grad.dtype == half
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("name", sorted(TASKS))
def test_no_nodes_give_zero_and_still_a_gradient(name):
    logits = torch.zeros(0, 3, requires_grad=True)
    y = torch.zeros(0, dtype=torch.int64) if name == "single-label" else torch.zeros(0, 3)
    find_task(name).check(logits, y)
    value = find_task(name).loss(logits, y)
    value.backward()
    assert value.item() == 0
    assert logits.grad.shape == (0, 3)


@pytest.mark.parametrize(
    ("name", "logits", "y", "message"),
    [
        ("single-label", torch.zeros(4), torch.zeros(4).long(), r"shape \[N, C\].*got float32"),
        ("single-label", torch.zeros(4, 0), torch.zeros(4).long(), "at least one class"),
        ("single-label", torch.zeros(4, 2).long(), torch.zeros(4).long(), "floating point"),
        ("single-label", torch.zeros(4, 2), torch.zeros(4), r"int64 of shape \[4\].*got float32"),
        ("single-label", torch.zeros(4, 2), torch.zeros(3).long(), r"shape \[4\].*shape \[3\]"),
        ("single-label", torch.zeros(4, 2), torch.zeros(4, 1).long(), r"shape \[4, 1\]"),
        ("single-label", torch.zeros(2, 2), torch.tensor([0, 2]), "from 0 to 1 .*got 0 to 2"),
        ("single-label", torch.zeros(2, 2), torch.tensor([-100, 1]), "got -100 to 1"),
        ("multi-label", torch.zeros(4, 2), torch.zeros(4), r"shape \[4, 2\].*shape \[4\]"),
        ("multi-label", torch.zeros(1, 2), torch.tensor([[0.0, 2.0]]), "from 0 to 1, got 0 to 2"),
        ("multi-label", torch.zeros(1, 2), torch.tensor([[-1, 1]]), "got -1 to 1"),
        ("multi-label", torch.zeros(1, 2), torch.tensor([[0.0, math.nan]]), "got nan"),
    ],
)
def test_unusable_labels_are_refused(name, logits, y, message):
    with pytest.raises(DataError, match=message):
        find_task(name).check(logits, y)


def test_a_single_class_is_no_task():
    with pytest.raises(DataError, match="at least two classes, got one"):
        find_task("single-label").check(torch.zeros(3, 1), torch.zeros(3, dtype=torch.int64))


def test_usable_labels_pass():
    find_task("single-label").check(torch.zeros(2, 3), torch.tensor([0, 2]))
    for y in (torch.tensor([[0.0, 1.0]]), torch.tensor([[True, False]]), torch.tensor([[0, 1]])):
        find_task("multi-label").check(torch.zeros(1, 2), y)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_they_are_there_by_name(name):
    assert type(gkd.create("task", name)) is TASKS[name]
    assert name in gkd.names("task")
