"""Weights that are a share of the task's gradient."""

import pytest
import torch
from distiller_problems import SAME_TAPS, Network, Output, Squared, batch_of, distiller_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import gkd
from gkd.distillation.schedule import GradientShare, schedule_from, weight_from
from gkd.errors import ParameterError

AT_ONCE = {"every": 1, "smoothing": 0.0}


class Scaled(Squared):
    """Squared differences of another size."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, student, teacher):
        return self.factor * super().forward(student, teacher)


def shared(loss: nn.Module, share: float, **more: float) -> gkd.Distiller:
    torch.manual_seed(0)
    term = gkd.Term(loss, weight={"gradient_share": share, **AT_ONCE, **more}, **SAME_TAPS)
    return distiller_of(Network(), Network(), term)


@given(share=st.floats(0.01, 3), factor=st.floats(1e-2, 1e3))
@settings(max_examples=15, deadline=None)
def test_the_gradient_has_its_share_whatever_the_size_of_the_loss(share, factor):
    report = shared(Scaled(factor), share)(batch_of())
    assert report.gradient_shares() == {"scaled": pytest.approx(share, rel=1e-4)}
    assert report.weights["scaled"] > 0
    expected = report.task + report.weights["scaled"] * report.terms["scaled"]
    assert report.total.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_term_that_hardly_has_a_gradient_is_not_amplified_beyond_the_ceiling():
    report = shared(Scaled(1e-12), 0.3, ceiling=50.0)(batch_of())
    assert report.weights == {"scaled": 50.0}
    assert report.gradient_shares()["scaled"] < 1e-6


def test_a_term_without_a_gradient_keeps_its_weight():
    distiller = shared(Scaled(1.0), 0.3)
    before = distiller(batch_of()).weights["scaled"]
    distiller.losses["scaled"].factor = 0.0
    assert distiller(batch_of()).weights["scaled"] == before


def test_measurements_are_smoothed_and_taken_every_so_many_steps():
    distiller = shared(Scaled(1.0), 1.0, every=2, smoothing=0.5)
    batch = batch_of()
    distiller.student.eval()  # no batch statistics and no dropout: equal steps
    first = distiller(batch).weights["scaled"]
    distiller.losses["scaled"].factor = 100.0
    assert distiller(batch).weights["scaled"] == first
    # Half of the way, of ratios by logarithms: a tenth of the weight, not a hundredth.
    assert distiller(batch).weights["scaled"] == pytest.approx(first / 10)


def test_what_was_measured_is_in_the_state():
    distiller = shared(Scaled(3.0), 0.3)
    weight = distiller(batch_of()).weights["scaled"]
    other = shared(Scaled(1.0), 0.3)
    other.load_state_dict(distiller.state_dict())
    with torch.no_grad():  # nothing is measured
        assert other(batch_of()).weights["scaled"] == weight


def test_before_a_measurement_the_term_has_no_weight():
    with torch.no_grad():
        report = shared(Scaled(1.0), 0.3)(batch_of())
    assert report.weights == {"scaled": 0.0}
    assert report.total == report.task


def test_a_share_of_nothing_is_an_error():
    student = Output(nn.Linear(5, 5))
    term = gkd.Term(Squared(), weight={"gradient_share": 1}, student="inner", teacher="inner")
    with pytest.raises(ParameterError, match="no gradient at what the term compares"):
        distiller_of(Output(lambda x: x), student, term)(batch_of())


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        ({"gradient_share": 0}, "gradient_share: expected a number > 0"),
        ({"gradient_share": -1}, "gradient_share: expected a finite number >= 0"),
        ({"gradient_share": 1, "ceiling": 0}, "ceiling: expected a number > 0"),
        ({"gradient_share": 1, "smoothing": 1}, "smoothing: expected a number below 1"),
        ({"gradient_share": 1, "every": 0}, "every: expected a whole number >= 1"),
        ({"gradient_shares": 1}, "did you mean 'gradient_share'"),
    ],
)
def test_wrong_shares(weight, words):
    with pytest.raises(ParameterError, match=words):
        weight_from(weight)


def test_the_task_has_no_share_of_itself():
    assert weight_from(GradientShare(0.3)) == GradientShare(0.3)
    for weight in (GradientShare(0.3), {"gradient_share": 0.3}):
        with pytest.raises(ParameterError, match="weight"):
            schedule_from(weight)
