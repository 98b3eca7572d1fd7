"""Attention transfer against plain formulas."""

import pytest
import torch

from gkd import View
from gkd_classic.attention_transfer import AttentionTransfer


def plain_map(features, power, pooling):
    pool = {"sum": sum, "max": max}[pooling]
    attention = [pool(abs(value) ** power for value in row) for row in features]
    norm = sum(value**2 for value in attention) ** 0.5
    return [value / norm if norm else 0.0 for value in attention]


def plain_loss(student, teacher, sizes, power=2.0, pooling="sum", squared=True):
    distances, start = [], 0
    for size in sizes:
        rows = slice(start, start + size)
        ours = plain_map(student[rows].tolist(), power, pooling)
        theirs = plain_map(teacher[rows].tolist(), power, pooling)
        distance = sum((s - t) ** 2 for s, t in zip(ours, theirs, strict=True))
        distances.append(distance if squared else distance**0.5)
        start += size
    return sum(distances) / len(distances)


@pytest.mark.parametrize("power", [1, 1.5, 2.0, 4])
@pytest.mark.parametrize("pooling", ["sum", "max"])
@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("sizes", [[8], [1, 5, 2]])
def test_the_value_is_the_distance_of_normalised_maps(power, pooling, squared, sizes):
    torch.manual_seed(0)
    student = torch.randn(8, 2, dtype=torch.float64)
    teacher = torch.randn(8, 5, dtype=torch.float64)
    batch = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    options = {"power": power, "pooling": pooling, "squared": squared}
    value = AttentionTransfer(**options)(
        View(features=student, batch=batch), View(features=teacher, batch=batch)
    )
    expected = plain_loss(student, teacher, sizes, **options)
    assert value.item() == pytest.approx(expected, rel=1e-10)


def test_a_sample_of_zeros_has_the_zero_map():
    student = View(features=torch.tensor([[0.0], [0.0]]))
    teacher = View(features=torch.tensor([[3.0], [4.0]]))
    assert AttentionTransfer()(student, teacher).item() == pytest.approx(1.0)
    assert AttentionTransfer()(student, student).item() == 0


def test_one_node_says_nothing():
    student = View(features=torch.tensor([[-2.0, 1.0]]))
    teacher = View(features=torch.tensor([[3.0]]))
    # Numbers of size 1 that may differ in their last place, squared.
    assert AttentionTransfer()(student, teacher).item() <= (2 * torch.finfo(torch.float32).eps) ** 2


def test_samples_without_nodes_do_not_count():
    features = torch.tensor([[1.0], [0.0], [0.0], [1.0]])
    student = View(features=features, batch=torch.tensor([0, 0, 5, 5]))
    teacher = View(features=torch.tensor([[0.0], [1.0], [0.0], [1.0]]))
    assert AttentionTransfer()(student, teacher).item() == pytest.approx((2 + 0) / 2)


def test_a_large_power_neither_overflows_nor_vanishes():
    student = torch.tensor([[1e4], [1e3]], requires_grad=True)
    teacher = View(features=torch.tensor([[1e-4], [2e-4]]))
    value = AttentionTransfer(power=12)(View(features=student), teacher)
    value.backward()
    assert value.item() == pytest.approx(2.0, rel=1e-3)
    assert student.grad.isfinite().all()
