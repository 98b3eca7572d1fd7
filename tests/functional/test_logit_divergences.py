"""Divergences of predictions against plain sums in float64, far apart and nearly equal."""

import math

import pytest
import torch

from gkd.functional.logit_divergences import bernoulli_divergence, categorical_divergence

GAPS = pytest.mark.parametrize("gap", [1e-6, 1e-3, 0.1, 1.0, 10.0, 100.0])


def logits(gap, seed=0):
    random = torch.Generator().manual_seed(seed)
    teacher = 2 * torch.randn(20, 5, generator=random)
    return teacher + gap * torch.randn(20, 5, generator=random), teacher


def softmax(row):
    powers = [math.exp(value - max(row)) for value in row]
    return [power / sum(powers) for power in powers]


def log_softmax(row):
    total = sum(math.exp(value - max(row)) for value in row)
    return [value - max(row) - math.log(total) for value in row]


def log_sigmoid(x):
    return -math.log1p(math.exp(-x)) if x > 0 else x - math.log1p(math.exp(x))


def gradient(divergence, student, teacher):
    leaf = student.clone().requires_grad_()
    (slope,) = torch.autograd.grad(divergence(leaf, teacher).sum(), leaf)
    return slope


@GAPS
def test_the_divergence_of_classes_is_the_sum_over_them(gap):
    student, teacher = (z.double() for z in logits(gap))
    for value, ours, theirs in zip(
        categorical_divergence(student, teacher).tolist(),
        student.tolist(),
        teacher.tolist(),
        strict=True,
    ):
        pairs = zip(softmax(theirs), log_softmax(theirs), log_softmax(ours), strict=True)
        expected = sum(p * (log_p - log_q) for p, log_p, log_q in pairs)
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-15)


@GAPS
def test_the_divergence_of_answers_is_the_sum_over_yes_and_no(gap):
    student, teacher = (z.double() for z in logits(gap))
    value = bernoulli_divergence(student, teacher)
    triples = (z.flatten().tolist() for z in (value, student, teacher))
    for value, s, t in zip(*triples, strict=True):
        expected = sum(
            math.exp(log_sigmoid(sign * t)) * (log_sigmoid(sign * t) - log_sigmoid(sign * s))
            for sign in (1, -1)
        )
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-15)


@GAPS
@pytest.mark.parametrize(
    ("divergence", "probability"),
    [
        (categorical_divergence, lambda z: z.softmax(1)),
        (bernoulli_divergence, torch.sigmoid),
    ],
)
def test_the_gradient_in_float32_is_the_difference_of_probabilities(gap, divergence, probability):
    student, teacher = logits(gap)
    expected = probability(student.double()) - probability(teacher.double())
    error = (gradient(divergence, student, teacher) - expected).norm() / expected.norm()
    assert error < 1e-6


@pytest.mark.parametrize("divergence", [categorical_divergence, bernoulli_divergence])
def test_a_value_is_never_below_zero_and_zero_where_both_agree(divergence):
    for gap in (0.0, 1e-7, 1e-5):
        student, teacher = logits(gap)
        value = divergence(student, teacher)
        assert (value >= 0).all()
        assert value.max() <= max(1e-9, gap**2)
    assert (gradient(divergence, teacher, teacher) == 0).all()


@pytest.mark.parametrize("divergence", [categorical_divergence, bernoulli_divergence])
def test_rows_near_and_far_in_one_batch(divergence):
    student, teacher = logits(1e-3)
    student[::2] *= 1000
    together = divergence(student, teacher)
    rows = zip(student.split(1), teacher.split(1), strict=True)
    alone = torch.cat([divergence(*row) for row in rows])
    torch.testing.assert_close(together, alone)
    assert gradient(divergence, student, teacher).isfinite().all()


@pytest.mark.parametrize("shift", [1e2, 1e4, 1e8, 1e12])
def test_what_all_classes_of_a_row_have_more_changes_nothing(shift):
    # Products of features have such shifts. Whole numbers and equal rows are exact in float32.
    teacher = logits(0.0)[1].round() if shift < 1e8 else torch.zeros(20, 5)
    student = teacher + shift
    assert (categorical_divergence(student, teacher) == 0).all()
    assert (gradient(categorical_divergence, student, teacher) == 0).all()
    student = (logits(2.0)[0] + shift if shift < 1e8 else student).float()
    expected = student.double().softmax(1) - teacher.double().softmax(1)
    error = (gradient(categorical_divergence, student, teacher) - expected).abs().max()
    assert error < 1e-6 + torch.finfo(torch.float32).eps * shift / 2


def test_one_class_leaves_nothing_to_tell():
    student, teacher = torch.tensor([[3.0]]), torch.tensor([[-4.0]])
    assert categorical_divergence(student, teacher).tolist() == [0.0]
    assert gradient(categorical_divergence, student, teacher).tolist() == [[0.0]]


@pytest.mark.parametrize("divergence", [categorical_divergence, bernoulli_divergence])
def test_the_slope_is_that_of_the_value(divergence):
    student, teacher = (z[:2].double() for z in logits(3.0))
    assert torch.autograd.gradcheck(lambda z: divergence(z, teacher), student.requires_grad_())
