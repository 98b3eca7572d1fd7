"""Regression: its loss, forms of labels, and what KD makes of it."""

import math

import pytest
import torch
from distiller_problems import distiller_of
from torch import nn

import gkd
from gkd_tasks.regression import Regression

NAN = math.nan


@pytest.mark.parametrize("outputs", [(4,), (4, 1)])
@pytest.mark.parametrize("targets", [(4,), (4, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_a_column_may_be_written_in_two_ways_and_never_spreads_over_pairs(outputs, targets, dtype):
    torch.manual_seed(0)
    z, y = torch.randn(outputs, dtype=torch.float64), torch.arange(4).reshape(targets).to(dtype)
    task = Regression()
    task.check(z, y)
    expected = sum((a - b) ** 2 for a, b in zip(z.flatten().tolist(), range(4), strict=True)) / 4
    assert task.loss(z, y).item() == pytest.approx(expected, rel=1e-12)
    metrics = task.metrics(1)
    metrics.update(z, y)
    errors = [abs(a - b) for a, b in zip(z.flatten().tolist(), range(4), strict=True)]
    assert metrics.compute()["mae"].item() == pytest.approx(sum(errors) / 4, rel=1e-5)


def test_unknown_numbers_count_nowhere():
    z = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = torch.tensor([[0.0, NAN], [NAN, NAN]])
    task = Regression()
    task.check(z, y)
    task.loss(z, y).backward()
    assert z.grad.tolist() == [[2.0, 0.0], [0.0, 0.0]]
    assert task.known(y).tolist() == [[True, False], [False, False]]


@pytest.mark.parametrize(
    ("outputs", "y", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(3), r"shape \[3, 2\], got float32 of shape \[3\]"),
        (torch.zeros(3), torch.zeros(4), r"shape \[3\], got"),
        (torch.zeros(3, 1), torch.zeros(3, 3), r"got float32 of shape \[3, 3\]"),
        (torch.zeros(3, 0), torch.zeros(3, 0), r"expected floating point of shape \[N, D\]"),
        (torch.zeros(3).long(), torch.zeros(3), "expected floating point"),
        (torch.zeros(1), torch.tensor([math.inf]), "expected finite numbers"),
    ],
)
def test_labels_that_do_not_fit_are_refused(outputs, y, message):
    with pytest.raises(gkd.DataError, match=message):
        Regression().check(outputs, y)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 3)])
def test_kd_is_the_mean_squared_difference_at_any_temperature(temperature, shape):
    torch.manual_seed(0)
    ours, theirs = torch.randn(2, *shape, dtype=torch.float64)
    loss = gkd.create("loss", "kd", task="regression", temperature=temperature)
    value = loss(gkd.View(logits=ours), gkd.View(logits=theirs))
    torch.testing.assert_close(value, (ours - theirs).square().mean())


def test_a_distiller_trains_by_it_and_gives_the_task_to_kd():
    batch = type("B", (), {"x": torch.randn(6, 5), "y": torch.randn(6)})()
    teacher, student = nn.Linear(5, 1), nn.Linear(5, 1)
    task = {"name": "regression", "metric": "rmse"}
    report = distiller_of(teacher, student, gkd.Term("kd"), task=task)(batch)
    gap = student(batch.x) - teacher(batch.x)
    torch.testing.assert_close(report.terms["kd"], gap.square().mean())
    torch.testing.assert_close(report.task, (student(batch.x)[:, 0] - batch.y).square().mean())


def test_weighers_that_ask_how_sure_a_teacher_is_refuse_it():
    with pytest.raises(gkd.ParameterError, match="gaussian"):
        gkd.create("weigher", "confidence", task="regression")
