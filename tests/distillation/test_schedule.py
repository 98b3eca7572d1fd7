"""Every form of a weight schedule, and what is refused."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gkd.distillation.schedule import Linear, Window, schedule_from
from gkd.errors import ParameterError

weights = st.floats(0, 1e6)


@given(weights, st.integers(0, 10_000))
def test_a_number_is_constant(weight, epoch):
    assert schedule_from(weight).weight_at(epoch) == weight


@given(weights, st.integers(0, 50), st.integers(1, 50), st.integers(0, 150))
def test_a_window_is_its_value_inside_and_zero_outside(value, first, length, epoch):
    schedule = schedule_from({"value": value, "from_epoch": first, "until_epoch": first + length})
    inside = epoch in range(first, first + length)
    assert schedule.weight_at(epoch) == (value if inside else 0.0)


def test_a_window_may_have_one_bound_or_none():
    assert schedule_from({"value": 3}).weight_at(10**6) == 3
    assert [Window(3, from_epoch=2).weight_at(epoch) for epoch in (1, 2, 999)] == [0, 3, 3]
    assert [Window(3, until_epoch=2).weight_at(epoch) for epoch in (0, 1, 2)] == [3, 3, 0]


@given(weights, weights, st.integers(1, 100), st.integers(0, 200))
def test_a_ramp_stays_between_its_ends_and_reaches_both(start, end, epochs, epoch):
    schedule = schedule_from({"start": start, "end": end, "epochs": epochs})
    low, high = sorted((start, end))
    assert low * (1 - 1e-12) <= schedule.weight_at(epoch) <= high * (1 + 1e-12)
    assert schedule.weight_at(0) == start
    assert schedule.weight_at(epochs) == schedule.weight_at(epochs + 7) == end


def test_a_ramp_is_linear_in_the_epoch():
    values = [Linear(8.0, 0.0, epochs=4).weight_at(epoch) for epoch in range(6)]
    assert values == [8.0, 6.0, 4.0, 2.0, 0.0, 0.0]


def test_a_schedule_is_kept():
    schedule = Linear(0.0, 1.0, epochs=2)
    assert schedule_from(schedule) is schedule


def test_weights_are_floats_also_where_whole_numbers_were_written():
    written = [100, {"value": 100}, {"start": 0, "end": 100, "epochs": 3}]
    for weight in (schedule_from(form).weight_at(3) for form in written):
        assert weight == 100
        assert type(weight) is float


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (-1.0, "weight: expected a finite number >= 0, got -1.0"),
        (math.nan, "got nan"),
        (math.inf, "got inf"),
        (True, "got True"),
        ("100", "got '100'"),
        (None, "got None"),
        ([1.0], r"got \[1.0\]"),
        ({"value": -2}, "value: expected a finite number >= 0, got -2"),
        ({"value": 1.0, "from_epoch": -1}, "from_epoch: expected a whole number >= 0, got -1"),
        ({"value": 1.0, "from_epoch": 1.5}, "from_epoch: .*got 1.5"),
        ({"value": 1.0, "from_epoch": 5, "until_epoch": 5}, "until_epoch: .*>= 6, got 5"),
        ({"start": 0.0, "end": -1.0, "epochs": 3}, "end: expected"),
        ({"start": math.nan, "end": 1.0, "epochs": 3}, "start: expected"),
        ({"start": 0.0, "end": 1.0, "epochs": 0}, "epochs: expected a whole number >= 1, got 0"),
        ({"start": 0.0, "end": 1.0, "epochs": True}, "epochs: expected"),
        ({"start": 0.0, "end": 1.0}, "'epochs' is missing"),
        ({"from_epoch": 3}, "'value' is missing"),
        ({}, "'value' is missing"),
        ({"value": 1.0, "until": 3}, "unknown key 'until'.*did you mean 'until_epoch'"),
        ({"start": 0.0, "end": 1.0, "epoch": 3}, "unknown key 'epoch'.*did you mean 'epochs'"),
        ({"value": 1.0, 3: 4}, "unknown key '3'"),
    ],
)
def test_anything_else_is_refused_by_name(weight, message):
    with pytest.raises(ParameterError, match=message):
        schedule_from(weight)
