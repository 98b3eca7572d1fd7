"""The rows of the table: networks of one method, taken together over their seeds."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from pydantic import BaseModel

from gkd.report.comparison import Comparison, Statistics, comparison, statistics
from gkd.report.summary import Summary


class Row(BaseModel):
    """One method: the teacher, the baseline, or the student distilled by some losses.

    Args:
        network: ``"teacher"`` or ``"student"``.
        method: Name of the method.
        seeds: Seeds of its finished networks.
        parameters: Number of parameters; several where the seeds' networks differ.
        test: Every test metric over the seeds, as fractions, the primary one first.
        training_seconds: Wall-clock time of a training, the mean over the seeds.
        seconds_per_epoch: Wall-clock time of an epoch, the mean over the seeds.
        milliseconds_per_sample: Time of inference, the mean over the seeds.
        peak_memory_bytes: Memory of a training step, the largest of the seeds'.
        compression: Parameters of the teacher per parameter of this network.
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


def rows_of(networks: Sequence[Summary], primary_metric: str) -> list[Row]:
    """Group networks by method, in the order of their first appearance."""
    teachers = [summary.parameters for summary in networks if summary.network == "teacher"]
    teacher_size = teachers[0] if teachers else None
    return [_row(group, primary_metric, teacher_size) for group in _by_method(networks)]


def comparisons(
    networks: Sequence[Summary], primary_metric: str, baselines: Mapping[str, str]
) -> list[Comparison]:
    """Compare methods with their baseline by the primary test metric.

    Args:
        networks: Finished networks.
        primary_metric: What they are compared by.
        baselines: By method, the one that trains the same student without terms.
    """
    values = {
        group[0].method: {summary.seed: _metric(summary, primary_metric) for summary in group}
        for group in _by_method(networks)
        if group[0].network == "student"
    }
    return [
        comparison(method, values[method], values.get(baselines[method], {}))
        for method in values
        if method in baselines
    ]


def _by_method(networks: Sequence[Summary]) -> list[list[Summary]]:
    groups: dict[tuple[str, str], list[Summary]] = {}
    for summary in networks:
        groups.setdefault((summary.network, summary.method), []).append(summary)
    return list(groups.values())


def _row(group: list[Summary], primary_metric: str, teacher_size: int | None) -> Row:
    sizes = sorted({summary.parameters for summary in group})
    names = dict.fromkeys([primary_metric, *(name for one in group for name in one.test)])
    peaks = [one.peak_memory_bytes for one in group if one.peak_memory_bytes is not None]
    return Row(
        network=group[0].network,
        method=group[0].method,
        seeds=sorted(summary.seed for summary in group),
        parameters=sizes,
        test={name: statistics({one.seed: _metric(one, name) for one in group}) for name in names},
        training_seconds=_mean([one.training_seconds for one in group]),
        seconds_per_epoch=_mean([one.seconds_per_epoch for one in group]),
        milliseconds_per_sample=fmean(one.milliseconds_per_sample for one in group),
        peak_memory_bytes=max(peaks, default=None),
        compression=teacher_size / sizes[0]
        if teacher_size and len(sizes) == 1 and sizes[0]
        else None,
    )


def _metric(summary: Summary, name: str) -> float:
    return summary.test.get(name, float("nan"))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
