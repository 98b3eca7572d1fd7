"""The search on Optuna: a study for each method, what it may try, and where it is kept."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.storages import BaseStorage, JournalStorage, get_storage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import Trial

from gkd.errors import RecipeError
from gkd.recipe.domain import Choices, label
from gkd.recipe.model import Recipe
from gkd.recipe.sections import SweepRecipe
from gkd.sweep.space import Dimension, Space
from gkd.sweep.sweep_directory import SweepDirectory

SPREAD_TRIALS = 5
"""Trials before the search believes in what it has seen, and before any is pruned."""

SURPLUS = "surplus"
"""Attribute of a trial that two processes began at once, when only one was left."""


def distribution(dimension: Dimension) -> BaseDistribution:
    """Return a dimension as Optuna knows it; choices go by their labels."""
    domain = dimension.domain
    if isinstance(domain, Choices):
        return CategoricalDistribution(list(map(label, domain.values)))
    if domain.integers:
        first, step = int(domain.low), int(domain.step or 1)
        last = first + (int(domain.size) - 1) * step
        return IntDistribution(first, last, log=domain.log, step=step)
    high = domain.high if domain.step is None else domain.low + (domain.size - 1) * domain.step
    return FloatDistribution(domain.low, high, log=domain.log, step=domain.step)


def suggest(trial: Trial, dimension: Dimension) -> None:
    """Let a trial have a value of a dimension; one that it has already stays."""
    one = distribution(dimension)
    if isinstance(one, CategoricalDistribution):
        trial.suggest_categorical(dimension.key, one.choices)
    elif isinstance(one, IntDistribution):
        trial.suggest_int(dimension.key, one.low, one.high, step=one.step, log=one.log)
    elif isinstance(one, FloatDistribution):
        trial.suggest_float(dimension.key, one.low, one.high, step=one.step, log=one.log)


def to_optuna(dimension: Dimension, value: Any) -> Any:
    """Return a value of a domain as Optuna knows it."""
    if not isinstance(dimension.domain, Choices):
        return value
    number = dimension.domain.find(value)
    assert number is not None
    return label(dimension.domain.values[number])


def from_optuna(dimension: Dimension, value: Any) -> Any:
    """Return a value as the recipe has it."""
    if not isinstance(dimension.domain, Choices):
        return value
    return next(one for one in dimension.domain.values if label(one) == value)


def values_of(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a trial by key, those of the recipe where it has none of its own.

    What is a component's default there is left out.
    """
    found = {}
    for one in space.dimensions:
        if one.key in params:
            found[one.key] = from_optuna(one, params[one.key])
        elif one.has_own:
            found[one.key] = one.own
    return found


def pruner(sweep: SweepRecipe, epochs: int) -> BasePruner:
    """Return what ends trials below the median of the others, after a third of the epochs."""
    return MedianPruner(SPREAD_TRIALS, epochs // 3) if sweep.pruning else NopPruner()


class JournalLock(JournalFileSymlinkLock):
    """A lock that the system takes away from a process that ends, however it ends.

    Optuna's own stays, and keeps the others waiting.

    Args:
        journal: file whose lines are written by one process at a time.
    """

    def __init__(self, journal: Path) -> None:
        super().__init__(str(journal))
        self.lock = FileLock(f"{journal}.lock")

    def acquire(self) -> bool:
        """Wait for the lock."""
        self.lock.acquire()
        return True

    def release(self) -> None:
        """Give it back."""
        self.lock.release()


def _drop_half_a_line(journal: Path) -> None:
    """Remove what a full disk or a lost power left of a line: the next one would end it."""
    if journal.exists() and (content := journal.read_bytes()) and not content.endswith(b"\n"):
        with journal.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


def open_storage(directory: SweepDirectory) -> BaseStorage:
    """Open what keeps the trials.

    Raises:
        RecipeError: there is no such database, or it cannot be used.
    """
    if directory.storage is None:
        lock = JournalLock(directory.journal)
        lock.acquire()
        try:
            _drop_half_a_line(directory.journal)
        finally:
            lock.release()
        return JournalStorage(JournalFileBackend(str(directory.journal), lock))
    try:
        return get_storage(directory.storage)
    except Exception as error:  # of the database and its driver, anything
        words = str(error).splitlines() or [type(error).__name__]
        raise RecipeError(
            f"--storage {directory.storage}: cannot be used: {words[0]}; expected a URL such as "
            "sqlite:///trials.db or postgresql://USER@HOST/DATABASE"
        ) from error


def study_name(recipe: Recipe, method: str) -> str:
    """Return the name of a method's study: another one for every recipe that differs.

    Where its file and its data lie, and how many trials there are to be, makes no difference.
    """
    data = recipe.model_dump(exclude={"dataset": True, "sweep": {"trials"}, "teacher": {"weights"}})
    for one in data["methods"]:
        if one["student_params"] is None:  # which searches of before have nothing of
            del one["student_params"]
    text = json.dumps(data, sort_keys=True, default=str)
    return f"gkd-{hashlib.sha256(text.encode()).hexdigest()[:16]}:{method}"
