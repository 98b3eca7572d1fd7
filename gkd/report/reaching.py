"""How soon methods are as good as the baseline is in the end."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from pydantic import BaseModel

from gkd.evaluation.metric import Metric
from gkd.report.summary import Number, Summary


class Reached(BaseModel):
    """When the students of a method reached what the baseline of their seed was selected by.

    Args:
        epochs: Mean number of epochs, over the seeds that did; None where none did.
        seconds: Mean time of training until then.
        seeds: How many did.
        of: How many have a baseline of their seed.
    """

    epochs: float | None
    seconds: Number | None
    seeds: int
    of: int


def reaching(
    networks: Sequence[Summary], metric: Metric, baselines: Mapping[str, str]
) -> dict[str, Reached]:
    """Return by method when its validation metric first was the baseline's final one.

    Test data play no part. The baseline itself gets there in the epoch that it was selected by, or
    in an earlier one that was as good.

    Args:
        networks: Finished networks; those whose history lacks epochs are left out.
        metric: What they are compared by.
        baselines: By method, the one that trains the same student without terms.
    """
    students = {(one.method, one.seed): one for one in networks if one.network == "student"}
    found: dict[str, Reached] = {}
    for method in dict.fromkeys(method for method, _ in students):
        baseline = baselines.get(method, method)
        pairs = [
            (one, students[baseline, seed])
            for (name, seed), one in students.items()
            if name == method and (baseline, seed) in students and _is_whole(one)
        ]
        goals = [(one, other.validation.get(metric.name, math.nan)) for one, other in pairs]
        reached = [_first(one, goal, metric) for one, goal in goals]
        when = [each for each in reached if each is not None]
        if pairs:
            found[method] = Reached(
                epochs=fmean(epochs for epochs, _ in when) if when else None,
                seconds=fmean(seconds for _, seconds in when) if when else None,
                seeds=len(when),
                of=len(pairs),
            )
    return found


def _is_whole(one: Summary) -> bool:
    """Whether its history has every epoch: of results that are kept, some have been thinned."""
    epochs = [row["epoch"] for row in one.history]
    return bool(epochs) and epochs == [*range(1, 1 + len(epochs))]


def _first(one: Summary, goal: float, metric: Metric) -> tuple[int, float] | None:
    """Return the epochs and the seconds until a network's validation metric reached ``goal``."""
    key, seconds = f"validation/{metric.name}", 0.0
    for epochs, row in enumerate(one.history, start=1):
        seconds += row.get("seconds", math.nan)
        value = row.get(key, math.nan)
        if value <= goal if metric.lower_is_better else value >= goal:
            return epochs, seconds
    return None
