import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gkd.errors import ParameterError
from gkd.report.significance import (
    central_probability,
    confidence_interval,
    fewest_to_decide,
    holm,
    is_spread,
    sequential_interval,
    sign_flip_test,
    smallest_gain,
    t_quantile,
    t_test,
)

# Two-sided 95 % and 99 % points as printed in every table of the distribution.
TABLE = {
    1: (12.706, 63.657),
    2: (4.303, 9.925),
    3: (3.182, 5.841),
    4: (2.776, 4.604),
    5: (2.571, 4.032),
    9: (2.262, 3.250),
    10: (2.228, 3.169),
    29: (2.045, 2.756),
    120: (1.980, 2.617),
}


def integrated_density(t: float, degrees: int) -> float:
    """Probability of [-t, t] by the trapezoid rule over the unnormalised density."""

    # Substituting x = tan(u) makes both integrals finite, tails included.
    def area(end: float) -> float:
        u = np.linspace(0, end, 200_001)
        x = np.tan(u[:-1])
        density = (1 + x**2 / degrees) ** (-(degrees + 1) / 2) * (1 + x**2)
        return float(np.sum((density[1:] + density[:-1]) / 2 * np.diff(u[:-1])))

    return area(np.arctan(t)) / area(np.pi / 2)


@pytest.mark.parametrize("degrees", TABLE)
def test_quantiles_are_the_tabulated_ones(degrees: int) -> None:
    found = (t_quantile(0.95, degrees), t_quantile(0.99, degrees))
    assert found == (
        pytest.approx(TABLE[degrees][0], abs=5e-4),
        pytest.approx(TABLE[degrees][1], abs=5e-4),
    )


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 12])
@pytest.mark.parametrize("t", [0.1, 0.9, 2.5, 6.0])
def test_probability_is_the_integral_of_the_density(t: float, degrees: int) -> None:
    assert central_probability(t, degrees) == pytest.approx(
        integrated_density(t, degrees), abs=2e-4
    )


@given(confidence=st.floats(0.01, 0.999), degrees=st.integers(1, 60))
def test_the_quantile_inverts_the_probability(confidence: float, degrees: int) -> None:
    t = t_quantile(confidence, degrees)
    assert central_probability(t, degrees) == pytest.approx(confidence, abs=1e-9)


@pytest.mark.parametrize(("confidence", "degrees"), [(0.0, 3), (1.0, 3), (0.95, 0)])
def test_arguments_out_of_range_are_refused(confidence: float, degrees: int) -> None:
    with pytest.raises(ParameterError):
        t_quantile(confidence, degrees)


NUMBERS = st.lists(st.floats(-10, 10), min_size=3, max_size=9)


def p_of_the_interval(differences: list[float]) -> float:
    """Level at which the interval ends at 0, by halving."""
    low, high = 1e-9, 1 - 1e-9
    for _ in range(60):
        level = (low + high) / 2
        ends = confidence_interval(differences, level)
        low, high = (low, level) if ends[0] > 0 or ends[1] < 0 else (level, high)
    return low


@given(differences=NUMBERS)
def test_the_t_test_and_its_interval_agree(differences: list[float]) -> None:
    assume(is_spread(differences, 1e-3))
    p = t_test(differences)
    assume(1e-6 < p < 1 - 1e-6)
    assert p_of_the_interval(differences) == pytest.approx(p, abs=1e-8)


@given(differences=st.lists(st.integers(-9, 9), min_size=1, max_size=8))
def test_all_signs_are_tried(differences: list[int]) -> None:
    sums = [
        abs(sum(sign * value for sign, value in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    share = sum(value >= abs(sum(differences)) for value in sums) / len(sums)
    assert sign_flip_test(differences) == pytest.approx(share)


def test_too_many_signs_are_not_tried() -> None:
    assert sign_flip_test([1.0] * 21) is None
    assert sign_flip_test([1.0] * 20) == 2**-19


@given(p_values=st.dictionaries(st.text(), st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_its_procedure_does(p_values: dict[str, float]) -> None:
    rejected, ordered = set(), sorted(p_values, key=p_values.get)
    for rank, name in enumerate(ordered):
        if p_values[name] >= 0.05 / (len(ordered) - rank):
            break
        rejected.add(name)
    found = holm(p_values)
    assert {name for name in found if found[name].p < 0.05} == rejected
    # The interval at a method's own level says the same.
    assert {name for name in found if p_values[name] < found[name].level} == rejected


@pytest.mark.parametrize(("methods", "seeds"), [(12, 3), (12, 8), (4, 5)])
def test_useless_methods_are_called_better_or_worse_in_one_table_of_twenty(methods, seeds) -> None:
    tables, generator = 1500, np.random.default_rng(0)
    # All methods are compared with one baseline, so that their differences are correlated.
    noise = generator.normal(size=(tables, seeds, methods + 1))
    differences = noise[..., 1:] - noise[..., :1]
    t = np.abs(differences.mean(1)) / (differences.std(1, ddof=1) / np.sqrt(seeds))
    values = np.vectorize(lambda each: 1 - central_probability(each, seeds - 1))(t)
    corrected = [min(test.p for test in holm(dict(enumerate(row))).values()) for row in values]
    three_deviations = 3 * np.sqrt(0.05 * 0.95 / tables)
    assert np.mean(np.array(corrected) < 0.05) < 0.05 + three_deviations
    if methods == 12:  # what it was without the correction
        assert np.mean(values.min(1) < 0.05) > 0.2


def test_the_smallest_gain_is_seen_four_times_in_five() -> None:
    generator, seeds = np.random.default_rng(1), 6
    sample = generator.normal(size=seeds)
    gain = smallest_gain((sample / sample.std(ddof=1)).tolist())
    drawn = gain + generator.normal(size=(4000, seeds))
    seen = np.mean([t_test(row.tolist()) < 0.05 for row in drawn])
    assert seen == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("methods", [1, 2, 5, 30])
def test_the_fewest_numbers_that_can_decide_are_the_fewest_with_an_interval(methods: int) -> None:
    level = 0.05 / methods
    fewest = fewest_to_decide(level)
    for count in range(3, 12):
        # As sure as it gets: all but the same.
        interval = sequential_interval([1 + 1e-6 * (-1) ** n for n in range(count)], level)
        assert (interval is not None and interval[0] > 0) == (count >= fewest)


def test_looking_after_every_seed_is_wrong_once_in_twenty_at_most() -> None:
    generator, tables, wrong = np.random.default_rng(2), 1000, 0
    for numbers in generator.normal(size=(tables, 25)).tolist():
        looks = (sequential_interval(numbers[:count]) for count in range(3, 26))
        wrong += any(low > 0 or high < 0 for low, high in filter(None, looks))
    assert wrong / tables < 0.05


@given(differences=st.lists(st.floats(-10, 10), min_size=3, max_size=12))
def test_means_outside_of_the_sequential_interval_are_unlikely(differences: list[float]) -> None:
    assume(is_spread(differences, 1e-3))
    interval = sequential_interval(differences)
    count = len(differences)

    def ratio(mean: float) -> float:
        """Likelihood of the mean with a normal prior, by that of this mean: as in the source."""
        numbers = np.asarray(differences) - mean
        squares, total = (numbers**2).sum(), numbers.sum()
        prior = squares - total**2 / (count + 1)  # after integrating over the mean
        return float(np.sqrt(1 / (1 + count)) * (squares / prior) ** (count / 2))

    if interval is None:  # not even a mean that is far away
        assert ratio(np.mean(differences) + 1e6) < 20
        return
    for end in interval:
        assert ratio(end) == pytest.approx(20, rel=1e-6)
