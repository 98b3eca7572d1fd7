"""How sure a mean of paired differences is: tests, intervals, and what they could have seen."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import NamedTuple, TypeVar

import numpy as np

from gkd.errors import ParameterError

LEVEL = 0.05
"""Probability of a false claim that is put up with, for all methods of a table together."""

POWER = 0.8
ENOUGH_SEEDS = 3
NEGLIGIBLE = 1e-11  # of a metric's size, 1 for shares; differences of metrics carry rounding
_FEW = 20  # seeds, of which all signs can be tried

Name = TypeVar("Name")


def confidence_interval(
    differences: Sequence[float], level: float = LEVEL, negligible: float = 100 * NEGLIGIBLE
) -> tuple[float, float] | None:
    """Return the ends of the t interval of a mean, which misses it with probability ``level``.

    It is None for fewer than three numbers, which say too little, and for numbers without spread,
    or with a ``negligible`` one.

    >>> low, high = confidence_interval([1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    if not is_spread(differences, negligible):
        return None
    half = t_quantile(1 - level, len(differences) - 1) * standard_error(differences)
    mean = fmean(differences)
    return (mean - half, mean + half)


def correlation_interval(correlations: Sequence[float]) -> tuple[float, float] | None:
    """Return the interval of a mean of correlations; none is beyond -1 or 1.

    >>> low, high = correlation_interval([0.8, 0.9, 1.0])
    >>> round(low, 3), high
    (0.652, 1.0)
    """
    ends = confidence_interval(correlations)
    return None if ends is None else (max(-1.0, ends[0]), min(1.0, ends[1]))


def is_spread(differences: Sequence[float], negligible: float = 100 * NEGLIGIBLE) -> bool:
    """Whether there are enough numbers, all finite, that differ by more than rounding."""
    enough = len(differences) >= ENOUGH_SEEDS and all(map(math.isfinite, differences))
    return enough and stdev(differences) > negligible


def standard_error(differences: Sequence[float]) -> float:
    """Return that of the mean."""
    return stdev(differences) / math.sqrt(len(differences))


def t_test(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of a mean of 0 by Student's paired t test.

    >>> round(t_test([1.0, 2.0, 3.0]), 4)
    0.0742
    """
    t = abs(fmean(differences)) / standard_error(differences)
    return 1 - central_probability(t, len(differences) - 1)


def sign_flip_test(differences: Sequence[float]) -> float | None:
    r"""Return the two-sided p-value of the exact test that tries all signs; None for too many.

    Where a method does nothing, each difference might as well have the other sign. The p-value is
    the share of the :math:`2^n` choices of signs whose sum is at least as far from 0 as that found.
    It needs no normal distribution, and cannot be below :math:`2^{1-n}`.

    Source: Fisher, "The Design of Experiments", 1935, section 21.

    >>> sign_flip_test([1.0, 2.0, 3.0])
    0.25
    """
    if not 0 < len(differences) <= _FEW:
        return None
    values = np.asarray(differences, dtype=np.float64)
    sums = values[:1]  # one sign of the first stands for both, as the test has two sides
    for value in values[1:]:
        sums = np.concatenate([sums + value, sums - value])
    found = abs(values.sum())
    rounding = 1e-12 * np.abs(values).sum()
    return float(np.mean(np.abs(sums) >= found - rounding))


class Corrected(NamedTuple):
    """What Holm's procedure makes of one p-value.

    Attributes:
        p: adjusted, to be compared with the level of the whole table.
        level: of this test and of its interval, which leaves out 0 if and only if p is below the
            level of the table.
    """

    p: float
    level: float


def holm(p_values: Mapping[Name, float], level: float = LEVEL) -> dict[Name, Corrected]:
    """Correct p-values for their number: any false claim among them has a probability of ``level``.

    The smallest of m p-values is compared with level / m, the next with level / (m - 1), and so on
    up to the first that fails, with which all larger ones fail.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6, 1979.

    >>> holm({"a": 0.01, "b": 0.04})
    {'a': Corrected(p=0.02, level=0.025), 'b': Corrected(p=0.04, level=0.05)}
    """
    corrected: dict[Name, Corrected] = {}
    largest, own_level, failed = 0.0, level, False
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        left = len(p_values) - rank
        largest = max(largest, min(1.0, left * p_values[name]))
        # After the first that fails the level stays, or an interval could deny its verdict.
        own_level = own_level if failed else level / left
        failed = failed or largest >= level
        corrected[name] = Corrected(largest, own_level)
    return {name: corrected[name] for name in p_values}


def smallest_gain(differences: Sequence[float], level: float = LEVEL) -> float:
    """Return the gain that as many differences with this spread show four times in five.

    Source: Bloom, "Minimum detectable effects", Evaluation Review 19, 1995.

    >>> round(smallest_gain([1.0, 2.0, 3.0]), 2)
    3.1
    """
    degrees = len(differences) - 1
    reached = t_quantile(1 - level, degrees) + t_quantile(2 * POWER - 1, degrees)
    return reached * standard_error(differences)


def sequential_interval(
    differences: Sequence[float], level: float = LEVEL, negligible: float = 100 * NEGLIGIBLE
) -> tuple[float, float] | None:
    r"""Return an interval that misses the mean at any time of a growing sample with ``level``.

    Whoever looks after every new number, and stops when the interval leaves out 0, is wrong with
    this probability, however often it was looked. With n numbers, their t statistic and a normal
    prior of variance 1 for the mean in units of the deviation, the interval has those means whose

    .. math::
        E_n = \frac{1}{\sqrt{1 + n}} \left(
        \frac{1 + t^2 / (n - 1)}{1 + t^2 / ((n - 1)(1 + n))} \right)^{n / 2}

    is below 1 / level. :math:`E_n` is a likelihood ratio that does not depend on the deviation, so
    that Ville's inequality bounds its largest value.

    Returns:
        None as of :func:`confidence_interval`, and where so few numbers exclude nothing.

    Source: Lai, "On confidence sequences", Annals of Statistics 4, 1976; Wang and Ramdas,
    "Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance", 2025.

    >>> low, high = sequential_interval([1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0])
    >>> round(low, 3), round(high, 3)
    (0.864, 3.136)
    """
    if not is_spread(differences, negligible):
        return None
    count, mean = len(differences), fmean(differences)
    growth = _growth(count, level)
    if growth >= 1 + count:
        return None
    t = math.sqrt((count - 1) * (growth - 1) / (1 - growth / (1 + count)))
    half = t * standard_error(differences)
    return (mean - half, mean + half)


def fewest_to_decide(level: float = LEVEL) -> int:
    """Return how many numbers :func:`sequential_interval` needs to leave out 0 at all.

    >>> fewest_to_decide(), fewest_to_decide(0.05 / 10)
    (5, 7)
    """
    count = ENOUGH_SEEDS
    while _growth(count, level) >= 1 + count:
        count += 1
    return count


def _growth(count: int, level: float) -> float:
    """Factor by which the squares around 0 exceed those around an end of the interval."""
    return math.pow(math.sqrt(1 + count) / level, 2 / count)


def t_quantile(confidence: float, degrees: int) -> float:
    """Find ``t`` such that Student's t lies within ``[-t, t]`` with the given probability.

    Args:
        confidence: Between 0 and 1, exclusive.
        degrees: Degrees of freedom, at least 1.

    Raises:
        ParameterError: An argument is out of its range.

    >>> round(t_quantile(0.95, degrees=2), 3)
    4.303
    """
    if not 0 < confidence < 1 or degrees < 1:
        raise ParameterError("confidence must lie between 0 and 1, degrees must be at least 1")
    low, high = 0.0, 1.0
    while central_probability(high, degrees) < confidence:
        high *= 2
    # Halved until no number lies between the two ends: as exact as floats are.
    while (middle := (low + high) / 2) not in (low, high):
        if central_probability(middle, degrees) < confidence:
            low = middle
        else:
            high = middle
    return high


def central_probability(t: float, degrees: int) -> float:
    """Probability that ``|T| < t`` for Student's t with whole degrees of freedom.

    Source: Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.7.3 and 26.7.4.

    >>> round(central_probability(1.0, degrees=1), 6)
    0.5
    """
    angle = math.atan(t / math.sqrt(degrees))
    odd = degrees % 2
    # Powers of the cosine from 1 (odd) or 0 (even) up to degrees - 2, each times its coefficient.
    total, factor = 0.0, math.cos(angle) if odd else 1.0
    for power in range(odd, degrees - 1, 2):
        total += factor
        factor *= (power + 1) / (power + 2) * math.cos(angle) ** 2
    if odd:
        return 2 / math.pi * (angle + math.sin(angle) * total)
    return math.sin(angle) * total
