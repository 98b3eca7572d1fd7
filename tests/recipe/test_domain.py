"""What a sweep may try: ranges and choices, as they are written."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gkd.errors import ParameterError
from gkd.recipe.domain import Choices, Range, check_range, domain_from, label

FLOATS = st.floats(-1e12, 1e12).map(lambda value: value + 0.0)
INTEGERS = st.integers(-(10**12), 10**12)


@st.composite
def ranges(draw):
    ends = draw(st.sampled_from([FLOATS, INTEGERS]))
    low, high = sorted(draw(st.lists(ends, min_size=2, max_size=2, unique=True)))
    kind = draw(st.sampled_from(["plain", "log", "step"]))
    integers = isinstance(low, int)
    step = None
    if kind == "step":
        steps = st.integers(1, high - low) if integers else st.just((high - low) / 3)
        step = draw(steps)
    try:
        return check_range(Range(low, high, kind == "log", step, integers))
    except ParameterError:  # logarithms of negative numbers
        return Range(low, high, integers=integers)


TOML = st.recursive(
    st.booleans() | INTEGERS | FLOATS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(ranges())
def test_a_range_reads_back_as_it_is_written(domain):
    assert domain_from(str(domain)) == domain
    assert domain_from(f"  {domain} ") == domain
    assert domain.low in domain
    assert domain.low - 1 not in domain
    assert True not in domain


@given(st.lists(TOML, min_size=2, max_size=5, unique_by=label))
def test_choices_are_told_apart_by_their_labels(values):
    domain = domain_from(values)
    assert domain == Choices(tuple(values))
    assert len(set(map(label, domain.values))) == domain.size
    assert all(value in domain for value in values)


@given(st.text(max_size=20) | TOML)
def test_anything_else_is_refused_in_words(value):
    with suppress(ParameterError):
        assert isinstance(domain_from(value), Range | Choices)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("3..2", "must begin below its end"),
        ("0..1 log", "logarithms only above 0"),
        ("1..2 lgo", "must be a range such as"),
        ("1..1e400", "ends of a size"),
        ("1..8 step 0.5", "whole step, got 0.5"),
        ("1.0..8.0 step 9", "a step > 0 that fits"),
        ("1..8 log step 2", "either a step or log"),
        (["rbf"], "at least two"),
        ([0.1, 0.2, 0.1], "the choice 0.1 more than once"),
        (0.5, "got 0.5"),
        ({"a": 1}, "must be a range"),
    ],
)
def test_what_is_no_domain_says_why(written, words):
    with pytest.raises(ParameterError) as caught:
        domain_from(written)
    assert words in str(caught.value)


def test_whole_numbers_have_their_steps():
    domain = domain_from("8..64 step 8")
    assert domain.size == 8
    assert 16 in domain
    assert 17 not in domain
    assert 16.0 not in domain
    assert domain_from("1..4").size == 4
    assert domain_from("0.0..0.3 step 0.1").size == 4
    assert 1.0 in domain_from([1, "rbf"])
    assert True not in domain_from([1, "rbf"])
