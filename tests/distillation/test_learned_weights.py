"""Weights that are learned beside the student."""

import math

import pytest
import torch
from distiller_problems import SAME_TAPS, Network, Squared, batch_of, distiller_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import gkd
from gkd.distillation.learned_weights import LearnedWeights
from gkd.distillation.schedule import LearnedWeight, schedule_from, task_weight_from, weight_from
from gkd.errors import ParameterError

LEARNED = {"learned": "uncertainty"}


class Offset(gkd.AbstractLoss):
    """Squared difference of the mean logit to a place, above a floor."""

    def __init__(self, place: float, floor: float) -> None:
        super().__init__()
        self.place, self.floor = place, floor

    def forward(self, student: gkd.View, teacher: gkd.View) -> Tensor:
        return (student.logits.mean() - self.place).square() + self.floor


class One(nn.Module):
    """A network of a single number."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(0.3))

    def forward(self, x: Tensor) -> Tensor:
        return self.value + torch.zeros(len(x), 3)


def learned(loss: gkd.AbstractLoss, **more: float) -> gkd.Distiller:
    torch.manual_seed(0)
    term = gkd.Term(loss, weight=LEARNED | more, **SAME_TAPS)
    return distiller_of(Network(), Network(), term)


def descend(distiller: gkd.Distiller, parameters, steps: int) -> gkd.StepReport:
    optimiser = torch.optim.SGD(parameters, lr=0.1)
    for _ in range(steps):
        report = distiller(batch_of())
        optimiser.zero_grad()
        report.total.backward()
        optimiser.step()
    return report


@given(size=st.floats(0.2, 5.0), start=st.floats(0.2, 5.0))
@settings(max_examples=10, deadline=None)
def test_the_weight_of_a_constant_loss_becomes_half_its_inverse(size, start):
    weights = LearnedWeights({"lsp": LearnedWeight("uncertainty", start)})
    optimiser = torch.optim.SGD(weights.parameters(), lr=0.5)
    for _ in range(100):
        total, found = weights({"lsp": torch.tensor(size)})
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    assert found["lsp"] == pytest.approx(1 / (2 * size), rel=1e-3)
    expected = found["lsp"] * size - 0.5 * math.log(found["lsp"])
    assert total.item() == pytest.approx(expected, rel=1e-4)


def test_student_and_weights_come_to_the_optimum_of_both():
    places, floors = (1.0, -1.0), (0.2, 0.5)
    terms = [
        gkd.Term(Offset(place, floor), weight=LEARNED, name=f"at{number}")
        for number, (place, floor) in enumerate(zip(places, floors, strict=True))
    ]
    distiller = distiller_of(Network(), One(), *terms, task_weight=0.0)
    report = descend(distiller, distiller.parameters(), 300)

    # With the best weights, w = 1 / 2L, what is left to minimise is the sum of log L / 2.
    def left(value: float) -> float:
        losses = [(value - p) ** 2 + f for p, f in zip(places, floors, strict=True)]
        return sum(math.log(loss) for loss in losses)

    best = min((number / 10_000 for number in range(-20_000, 20_000)), key=left)
    assert distiller.student.value.item() == pytest.approx(best, abs=1e-3)
    assert report.weights == {
        f"at{number}": pytest.approx(0.5 / ((best - p) ** 2 + f), rel=1e-3)
        for number, (p, f) in enumerate(zip(places, floors, strict=True))
    }


def test_the_total_has_the_weights_and_their_logarithms():
    report = learned(Squared(), start=2.5)(batch_of())
    assert report.weights == {"squared": pytest.approx(2.5)}
    expected = report.task + 2.5 * report.terms["squared"] - math.log(2.5) / 2
    assert report.total.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_task_may_learn_its_weight_too():
    distiller = distiller_of(Network(), Network().eval(), task_weight=LEARNED | {"start": 0.5})
    first = distiller(batch_of())
    assert first.task_weight == pytest.approx(0.5)
    expected = 0.5 * first.task - math.log(0.5) / 2
    assert first.total.item() == pytest.approx(expected.item(), rel=1e-5)
    report = descend(distiller, distiller.learned.parameters(), 200)
    assert report.task_weight == pytest.approx(1 / (2 * report.task.item()), rel=1e-2)


def test_a_loss_that_fades_has_no_weight_above_the_ceiling():
    weights = LearnedWeights({"lsp": LearnedWeight("uncertainty", 1.0, ceiling=3.0)})
    optimiser = torch.optim.SGD(weights.parameters(), lr=1.0)
    found = []
    for size in [1e-9] * 20 + [2.0] * 3:
        total, now = weights({"lsp": torch.tensor(size)})
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        found.append(now["lsp"])
    assert max(found) == found[19] == pytest.approx(3.0)
    assert found[22] < 1  # it is back at once, whatever the ceiling kept it from


def test_a_loss_of_nothing_leaves_its_weight():
    weights = LearnedWeights({"lsp": LearnedWeight("uncertainty")})
    total, _ = weights({"lsp": torch.zeros((), requires_grad=True)})
    total.backward()
    assert weights.logs.grad.item() == 0


def test_weights_are_parameters_and_part_of_the_state():
    distiller = learned(Squared(), start=2.0)
    assert "learned.logs" in dict(distiller.named_parameters())
    descend(distiller, distiller.parameters(), 3)
    other = learned(Squared())
    other.load_state_dict(distiller.state_dict())
    now = distiller.eval()(batch_of()).weights
    assert other.eval()(batch_of()).weights == now
    assert now["squared"] != pytest.approx(2.0)


def test_a_negative_loss_is_an_error_that_names_it():
    with pytest.raises(ParameterError, match="term 'offset': learned weight: the loss is -"):
        learned(Offset(0.0, -100.0))(batch_of())


def test_in_double_precision_nothing_is_rounded():
    weights = LearnedWeights({"lsp": LearnedWeight("uncertainty")})
    total, _ = weights({"lsp": torch.tensor(1 / 3, dtype=torch.float64)})
    assert total.item() == 1 / 3


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        ({"learned": "gradnorm"}, "learned: expected 'uncertainty', got 'gradnorm'"),
        (LEARNED | {"start": 0}, "start: expected a number > 0, got 0"),
        (LEARNED | {"start": 5, "ceiling": 2}, "start: expected a number up to the ceiling 2"),
        (LEARNED | {"ceiling": -1}, "ceiling: expected a finite number >= 0"),
        (LEARNED | {"stat": 1}, "unknown key 'stat'.*did you mean 'start'"),
    ],
)
def test_wrong_forms(weight, words):
    for read in (weight_from, task_weight_from):
        with pytest.raises(ParameterError, match=words):
            read(weight)


def test_a_learned_weight_is_no_schedule():
    assert weight_from(LEARNED) == task_weight_from(LEARNED) == LearnedWeight("uncertainty")
    with pytest.raises(ParameterError, match="weight: "):
        schedule_from(LEARNED)
