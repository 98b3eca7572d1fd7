"""How numbers are written in every table."""

import math

from gkd.evaluation.metric import Metric

NOT_A_NUMBER = "NaN"
_ABBREVIATIONS = {
    word.lower(): word for word in ("AUC", "F1", "IoU", "MAE", "MRR", "MSE", "R2", "RMSE", "ROC")
}


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


def metric_value(metric: Metric, value: float) -> str:
    """Write a value of a metric: a share in percent, any other number with four digits.

    >>> metric_value(Metric("accuracy"), 0.9574)
    '95.74'
    >>> metric_value(Metric("mae", higher_is_better=False, share=False), 0.9574)
    '0.9574'
    """
    if metric.share or not math.isfinite(value):
        return percent(value)
    return f"{value:.4g}".replace("-", "−")


def difference(metric: Metric, value: float) -> str:
    """Write a difference of a metric with its sign: of a share in points.

    >>> difference(Metric("accuracy"), 0.5), difference(Metric("mae", False, share=False), -0.01234)
    ('+0.50', '−0.0123')
    """
    if metric.share or not math.isfinite(value):
        return points(value)
    return "0" if value == 0 else f"{value:+.3g}".replace("-", "−")


def unit(metric: Metric) -> str:
    """Name the unit of the metric's differences."""
    return "points" if metric.share else metric_name(metric.name)


def metric_heading(metric: Metric) -> str:
    """Write a metric's name with its unit; an arrow says that lower is better.

    >>> metric_heading(Metric("micro_f1")), metric_heading(Metric("mae", False, share=False))
    ('micro F1, %', 'MAE ↓')
    """
    percent, arrow = ", %" if metric.share else "", " ↓" if metric.lower_is_better else ""
    return f"{metric_name(metric.name)}{percent}{arrow}"


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

    >>> metric_name("micro_f1"), metric_name("mae"), metric_name("roc_auc")
    ('micro F1', 'MAE', 'ROC AUC')
    """
    return " ".join(_ABBREVIATIONS.get(word, word) for word in name.split("_"))
