"""How soon methods are as good as the baseline is in the end."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from pydantic import BaseModel

from gkd.evaluation.metric import Metric
from gkd.report.summary import AsGood, Number, Summary


class Reached(BaseModel):
    """When the students of a method reached what the baseline of their seed was selected by.

    Args:
        epochs: Mean number of epochs, over the seeds that did; None where none did.
        seconds: Mean time of training until then.
        seeds: How many did.
        of: How many have a baseline of their seed, and are known to have reached it or not.
        unknown: How many are left out, as their history lacks epochs.
    """

    epochs: float | None
    seconds: Number | None
    seeds: int
    of: int
    unknown: int = 0


def with_as_good(
    networks: Sequence[Summary], metric: Metric, baselines: Mapping[str, str]
) -> list[Summary]:
    """Return networks, of the students noted when they were as good as their baseline in the end.

    Test data play no part. The baseline itself gets there in the epoch that it was selected by, or
    in an earlier one that was as good. What is noted already stays, and nothing is where the
    history lacks epochs or there is no baseline of that seed.

    Args:
        networks: Finished networks.
        metric: What they are compared by.
        baselines: By method, the one that trains the same student without terms.
    """
    students = {(one.method, one.seed): one for one in networks if one.network == "student"}

    def noted(one: Summary) -> Summary:
        baseline = students.get((baselines.get(one.method, one.method), one.seed))
        if one.network != "student" or baseline is None or one.as_good or not _is_whole(one):
            return one
        goal = _selected(baseline, metric)
        return one.model_copy(update={"as_good": _first(one, goal, metric)})

    return [noted(one) for one in networks]


def reaching(networks: Sequence[Summary], baselines: Mapping[str, str]) -> dict[str, Reached]:
    """Return by method when its students were as good as the baseline, for methods of which any is.

    Args:
        networks: As :func:`with_as_good` returns them.
        baselines: By method, the one that trains the same student without terms.
    """
    students = {(one.method, one.seed): one for one in networks if one.network == "student"}
    found: dict[str, Reached] = {}
    for method in dict.fromkeys(method for method, _ in students):
        own = [
            one.as_good
            for (name, seed), one in students.items()
            if name == method and (baselines.get(method, method), seed) in students
        ]
        known = [each for each in own if each is not None]
        when = [(each.epochs, each.seconds) for each in known if each.epochs is not None]
        if known:
            found[method] = Reached(
                epochs=fmean(epochs for epochs, _ in when) if when else None,
                seconds=fmean(seconds for _, seconds in when) if when else None,
                seeds=len(when),
                of=len(known),
                unknown=len(own) - len(known),
            )
    return found


def _is_whole(one: Summary) -> bool:
    """Whether its history has every epoch: of results that are kept, some have been thinned."""
    epochs = [row["epoch"] for row in one.history]
    return bool(epochs) and epochs == [*range(1, 1 + len(epochs))]


def _selected(baseline: Summary, metric: Metric) -> float:
    """Return the validation metric that a network was selected by."""
    # As the history has it, where it does: old ones are rounded, and compared with the like.
    end = baseline.validation.get(metric.name, math.nan)
    rows = (row for row in baseline.history if row["epoch"] == baseline.best_epoch)
    return next(rows, {}).get(f"validation/{metric.name}", end)


def _first(one: Summary, goal: float, metric: Metric) -> AsGood:
    """Return when a network's validation metric first reached ``goal``."""
    key, seconds = f"validation/{metric.name}", 0.0
    for epochs, row in enumerate(one.history, start=1):
        seconds += row.get("seconds", math.nan)
        value = row.get(key, math.nan)
        if value <= goal if metric.lower_is_better else value >= goal:
            return AsGood(epochs=epochs, seconds=seconds)
    return AsGood()
