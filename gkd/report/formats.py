"""How numbers are written in every table."""

import math

NOT_A_NUMBER = "NaN"


def percent(fraction: float) -> str:
    """Write a fraction in hundredths: two decimals, as the field does.

    >>> percent(0.9574), percent(float("nan"))
    ('95.74', 'NaN')
    """
    return f"{100 * fraction:.2f}" if math.isfinite(fraction) else NOT_A_NUMBER


def points(value: float) -> str:
    """Write a difference in points with its sign.

    >>> points(-0.123), points(0.001), points(0.5)
    ('−0.12', '0.00', '+0.50')
    """
    if not math.isfinite(value):
        return NOT_A_NUMBER
    text = f"{value:+.2f}".replace("-", "−")
    return "0.00" if text in ("+0.00", "−0.00") else text


def significant(value: float) -> str:
    """Write a positive number with three significant digits.

    >>> significant(0.01234), significant(12.34), significant(123456.0)
    ('0.0123', '12.3', '123,456')
    """
    if not math.isfinite(value):
        return NOT_A_NUMBER
    decimals = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{max(0, decimals)}f}"


def duration(seconds: float) -> str:
    """Write a time in seconds, minutes or hours.

    >>> duration(0.8312), duration(245), duration(9000)
    ('0.831 s', '4.08 min', '2.50 h')
    """
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{significant(seconds / size)} {unit}"
    return f"{significant(seconds)} s"


def mebibytes(count: int) -> str:
    """Write a number of bytes.

    >>> mebibytes(3 * 2**20)
    '3.00 MiB'
    """
    return f"{significant(count / 2**20)} MiB"


def metric_name(name: str) -> str:
    """Write a metric's name for a reader.

    >>> metric_name("micro_f1")
    'micro F1'
    """
    return name.replace("_", " ").replace("f1", "F1")
