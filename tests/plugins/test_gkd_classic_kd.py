"""KD against plain formulas."""

import math

import pytest
import torch

from gkd import View
from gkd.errors import ParameterError
from gkd_classic.kd import KD


@pytest.fixture
def logits():
    torch.manual_seed(0)
    return torch.randn(5, 3, dtype=torch.float64) * 3, torch.randn(5, 3, dtype=torch.float64) * 3


def softmax(row, temperature):
    powers = [math.exp(value / temperature) for value in row]
    return [power / sum(powers) for power in powers]


def value(student, teacher, **parameters):
    return KD(**parameters)(View(logits=student), View(logits=teacher)).item()


@pytest.mark.parametrize("temperature", [1, 2.5, 20.0])
def test_single_label_is_the_softened_divergence_times_temperature_squared(logits, temperature):
    expected = 0.0
    for ours, theirs in zip(*(side.tolist() for side in logits), strict=True):
        pairs = zip(softmax(ours, temperature), softmax(theirs, temperature), strict=True)
        expected += sum(t * math.log(t / s) for s, t in pairs) * temperature**2 / 5
    assert value(*logits, temperature=temperature) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("temperature", [1, 2.5, 20.0])
def test_multi_label_is_the_mean_divergence_of_sigmoids(logits, temperature):
    expected = 0.0
    for ours, theirs in zip(*(side.flatten().tolist() for side in logits), strict=True):
        s, t = (1 / (1 + math.exp(-x / temperature)) for x in (ours, theirs))
        divergence = t * math.log(t / s) + (1 - t) * math.log((1 - t) / (1 - s))
        expected += divergence * temperature**2 / 15
    got = value(*logits, temperature=temperature, task="multi-label")
    assert got == pytest.approx(expected, rel=1e-10)


def test_multi_label_has_the_gradient_of_the_cross_entropy_with_the_sigmoid(logits):
    student, teacher = logits[0].requires_grad_(), logits[1]
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits(student, teacher.sigmoid())
    (expected,) = torch.autograd.grad(cross_entropy, student)
    loss = KD(temperature=1.0, task="multi-label")
    (gradient,) = torch.autograd.grad(loss(View(logits=student), View(logits=teacher)), student)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("gap", [0.1, 0.001])
@pytest.mark.parametrize(
    ("task", "probability", "share"),
    [("single-label", lambda z: z.softmax(1), 50), ("multi-label", torch.sigmoid, 50 * 20)],
)
def test_near_the_teacher_the_gradient_is_the_difference_of_probabilities(
    gap, task, probability, share
):
    random = torch.Generator().manual_seed(0)
    teacher = torch.randn(50, 20, generator=random)
    student = (teacher + gap * torch.randn(50, 20, generator=random)).requires_grad_()
    loss = KD(temperature=4.0, task=task)
    loss(View(logits=student), View(logits=teacher)).backward()
    ours, theirs = (probability(z.detach().double() / 4) for z in (student, teacher))
    expected = (ours - theirs) * 4 / share
    error = (student.grad.double() - expected).norm() / expected.norm()
    assert error < 1e-6


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_a_value_per_row_has_the_mean_as_its_mean(logits, task):
    views = [View(logits=each) for each in logits]
    per_row = KD(task=task, per_row=True)(*views)
    assert per_row.shape == (len(logits[0]),)
    torch.testing.assert_close(per_row.mean(), KD(task=task)(*views))


def standard_scores(row):
    mean = sum(row) / len(row)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in row) / len(row))
    return [(value - mean) / deviation for value in row]


def test_standardised_logits_are_deviations_from_their_mean_by_their_spread(logits):
    scores = [torch.tensor([standard_scores(row) for row in side.tolist()]) for side in logits]
    expected = value(*(side.double() for side in scores), temperature=2.0)
    got = value(*logits, temperature=2.0, standardise=True)
    assert got == pytest.approx(expected, rel=1e-6)
    student = 5 * logits[0] - 3  # neither size nor place of the logits matters
    assert value(student, logits[1], temperature=2.0, standardise=True) == pytest.approx(got)


def test_standardised_logits_without_spread_are_all_the_same(logits):
    student = torch.full((2, 3), 0.1, requires_grad=True)
    loss = KD(temperature=1.0, standardise=True)
    loss(View(logits=student), View(logits=torch.full((2, 3), -7.3))).backward()
    assert (student.grad == 0).all()
    one, two = logits[0][:, :1], torch.cat([torch.zeros(5, 1), logits[0][:, :1]], 1)
    teacher = [-one, torch.cat([torch.zeros(5, 1), -one], 1)]
    assert value(one, teacher[0], standardise=True) == value(two, teacher[1], standardise=True) > 0


def test_standardised_answers_that_are_no_classes_are_refused():
    with pytest.raises(ParameterError, match="standardise compares classes of which one is right"):
        KD(task="multi-label", standardise=True)


def test_a_high_temperature_matches_logits_as_equation_4_says(logits):
    student, teacher = (side - side.mean(dim=1, keepdim=True) for side in logits)
    expected = (student - teacher).square().sum(dim=1).mean().item() / (2 * 3)
    assert value(student, teacher, temperature=1e4) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("task", "divergence"), [("single-label", 2e4), ("multi-label", 1e4)])
def test_confident_logits_stay_finite(task, divergence):
    student = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = KD(temperature=1.0, task=task)(View(logits=student), View(logits=-student.detach()))
    loss.backward()
    assert loss.item() == pytest.approx(divergence)
    assert student.grad.isfinite().all()


def test_logits_of_different_shapes_are_refused():
    message = r"equal shapes \[N, C\], got \[2, 3\] from the student and \[2, 4\] from the teacher"
    with pytest.raises(ParameterError, match=message):
        value(torch.zeros(2, 3), torch.zeros(2, 4))


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_a_single_column_is_the_logit_of_class_1_against_class_0(shape):
    torch.manual_seed(0)
    ours, theirs = torch.randn(2, *shape, dtype=torch.float64)
    two = [torch.stack([torch.zeros(6), z.flatten()], dim=1) for z in (ours, theirs)]
    torch.testing.assert_close(value(ours, theirs, temperature=2.0), value(*two, temperature=2.0))
