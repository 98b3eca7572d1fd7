"""What a sweep found: its trials, the best of each method, and the recipe that has them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import tomlkit
from optuna.trial import FrozenTrial, TrialState

from gkd.evaluation.metric import Metric
from gkd.recipe.domain import Choices, Range
from gkd.recipe.file import RecipeFile
from gkd.sweep.space import Dimension, Space, with_values
from gkd.sweep.study import values_of
from gkd.sweep.trial_progress import best_of
from gkd.sweep.trials import ERROR, SEEDS, Trials

_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class TrialRecord:
    """One trial.

    Args:
        number: from 1; the first has the recipe's own values.
        state: ``"complete"``, ``"pruned"``, ``"failed"`` or ``"running"``.
        value: validation metric, the mean over the seeds; None where it is not complete.
        last: of one that is not, the value that it was left with, if any.
        values: by key; without those that a component's default gives.
        seeds: validation metric by seed.
        error: what kept it from being trained.
        seconds: from its beginning to its end.
    """

    number: int
    state: str
    value: float | None
    last: float | None
    values: dict[str, Any]
    seeds: dict[str, float]
    error: str | None
    seconds: float | None

    @classmethod
    def of(cls, space: Space, trial: FrozenTrial) -> "TrialRecord":
        """Return the record of Optuna's trial."""
        told = trial.intermediate_values
        last = told[max(told)] if told else None
        return cls(
            trial.number + 1,
            _STATES.get(trial.state, "running"),
            trial.value if trial.state == TrialState.COMPLETE else None,
            last if last is not None and math.isfinite(last) else None,
            values_of(space, trial.params),
            trial.user_attrs.get(SEEDS, {}),
            trial.user_attrs.get(ERROR),
            trial.duration.total_seconds() if trial.duration is not None else None,
        )


@dataclass(frozen=True)
class MethodOutcome:
    """What was found for one method.

    Args:
        space: what was tried.
        budget: how many trials it has.
        trials: those that were begun.
        best: the complete one with the best value, the first of equals.
    """

    space: Space
    budget: int
    trials: list[TrialRecord]
    best: TrialRecord | None

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.space.method

    def count(self, state: str) -> int:
        """Return how many trials are in a state."""
        return sum(trial.state == state for trial in self.trials)

    @property
    def finished(self) -> bool:
        """Whether there is no trial left."""
        return len(self.trials) - self.count("running") >= self.budget


@dataclass(frozen=True)
class Outcome:
    """What a sweep found.

    Args:
        file: the recipe, with its own seeds.
        metric: what was searched for.
        methods: what was found for each.
    """

    file: RecipeFile
    metric: Metric
    methods: list[MethodOutcome]

    @classmethod
    def of(cls, file: RecipeFile, trials: Trials) -> "Outcome":
        """Collect it from the trials."""
        found = []
        for method, space in trials.spaces.items():
            begun = trials.begun(method)
            best = best_of(begun, trials.metric)
            found.append(
                MethodOutcome(
                    space,
                    trials.budget(method),
                    [TrialRecord.of(space, trial) for trial in begun],
                    None if best is None else TrialRecord.of(space, best),
                )
            )
        return cls(file, trials.metric, found)

    @property
    def title(self) -> str:
        """What the recipe is called."""
        return self.file.recipe.title or self.file.name

    @property
    def seeds(self) -> Sequence[int]:
        """Seeds of the search."""
        assert self.file.recipe.sweep is not None
        return self.file.recipe.sweep.seeds

    @property
    def complete(self) -> bool:
        """Whether every method has a best trial, and none left."""
        return all(one.finished and one.best is not None for one in self.methods)

    def notes(self) -> Iterator[str]:
        """Say what a reader has to know beside the numbers."""
        budgets = {one.budget for one in self.methods}
        for one in self.methods:
            if not one.space.dimensions:
                yield (
                    f"{one.method}: the space has no key of it, so that it has one trial; a key of "
                    "training, such as training.learning_rate, is tried for every method"
                )
            elif len(budgets) > 1 and one.budget < max(budgets):
                yield f"{one.method}: all {one.budget} points of its space are tried"
            if failed := [trial for trial in one.trials if trial.state == "failed"]:
                yield (
                    f"{one.method}: {len(failed)} of {one.budget} trials could not be trained; "
                    f"trial {failed[0].number}: {failed[0].error}"
                )
            if one.best is not None and (ends := list(_at_ends(one.space, one.best))):
                yield (
                    f"{one.method}: the best trial is at the end of its range in "
                    f"{', '.join(ends)}; a wider one may hold a better"
                )

    def best_recipe(self) -> RecipeFile:
        """Return the recipe in which every method has the values of its best trial."""
        values: dict[Dimension, Any] = {}
        for one in self.methods:
            if one.best is not None and one.best.number > 1:
                values |= {
                    dimension: one.best.values[dimension.key] for dimension in one.space.dimensions
                }
        return with_values(self.file, values, sweep=True)

    def as_json(self) -> dict[str, Any]:
        """Return what ``trials.json`` holds."""
        return {
            "recipe": self.file.name,
            "title": self.title,
            "metric": self.metric.name,
            "lower_is_better": self.metric.lower_is_better,
            "seeds": list(self.seeds),
            "methods": [
                {
                    "method": one.method,
                    "space": {d.key: _written(d.domain) for d in one.space.dimensions},
                    "budget": one.budget,
                    "best": None if one.best is None else one.best.number,
                    "trials": [vars(trial) for trial in one.trials],
                }
                for one in self.methods
            ],
        }


def toml_of(outcome: Outcome) -> str:
    """Write ``best.toml``, with what it is in a comment."""
    recipe = outcome.best_recipe().recipe.model_dump(exclude_none=True)
    seeds = ", ".join(map(str, outcome.seeds))
    return (
        f"# Found by gkd sweep on validation data, with the seeds {seeds}. The seeds below, which\n"
        f"# judge it, are others.\n{tomlkit.dumps(recipe)}"
    )


def _written(domain: Range | Choices) -> Any:
    return str(domain) if isinstance(domain, Range) else list(domain.values)


def _at_ends(space: Space, best: TrialRecord) -> Iterator[str]:
    for one in space.dimensions:
        value = best.values.get(one.key)
        if isinstance(one.domain, Range) and one.domain.size > 2 and value in one.domain.extremes:
            yield one.key
