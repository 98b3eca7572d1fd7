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
        ("single-label", torch.zeros(4, 1, 2), torch.zeros(4).long(), r"\[N, C\].*got float32"),
        ("single-label", torch.zeros(4, 0), torch.zeros(4).long(), "at least one class"),
        ("single-label", torch.zeros(4, 2).long(), torch.zeros(4).long(), "floating point"),
        ("single-label", torch.zeros(4, 2), torch.zeros(4), r"int64 of shape \[4\].*got float32"),
        ("single-label", torch.zeros(4, 2), torch.zeros(3).long(), r"shape \[4\].*shape \[3\]"),
        ("single-label", torch.zeros(4, 2), torch.zeros(4, 2).long(), r"shape \[4, 2\]"),
        ("single-label", torch.zeros(4), torch.full((4,), 2), "from 0 to 1 .*got 2 to 2"),
        ("single-label", torch.zeros(2, 2), torch.tensor([0, 2]), "from 0 to 1 .*got 0 to 2"),
        ("single-label", torch.zeros(2, 2), torch.tensor([-100, 1]), "ignore_label=-100 leaves"),
        ("single-label", torch.zeros(2, 3), torch.tensor([3, 4]), "tells them has 5 outputs"),
        ("single-label", torch.zeros(2, 2), torch.tensor([1, 2]), "classes are numbered from 0"),
        ("single-label", torch.zeros(4, 2), torch.zeros(4), r"y\.long\(\) makes class numbers"),
        ("single-label", torch.zeros(4, 2), torch.eye(4)[:, :2], r"y\.argmax\(1\) makes class num"),
        ("multi-label", torch.zeros(4, 2), torch.zeros(4), r"shape \[4, 2\].*shape \[4\]"),
        ("multi-label", torch.zeros(1, 2), torch.tensor([[0.0, 2.0]]), "from 0 to 1, got 0 to 2"),
        ("multi-label", torch.zeros(1, 2), torch.tensor([[-1, 1]]), "got -1 to 1"),
    ],
)
def test_unusable_labels_are_refused(name, logits, y, message):
    with pytest.raises(DataError, match=message):
        find_task(name).check(logits, y)


def test_usable_labels_pass():
    find_task("single-label").check(torch.zeros(2, 3), torch.tensor([0, 2]))
    for y in (torch.tensor([[0.0, 1.0]]), torch.tensor([[True, False]]), torch.tensor([[0, 1]])):
        find_task("multi-label").check(torch.zeros(1, 2), y)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_they_are_there_by_name(name):
    assert type(gkd.create("task", name)) is TASKS[name]
    assert name in gkd.names("task")


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_a_single_column_is_the_logit_of_class_1_against_class_0(shape):
    torch.manual_seed(0)
    z, y = torch.randn(shape, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 1, 0])
    task = SingleLabel(metric="roc_auc")
    task.check(z, y)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(z.flatten(), y.double())
    torch.testing.assert_close(task.loss(z, y), expected)
    two = torch.stack([torch.zeros(6, dtype=torch.float64), z.flatten()], dim=1)
    torch.testing.assert_close(task.loss(two, y[:, None]), expected)
    one, other = task.metrics(1), task.metrics(2)
    one.update(z.float(), y)
    other.update(two.float(), y[:, None])
    assert one.compute() == other.compute()


def test_rows_of_the_ignored_label_count_nowhere():
    torch.manual_seed(0)
    logits, y = torch.randn(5, 3, requires_grad=True), torch.tensor([2, -1, 0, -1, 1])
    task = SingleLabel(ignore_label=-1)
    task.check(logits, y)
    value = task.loss(logits, y)
    torch.testing.assert_close(value, SingleLabel().loss(logits[y >= 0], y[y >= 0]))
    value.backward()
    assert (logits.grad[y < 0] == 0).all()
    assert task.known(y).tolist() == [True, False, True, False, True]
    assert task.loss(logits, torch.full((5,), -1)).item() == 0


def test_labels_that_are_nan_count_nowhere():
    torch.manual_seed(0)
    logits = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([[1.0, math.nan], [0.0, 1.0], [math.nan, math.nan]])
    task = MultiLabel()
    task.check(logits, y)
    value = task.loss(logits, y)
    known = [(0, 0, 1.0), (1, 0, 0.0), (1, 1, 1.0)]
    expected = sum(
        torch.nn.functional.softplus(logits[i, c] * (1 - 2 * label)) for i, c, label in known
    )
    torch.testing.assert_close(value, expected / 3)
    value.backward()
    assert logits.grad.isfinite().all()
    assert (logits.grad[2] == 0).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SingleLabel(metric="auc"), "'metric' must be 'accuracy' | .* got 'auc'"),
        (lambda: SingleLabel(ignore_label=0.5), "'ignore_label' must be int | None, got 0.5"),
        (lambda: MultiLabel(metric="accuracy"), "'metric' must be 'micro_f1' | "),
    ],
)
def test_parameters_out_of_range_are_refused(make, message):
    with pytest.raises(gkd.ParameterError, match=message):
        make()
