import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gkd.evaluation.metric import Metric
from gkd.report.comparison import Comparison, Pairs, compare, compare_pairs, statistics

NAN = float("nan")
MAE = Metric("mae", higher_is_better=False, share=False)
FRACTIONS = st.floats(0, 1)
PAIRS = st.dictionaries(st.integers(0, 99), st.tuples(FRACTIONS, FRACTIONS), min_size=1, max_size=8)


def verdict(values: dict[int, float], baseline: dict[int, float]) -> str:
    return compare("lsp", values, baseline).verdict


@pytest.mark.parametrize(("value", "shown"), [(0.961, "+0.40"), (0.9558, "−0.12"), (0.957, "0.00")])
def test_one_seed_is_no_evidence_whatever_its_sign(value: float, shown: str) -> None:
    assert verdict({0: value}, {0: 0.957}) == (
        f"lsp: {shown} points to the baseline (one seed: no spread, so no evidence)."
    )


def test_two_seeds_are_too_few() -> None:
    assert verdict({0: 0.96, 1: 0.97}, {0: 0.95, 1: 0.94}) == (
        "lsp: +2.00 points to the baseline "
        "(2 seeds, +1.00 and +3.00: too few to tell from noise, so no evidence)."
    )


def test_an_interval_above_zero_is_a_win() -> None:
    found = compare("lsp", {0: 0.961, 1: 0.962, 2: 0.963}, dict.fromkeys(range(3), 0.95))
    assert found.outcome == "better"
    # Mean 1.2, standard deviation 0.1, t = 4.303 with two degrees of freedom.
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert found.interval == (pytest.approx(1.2 - half), pytest.approx(1.2 + half))
    assert found.verdict == (
        "lsp beat the baseline by 1.20 points (95 % interval +0.95 to +1.45, 3 paired seeds)."
    )


def test_an_interval_around_zero_is_noise() -> None:
    found = compare("lsp", {0: 0.951, 1: 0.956, 2: 0.949}, dict.fromkeys(range(3), 0.95))
    assert found.outcome == "open"
    assert found.verdict.startswith(
        "lsp did not beat the baseline: +0.20 points are within the noise (95 % interval −"
    )


def test_an_interval_below_zero_is_a_loss() -> None:
    found = compare("lsp", {0: 0.939, 1: 0.938, 2: 0.937}, dict.fromkeys(range(3), 0.95))
    assert found.outcome == "worse"
    assert found.verdict.startswith("lsp did worse than the baseline: −1.20 points")


def test_seeds_that_make_no_difference_are_no_evidence() -> None:
    found = compare("lsp", dict.fromkeys(range(4), 0.96), dict.fromkeys(range(4), 0.95))
    assert (found.outcome, found.interval) == ("open", None)
    assert "the same on all 4 seeds: no spread" in found.verdict


def test_a_metric_that_is_no_number_gives_no_verdict() -> None:
    found = compare("lsp", {0: 0.9, 1: NAN, 2: 0.9}, {0: 0.8, 1: 0.8, 2: 0.8})
    assert (found.outcome, found.mean, found.interval) == ("open", None, None)
    assert "not a number (seed 1)" in found.verdict


def test_without_a_common_seed_there_is_no_verdict() -> None:
    found = compare("lsp", {0: 0.9}, {1: 0.8})
    assert found.unpaired == [0, 1]
    assert found.verdict == "lsp: no verdict, no seed was trained both with it and as the baseline."


@given(pairs=PAIRS)
def test_the_mean_and_interval_are_those_of_numpy(pairs: dict[int, tuple[float, float]]) -> None:
    found = compare(
        "lsp", {seed: a for seed, (a, _) in pairs.items()}, {s: b for s, (_, b) in pairs.items()}
    )
    expected = 100 * np.array([a - b for a, b in pairs.values()])
    assert found.mean == pytest.approx(expected.mean(), abs=1e-9)
    if found.interval is not None:
        low, high = found.interval
        assert low + high == pytest.approx(2 * expected.mean(), abs=1e-6)
        # Between the 95 % quantiles of 2 and of 7 degrees of freedom.
        error = expected.std(ddof=1) / np.sqrt(len(pairs))
        assert 2.36 * error <= (high - low) / 2 <= 4.31 * error


@given(pairs=PAIRS)
def test_no_win_is_claimed_inside_the_noise(pairs: dict[int, tuple[float, float]]) -> None:
    found = compare(
        "lsp", {seed: a for seed, (a, _) in pairs.items()}, {s: b for s, (_, b) in pairs.items()}
    )
    above = found.interval is not None and found.interval[0] > 0
    assert (found.outcome == "better") == above
    claims = re.search(r"(?<!not )\bbeat\b", found.verdict) is not None
    assert claims == above


@given(pairs=PAIRS)
def test_exchanging_the_two_turns_the_verdict_around(
    pairs: dict[int, tuple[float, float]],
) -> None:
    first = {seed: a for seed, (a, _) in pairs.items()}
    second = {seed: b for seed, (_, b) in pairs.items()}
    mirrored = {"better": "worse", "worse": "better", "open": "open"}
    forth, back = compare("lsp", first, second), compare("lsp", second, first)
    assert mirrored[forth.outcome] == back.outcome


@given(values=st.dictionaries(st.integers(0, 99), FRACTIONS, min_size=1, max_size=8))
def test_statistics_are_those_of_numpy(values: dict[int, float]) -> None:
    found = statistics(values)
    assert found.mean == pytest.approx(np.mean(list(values.values())))
    if len(values) == 1:
        assert found.std is None
    else:
        assert found.std == pytest.approx(np.std(list(values.values()), ddof=1), abs=1e-9)


def test_statistics_keep_a_broken_value() -> None:
    found = statistics({0: 0.5, 1: NAN})
    assert math.isnan(found.mean)
    assert found.std is None
    assert list(found.values) == [0, 1]


def errors(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


def test_where_lower_is_better_a_negative_difference_is_a_gain() -> None:
    found = compare("lsp", errors(0.39, 0.38, 0.37), errors(0.5, 0.5, 0.5), MAE)
    assert found.outcome == "better"
    assert found.mean == pytest.approx(-0.12)
    assert found.verdict == (
        "lsp beat the baseline by 0.12 MAE "
        "(lower is better; 95 % interval −0.145 to −0.0952, 3 paired seeds)."
    )


def test_where_lower_is_better_a_positive_difference_is_a_loss() -> None:
    found = compare("lsp", errors(0.61, 0.62, 0.63), errors(0.5, 0.5, 0.5), MAE)
    assert found.outcome == "worse"
    assert found.verdict.startswith("lsp did worse than the baseline: +0.12 MAE (lower is better;")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (errors(0.4), "lsp: −0.1 MAE to the baseline (lower is better; one seed"),
        (errors(0.6), "lsp: +0.1 MAE to the baseline (lower is better; one seed"),
        (errors(0.6, 0.4, 0.45), "lsp did not beat the baseline: −0.0167 MAE is within the noise"),
    ],
)
def test_where_lower_is_better_the_rest_of_the_verdicts_turn_around_too(values, words) -> None:
    found = compare("lsp", values, errors(0.5, 0.5, 0.5), MAE)
    assert found.outcome == "open"
    assert found.verdict.startswith(words)


@given(pairs=PAIRS)
def test_turning_the_metric_upside_down_turns_the_outcome(
    pairs: dict[int, tuple[float, float]],
) -> None:
    first = {seed: a for seed, (a, _) in pairs.items()}
    second = {seed: b for seed, (_, b) in pairs.items()}
    mirrored = {"better": "worse", "worse": "better", "open": "open"}
    up = compare("lsp", first, second, Metric("up", share=False))
    down = compare("lsp", first, second, Metric("down", higher_is_better=False, share=False))
    assert mirrored[up.outcome] == down.outcome
    assert up.differences == down.differences


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_a_number_with_a_unit_is_judged_alike_in_any_unit(scale: float) -> None:
    values, baseline = errors(0.39, 0.38, 0.37), errors(0.5, 0.5, 0.5)
    found = compare(
        "lsp",
        {seed: scale * value for seed, value in values.items()},
        {seed: scale * value for seed, value in baseline.items()},
        MAE,
    )
    assert found.outcome == "better"
    same = compare("lsp", errors(*(scale * 0.4,) * 3), errors(*(scale * 0.5,) * 3), MAE)
    assert same.interval is None


def seeds_of(mean: float, count: int) -> dict[int, float]:
    return {seed: 0.5 + (mean + 0.1 * (-1) ** seed) / 100 for seed in range(count)}


def test_a_sequential_verdict_needs_more_than_one_look() -> None:
    def judged(count: int) -> Comparison:
        baseline = dict.fromkeys(range(count), 0.5)
        pairs = [Pairs.of("lsp", seeds_of(0.5, count), baseline, Metric(""))]
        noise = {seed: value + 1e-3 * (seed % 3) for seed, value in seeds_of(0.0, count).items()}
        pairs.append(Pairs.of("kd", noise, baseline, Metric("")))
        return compare_pairs(pairs, Metric(""), sequential=True)[0]

    few, more = judged(3), judged(12)
    assert (few.outcome, few.interval) == ("open", None)
    assert "3 seeds" in few.verdict
    assert "too few to tell from noise, which takes at least 6 when looking" in few.verdict
    assert more.outcome == "better"
    assert "corrected for 2 methods and looking after every seed" in more.verdict
