"""The line that says after each trial what it gave, what is left, and how long that takes."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from statistics import fmean

from optuna.trial import FrozenTrial, TrialState

from gkd.evaluation.formats import metric_value
from gkd.evaluation.metric import Metric


def best_of(trials: Sequence[FrozenTrial], metric: Metric) -> FrozenTrial | None:
    """Return the trial with the best value, the first of equals; None where none is complete."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    sign = -1 if metric.lower_is_better else 1
    return max(complete, key=lambda trial: sign * (trial.value or 0.0), default=None)


def progress_line(
    method: str,
    number: int,
    trials: Mapping[str, Sequence[FrozenTrial]],
    budgets: Mapping[str, int],
    metric: Metric,
) -> str:
    """Write what the trial of a method gave, and what is left of all methods.

    Args:
        method: of the trial.
        number: of the trial.
        trials: those that were begun, by method.
        budgets: how many there are to be, by method.
        metric: what is searched for.
    """
    (trial,) = [one for one in trials[method] if one.number == number]
    best = best_of(trials[method], metric)
    ends = {TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    what = ends.get(trial.state) or metric_value(metric, trial.value or 0.0)
    known = "" if best is None or best.value is None else metric_value(metric, best.value)
    best_words = f" (best {known}, trial {best.number + 1})" if best is not None else ""
    every = [one for of_method in trials.values() for one in of_method]
    done, total = sum(one.state.is_finished() for one in every), sum(budgets.values())
    seconds = [one.duration.total_seconds() for one in every if one.duration is not None]
    # Each running one is a process's, beside this one's.
    workers = 1 + sum(one.state == TrialState.RUNNING for one in every)
    left = ""
    if done < total and seconds:
        time = timedelta(seconds=round(fmean(seconds) * (total - done) / workers))
        left = f", about {time}"
    return (
        f"{method} trial {number + 1}/{budgets[method]}: {what}{best_words}; "
        f"{done} of {total} trials done, {total - done} left{left}"
    )
