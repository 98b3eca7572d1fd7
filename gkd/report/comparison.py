"""The statistics of a report: rows over seeds, paired differences, their confidence interval."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from types import MappingProxyType

from pydantic import BaseModel

from gkd.evaluation.formats import difference, unit
from gkd.evaluation.metric import Metric
from gkd.evaluation.soft_targets import CALIBRATION
from gkd.report.significance import (
    ENOUGH_SEEDS,
    LEVEL,
    NEGLIGIBLE,
    Corrected,
    confidence_interval,
    fewest_to_decide,
    holm,
    is_spread,
    sequential_interval,
    sign_flip_test,
    smallest_gain,
    t_test,
)
from gkd.report.summary import Number, Summary
from gkd.report.term_gradients import never_acted

SHARE = Metric("")


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


class Row(BaseModel):
    """One method: the teacher, the baseline, or the student distilled by some losses.

    Args:
        network: ``"teacher"`` or ``"student"``.
        method: Name of the method.
        seeds: Seeds of its finished networks.
        parameters: Number of parameters; several where the seeds' networks differ.
        test: Every test metric over the seeds, shares as fractions, the primary one first.
        training_seconds: Wall-clock time of a training, the mean over the seeds.
        seconds_per_epoch: Wall-clock time of an epoch, the mean over the seeds.
        milliseconds_per_sample: Time of inference, the mean over the seeds.
        peak_memory_bytes: Memory of a training step, the largest of the seeds'.
        compression: Parameters of the teacher per parameter of this network.
        speed_up: Time of inference of its run's teacher per time of this network's, the mean over
            the seeds.
        agreement: Share of the test split on which it answers as the teacher does, right or wrong,
            the mean over the seeds.
        calibration_error: Expected calibration error on the test split, the mean over the seeds.
    """

    network: str
    method: str
    seeds: list[int]
    parameters: list[int]
    test: dict[str, Statistics]
    training_seconds: float | None
    seconds_per_epoch: float | None
    milliseconds_per_sample: float
    peak_memory_bytes: int | None
    compression: float | None
    speed_up: float | None = None
    agreement: float | None = None
    calibration_error: float | None = None


def summary_rows(
    networks: Sequence[Summary],
    primary_metric: str,
    agreements: Mapping[tuple[str, str, int], float] = MappingProxyType({}),
) -> list[Row]:
    """Take the networks of each method together, in the order of their first appearance.

    Args:
        networks: Finished networks.
        primary_metric: Metric that they are compared by.
        agreements: Of students with their teacher, by key.
    """
    teachers = [one for one in networks if one.network == "teacher"]
    teacher_size = teachers[0].parameters if teachers else 0
    rows = []
    for group in _by_method(networks):
        names = dict.fromkeys([primary_metric, *(name for one in group for name in one.test)])
        sizes = sorted({one.parameters for one in group})
        peaks = [one.peak_memory_bytes for one in group if one.peak_memory_bytes is not None]
        # Students of different sizes have no one ratio; a network without parameters has none.
        comparable = teacher_size and sizes[0] and len(sizes) == 1
        row = Row(
            network=group[0].network,
            method=group[0].method,
            seeds=sorted(one.seed for one in group),
            parameters=sizes,
            test={name: statistics(_metric_by_seed(group, name)) for name in names},
            training_seconds=_mean_of_known(one.training_seconds for one in group),
            seconds_per_epoch=_mean_of_known(one.seconds_per_epoch for one in group),
            milliseconds_per_sample=fmean(one.milliseconds_per_sample for one in group),
            peak_memory_bytes=max(peaks, default=None),
            compression=teacher_size / sizes[0] if comparable else None,
            speed_up=_mean_of_known(
                _ratio(one.teacher_milliseconds, one.milliseconds_per_sample) for one in group
            ),
            agreement=_mean_of_known(agreements.get(one.key) for one in group),
            calibration_error=_mean_of_known(one.certainty.get(CALIBRATION) for one in group),
        )
        rows.append(row)
    return rows


class Comparison(BaseModel):
    """A method against the baseline, seed by seed, in points (hundredths) where it is a share.

    Args:
        method: Name of the method.
        differences: Method minus baseline, for every seed that both were trained with: below 0 for
            a gain where lower is better.
        mean: Mean difference; None without a pair of finite values.
        interval: Ends of the paired t interval, at the level that Holm's procedure leaves to the
            method, 95 % for a single one; None below three seeds or without spread.
        unpaired: Seeds that only one of the two was trained with.
        outcome: ``"better"``, ``"worse"`` or ``"open"``.
        verdict: The same in a sentence.
        methods: How many methods of the table were tested.
        sequential: Whether it was looked after every seed, and the interval holds at any time.
        p: Of the paired t test, corrected for their number; None without an interval.
        sign_flip_p: Of the exact test that tries all signs, not corrected; None without an
            interval, and for more than twenty seeds.
        smallest_gain: The gain that as many seeds with this spread show four times in five; None
            without an interval.
    """

    method: str
    differences: dict[int, Number]
    mean: float | None
    interval: tuple[float, float] | None
    unpaired: list[int]
    outcome: str
    verdict: str
    methods: int = 1
    sequential: bool = False
    p: float | None = None
    sign_flip_p: float | None = None
    smallest_gain: float | None = None


@dataclass(frozen=True)
class Pairs:
    """The differences of a method from the baseline, by seed; see :class:`Comparison`."""

    method: str
    differences: Mapping[int, float]
    unpaired: list[int]
    testable: bool

    @classmethod
    def of(
        cls,
        method: str,
        values: Mapping[int, float],
        baseline: Mapping[int, float],
        metric: Metric,
    ) -> "Pairs":
        """Pair what was trained with the same seed."""
        paired = sorted(values.keys() & baseline.keys())
        scale = 100 if metric.share else 1
        differences = {seed: scale * (values[seed] - baseline[seed]) for seed in paired}
        size = 1.0 if metric.share else max((abs(baseline[seed]) for seed in paired), default=0.0)
        testable = is_spread([*differences.values()], NEGLIGIBLE * scale * size)
        return cls(method, differences, sorted(values.keys() ^ baseline.keys()), testable)

    @property
    def numbers(self) -> list[float]:
        """The differences."""
        return [*self.differences.values()]


def compare_methods(
    networks: Sequence[Summary],
    metric: Metric,
    baselines: Mapping[str, str],
    sequential: bool = False,
) -> list[Comparison]:
    """Compare methods with their baseline by the primary test metric.

    Args:
        networks: Finished networks.
        metric: What they are compared by.
        baselines: By method, the one that trains the same student without terms.
        sequential: Whether it was looked after every seed, which decided whether more followed.
    """
    values = {
        group[0].method: _metric_by_seed(group, metric.name)
        for group in _by_method(networks)
        if group[0].network == "student"
    }
    judged = compare_pairs(
        [
            Pairs.of(method, values[method], values.get(baselines[method], {}), metric)
            for method in values
            if method in baselines
        ],
        metric,
        sequential,
    )
    idle = {group[0].method for group in _by_method(networks) if never_acted(group)}
    return [_untried(one) if one.method in idle else one for one in judged]


def _untried(one: Comparison) -> Comparison:
    """Say of a method that did nothing that it was not tried: it has not failed."""
    sentence = (
        f"{one.method} was not tried: none of its terms ever acted, so its students are the "
        "baseline's but for chance."
    )
    return one.model_copy(update={"outcome": "open", "verdict": sentence})


def compare(
    method: str,
    values: Mapping[int, float],
    baseline: Mapping[int, float],
    metric: Metric = SHARE,
) -> Comparison:
    """Compare a single method with the baseline, pairing what was trained with the same seed.

    Args:
        method: Name of the method.
        values: Its metric by seed, shares as fractions.
        baseline: The baseline's.
        metric: What the values are of.

    >>> compare("lsp", {0: 0.961}, {0: 0.957}).verdict
    'lsp: +0.40 points to the baseline (one seed: no spread, so no evidence).'
    >>> compare("lsp", {0: 0.5}, {0: 0.6}, Metric("mae", False, share=False)).verdict
    'lsp: −0.1 MAE to the baseline (lower is better; one seed: no spread, so no evidence).'
    """
    return compare_pairs([Pairs.of(method, values, baseline, metric)], metric)[0]


def compare_pairs(
    pairs: Sequence[Pairs], metric: Metric, sequential: bool = False
) -> list[Comparison]:
    """Judge the methods of one table, whose false claims are bounded together."""
    if sequential:
        # Not Holm's procedure: methods are looked at again and again, and stop at different times.
        intervals = {
            one.method: sequential_interval(one.numbers, LEVEL / len(pairs), 0.0)
            for one in pairs
            if one.testable
        }
        return [_judged(one, intervals.get(one.method), len(pairs), metric, True) for one in pairs]
    tests = holm({one.method: t_test(one.numbers) for one in pairs if one.testable})
    return [_tested(one, tests.get(one.method), len(tests), metric) for one in pairs]


def _tested(pairs: Pairs, test: Corrected | None, methods: int, metric: Metric) -> Comparison:
    if test is None:
        return _judged(pairs, None, methods, metric)
    numbers = pairs.numbers
    interval = confidence_interval(numbers, test.level, 0.0)
    return _judged(pairs, interval, methods, metric).model_copy(
        update={
            "p": test.p,
            "sign_flip_p": sign_flip_test(numbers),
            "smallest_gain": smallest_gain(numbers, test.level),
        }
    )


def _judged(
    pairs: Pairs,
    interval: tuple[float, float] | None,
    methods: int,
    metric: Metric,
    sequential: bool = False,
) -> Comparison:
    numbers = pairs.numbers
    outcome, sentence = _verdict(pairs, interval, methods, metric, sequential)
    return Comparison(
        method=pairs.method,
        differences=dict(pairs.differences),
        mean=fmean(numbers) if numbers and all(map(math.isfinite, numbers)) else None,
        interval=interval,
        unpaired=pairs.unpaired,
        outcome=outcome,
        verdict=sentence,
        methods=max(methods, 1),
        sequential=sequential,
    )


def _verdict(
    pairs: Pairs,
    interval: tuple[float, float] | None,
    methods: int,
    metric: Metric,
    sequential: bool,
) -> tuple[str, str]:
    """Outcome and sentence; only an interval that leaves out 0 is called better or worse."""
    method, differences = pairs.method, pairs.differences
    if not differences:
        return "open", (
            f"{method}: no verdict, no seed was trained both with it and as the baseline."
        )
    broken = [str(seed) for seed, value in differences.items() if not math.isfinite(value)]
    if broken:
        return "open", (
            f"{method}: no verdict, the metric of it or of the baseline is not a number "
            f"(seed {', '.join(broken)})."
        )
    values, sense = list(differences.values()), -1 if metric.lower_is_better else 1
    mean = fmean(values)
    shown = f"{difference(metric, mean)} {unit(metric)}"
    reminder = "lower is better; " if metric.lower_is_better else ""
    if interval is not None:
        low, high = (difference(metric, end) for end in interval)
        reasons = [f"{methods} methods"] if methods > 1 else []
        reasons += ["looking after every seed"] if sequential else []
        corrected = f" corrected for {' and '.join(reasons)}" if reasons else ""
        evidence = f"{reminder}95 % interval{corrected} {low} to {high}, {len(values)} paired seeds"
        worst, best = sorted(sense * end for end in interval)
        if worst > 0:
            by = f"{difference(metric, abs(mean)).lstrip('+')} {unit(metric)}"
            return "better", f"{method} beat the baseline by {by} ({evidence})."
        if best < 0:
            return "worse", f"{method} did worse than the baseline: {shown} ({evidence})."
        verb = "are" if metric.share else "is"
        return "open", (
            f"{method} did not beat the baseline: {shown} {verb} within the noise ({evidence})."
        )
    if len(values) == 1:
        reason = f"{reminder}one seed: no spread"
    elif len(values) < ENOUGH_SEEDS or pairs.testable:
        each = " and ".join(difference(metric, value) for value in values)
        reason = f"{reminder}{len(values)} seeds, {each}: too few to tell from noise"
        if sequential:
            fewest = fewest_to_decide(LEVEL / max(methods, 1))
            reason += f", which takes at least {fewest} when looking after every seed"
    else:
        reason = f"{reminder}the same on all {len(values)} seeds: no spread"
    return "open", f"{method}: {shown} to the baseline ({reason}, so no evidence)."


def _by_method(networks: Sequence[Summary]) -> list[list[Summary]]:
    groups: dict[tuple[str, str], list[Summary]] = {}
    for summary in networks:
        groups.setdefault((summary.network, summary.method), []).append(summary)
    return list(groups.values())


def _metric_by_seed(group: Sequence[Summary], name: str) -> dict[int, float]:
    # A network without the metric must not shrink the group unseen: it makes the mean NaN.
    return {summary.seed: summary.test.get(name, math.nan) for summary in group}


def _ratio(one: float | None, other: float) -> float | None:
    """Return how many times ``other`` is in ``one``; None where no number says so."""
    ratio = one / other if one and other else math.inf
    return ratio if math.isfinite(ratio) else None


def _mean_of_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None and not math.isnan(value)]
    return fmean(known) if known else None
