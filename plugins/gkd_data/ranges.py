"""Parameters of the datasets: whether they are in their range."""

from math import inf

from gkd import ParameterError


def check_range(owner: str, name: str, value: float, least: float, most: float = inf) -> None:
    """Raise :class:`ParameterError` unless ``least <= value <= most``.

    >>> check_range("shapes", "points", 0, 1)
    Traceback (most recent call last):
    gkd.errors.ParameterError: shapes: points must be at least 1, not 0
    """
    if not least <= value <= most:
        upper = "" if most == inf else f" and at most {most}"
        raise ParameterError(f"{owner}: {name} must be at least {least}{upper}, not {value}")


def check_fraction(owner: str, name: str, value: float) -> None:
    """Raise :class:`ParameterError` unless ``0 < value < 1``."""
    if not 0 < value < 1:
        raise ParameterError(f"{owner}: {name} must be above 0 and below 1, not {value}")
