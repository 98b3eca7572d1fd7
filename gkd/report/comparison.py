"""Whether a method beat the baseline, and how sure that is."""

import math
from collections.abc import Mapping
from statistics import fmean, stdev

from pydantic import BaseModel

from gkd.report.formats import points
from gkd.report.summary import Number
from gkd.report.t_quantile import t_quantile

CONFIDENCE = 0.95
ENOUGH_SEEDS = 3
_NEGLIGIBLE = 1e-9  # points; differences of metrics carry rounding


class Statistics(BaseModel):
    """Mean of a number over seeds, and its standard deviation (``n - 1``) from two seeds on."""

    mean: Number
    std: float | None
    values: dict[int, Number]


def statistics(values: Mapping[int, float]) -> Statistics:
    """Summarise one number per seed; a value that is NaN makes the mean NaN.

    >>> statistics({0: 1.0, 1: 3.0}).mean
    2.0
    """
    numbers = [values[seed] for seed in sorted(values)]
    spread = stdev(numbers) if len(numbers) > 1 and all(map(math.isfinite, numbers)) else None
    return Statistics(mean=fmean(numbers), std=spread, values=dict(sorted(values.items())))


class Comparison(BaseModel):
    """A method against the baseline, seed by seed, in points (hundredths) of the metric.

    Args:
        method: Name of the method.
        differences: Method minus baseline, for every seed that both were trained with.
        mean: Mean difference; None without a pair of finite values.
        interval: Ends of the paired 95 % t interval; None below three seeds or without spread.
        unpaired: Seeds that only one of the two was trained with.
        outcome: ``"better"``, ``"worse"`` or ``"open"``.
        verdict: The same in a sentence.
    """

    method: str
    differences: dict[int, Number]
    mean: float | None
    interval: tuple[float, float] | None
    unpaired: list[int]
    outcome: str
    verdict: str


def comparison(
    method: str, values: Mapping[int, float], baseline: Mapping[int, float]
) -> Comparison:
    """Compare a method with the baseline, pairing what was trained with the same seed.

    Args:
        method: Name of the method.
        values: Its metric by seed, as fractions.
        baseline: the baseline's.

    >>> comparison("lsp", {0: 0.961}, {0: 0.957}).verdict
    'lsp: +0.40 points over the baseline (one seed: no spread, so no evidence).'
    """
    paired = sorted(values.keys() & baseline.keys())
    differences = {seed: 100 * (values[seed] - baseline[seed]) for seed in paired}
    finite = differences and all(map(math.isfinite, differences.values()))
    interval = _interval(list(differences.values()))
    outcome, sentence = _verdict(method, differences, interval)
    return Comparison(
        method=method,
        differences=differences,
        mean=fmean(differences.values()) if finite else None,
        interval=interval,
        unpaired=sorted(values.keys() ^ baseline.keys()),
        outcome=outcome,
        verdict=sentence,
    )


def _interval(differences: list[float]) -> tuple[float, float] | None:
    count = len(differences)
    if count < ENOUGH_SEEDS or not all(map(math.isfinite, differences)):
        return None
    spread = stdev(differences)
    if spread < _NEGLIGIBLE:
        return None
    half = t_quantile(CONFIDENCE, count - 1) * spread / math.sqrt(count)
    mean = fmean(differences)
    return (mean - half, mean + half)


def _verdict(
    method: str, differences: Mapping[int, float], interval: tuple[float, float] | None
) -> tuple[str, str]:
    """Outcome and sentence; only an interval that leaves out 0 is called better or worse."""
    if not differences:
        return (
            "open",
            f"{method}: no verdict, no seed was trained both with it and as the baseline.",
        )
    broken = [str(seed) for seed, value in differences.items() if not math.isfinite(value)]
    if broken:
        return "open", (
            f"{method}: no verdict, the metric of it or of the baseline is not a number "
            f"(seed {', '.join(broken)})."
        )
    mean = fmean(differences.values())
    if interval is None:
        return "open", _without_interval(method, mean, list(differences.values()))
    low, high = interval
    evidence = f"95 % interval {points(low)} to {points(high)}, {len(differences)} paired seeds"
    if low > 0:
        return "better", f"{method} beat the baseline by {mean:.2f} points ({evidence})."
    if high < 0:
        return "worse", (
            f"{method} did worse than the baseline: {points(mean)} points ({evidence})."
        )
    return "open", (
        f"{method} did not beat the baseline: {points(mean)} points are within the noise "
        f"({evidence})."
    )


def _without_interval(method: str, mean: float, differences: list[float]) -> str:
    reason = _too_little(differences)
    if mean <= 0:
        return f"{method} did not beat the baseline: {points(mean)} points ({reason})."
    return f"{method}: {points(mean)} points over the baseline ({reason}, so no evidence)."


def _too_little(differences: list[float]) -> str:
    count = len(differences)
    if count == 1:
        return "one seed: no spread"
    if count < ENOUGH_SEEDS:
        each = " and ".join(points(value) for value in differences)
        return f"{count} seeds, {each}: too few to tell from noise"
    return f"the same on all {count} seeds: no spread"
