"""Quantiles of Student's t distribution, for intervals over a few seeds.

Source: Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.7.3 and 26.7.4.
"""

from math import atan, cos, pi, sin, sqrt

from gkd.errors import ParameterError


def central_probability(t: float, degrees: int) -> float:
    """Probability that ``|T| < t`` for Student's t with whole degrees of freedom.

    >>> round(central_probability(1.0, degrees=1), 6)
    0.5
    """
    angle = atan(t / sqrt(degrees))
    odd = degrees % 2
    # Powers of the cosine from 1 (odd) or 0 (even) up to degrees - 2, each times its coefficient.
    total, factor = 0.0, cos(angle) if odd else 1.0
    for power in range(odd, degrees - 1, 2):
        total += factor
        factor *= (power + 1) / (power + 2) * cos(angle) ** 2
    if odd:
        return 2 / pi * (angle + sin(angle) * total)
    return sin(angle) * total


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
    while (middle := (low + high) / 2) not in (low, high):
        if central_probability(middle, degrees) < confidence:
            low = middle
        else:
            high = middle
    return high
