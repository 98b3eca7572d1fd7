import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gkd.errors import ParameterError
from gkd.report.comparison import central_probability, t_quantile

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
