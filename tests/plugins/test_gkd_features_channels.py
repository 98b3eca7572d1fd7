"""PKD, CWD and SRD, which compare channels over nodes, against plain loops."""

import math

import pytest
import torch

from gkd import View
from gkd.errors import ParameterError
from gkd_features.cwd import CWD
from gkd_features.pkd import PKD
from gkd_features.srd import SRD

NODES, WIDTH = 7, 3
BATCH = torch.tensor([0, 0, 0, 2, 2, 2, 2])
equal_widths = pytest.mark.parametrize("loss", [PKD, CWD])


def features(seed=0, rows=NODES):
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, WIDTH, generator=random, dtype=torch.float64) for _ in range(2)]


def value(loss, student, teacher, **more):
    return loss(View(features=student, **more), View(features=teacher, **more))


def columns(side):
    return side.T.tolist()


def deviations(column):
    mean = sum(column) / len(column)
    return [z - mean for z in column]


def test_pkd_is_one_less_the_mean_correlation_of_channels():
    student, teacher = features()
    expected = 0.0
    for ours, theirs in zip(columns(student), columns(teacher), strict=True):
        one, other = deviations(ours), deviations(theirs)
        products = sum(a * b for a, b in zip(one, other, strict=True))
        lengths = math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))
        expected += (1 - products / lengths) / WIDTH
    assert value(PKD(), student, teacher).item() == pytest.approx(expected, rel=1e-10)
    moved = student * torch.tensor([0.1, 2.0, 100.0]) + 5  # neither size nor mean matters
    assert value(PKD(), moved, teacher).item() == pytest.approx(expected, rel=1e-10)


def test_channels_without_spread_have_no_gradient():
    student = torch.full((4, WIDTH), 0.1, requires_grad=True)
    result = value(PKD(), student, torch.full((4, WIDTH), 7.3))
    result.backward()
    assert result == 0
    assert (student.grad == 0).all()
    assert value(PKD(), student, torch.randn(4, WIDTH)).item() == pytest.approx(0.5)


def softmax(row):
    powers = [math.exp(z) for z in row]
    return [power / sum(powers) for power in powers]


@pytest.mark.parametrize("batch", [None, BATCH])
@pytest.mark.parametrize("heat", [1.0, 3.0])
def test_cwd_is_the_divergence_of_each_channel_over_a_sample(batch, heat):
    student, teacher = features()
    samples = [slice(0, 7)] if batch is None else [slice(0, 3), slice(3, 7)]
    expected = 0.0
    for rows in samples:
        pairs = zip(columns(student[rows] / heat), columns(teacher[rows] / heat), strict=True)
        for ours, theirs in pairs:
            p, q = softmax(theirs), softmax(ours)
            expected += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    expected *= heat**2 / (WIDTH * len(samples))
    got = value(CWD(temperature=heat), student, teacher, batch=batch)
    assert got.item() == pytest.approx(expected, rel=1e-9)


@equal_widths
def test_near_the_teacher_the_gradient_keeps_its_digits(loss):
    teacher, way = features(rows=40)
    student = (teacher + 1e-3 * way).float()
    single, double = student.clone().requires_grad_(), student.double().requires_grad_()
    value(loss(), single, teacher.float()).backward()
    value(loss(), double, teacher.float().double()).backward()
    assert (single.grad - double.grad).norm() < 1e-3 * double.grad.norm()


@equal_widths
def test_features_of_other_widths_are_refused_with_the_way_out(loss):
    student, teacher = features()
    with pytest.raises(ParameterError, match=r"equal width, got 2 .* 3 .* can name a connector"):
        value(loss(), student[:, :2], teacher)
    with pytest.raises(ParameterError, match=r"expected features of the same nodes"):
        value(loss(), student[1:], teacher)
    with pytest.raises(ParameterError, match="compares features, but a view without"):
        loss()(View(), View(features=teacher))


@equal_widths
def test_no_nodes_are_zero(loss):
    student = torch.zeros(0, WIDTH, requires_grad=True)
    value(loss(), student, torch.zeros(0, WIDTH)).backward()
    assert student.grad.shape == (0, WIDTH)


def normalised(column):
    variance = sum(z * z for z in deviations(column)) / len(column)
    return [z / math.sqrt(variance + 1e-4) for z in deviations(column)]


@pytest.mark.parametrize("exponent", [4.0, 1.5])
def test_srd_is_the_logarithm_of_powers_of_normalised_differences(exponent):
    student, teacher = features()
    student = student[:, :2]
    loss = SRD(exponent=exponent)
    loss.build(View(features=student), View(features=teacher))
    weight, bias = loss.maps["projector"].weight.tolist(), loss.maps["projector"].bias.tolist()
    total = 0.0
    for channel, theirs in enumerate(columns(teacher)):
        ours = [
            sum(w * z for w, z in zip(weight[channel], row, strict=True)) + bias[channel]
            for row in student.tolist()
        ]
        pairs = zip(normalised(ours), normalised(theirs), strict=True)
        total += sum(abs(a - b) ** exponent for a, b in pairs)
    assert value(loss, student, teacher).item() == pytest.approx(math.log(total), rel=1e-9)


def test_srd_stays_finite_where_nothing_varies():
    student = torch.ones(3, 2, requires_grad=True)
    views = View(features=student), View(features=torch.ones(3, WIDTH))
    loss = SRD()
    loss.build(*views)
    result = loss(*views)
    result.backward()
    assert result.isfinite()
    assert student.grad.isfinite().all()
    one_node = View(features=student[:1]), View(features=torch.ones(1, WIDTH))
    assert loss(*one_node) == 0


def test_srd_refuses_features_of_other_widths():
    student, teacher = features()
    loss = SRD()
    with pytest.raises(ParameterError, match="srd: the maps do not exist yet"):
        value(loss, student, teacher)
    loss.build(View(features=student), View(features=teacher))
    with pytest.raises(ParameterError, match="srd: built for features of widths 3 and 3, got 2"):
        value(loss, student[:, :2], teacher)
