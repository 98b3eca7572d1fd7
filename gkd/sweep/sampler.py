"""What is tried next: points all over the space first, then where the best may be."""

import math
from collections.abc import Iterator, Sequence
from itertools import cycle
from statistics import median
from typing import Any, TypeAlias

import optuna
import torch
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState
from torch import Tensor
from torch.quasirandom import SobolEngine

from gkd.recipe.domain import Choices, Range
from gkd.sweep.gaussian_process import GaussianProcess, expected_improvement, normal_scores
from gkd.sweep.space import Dimension, Space
from gkd.sweep.study import SPREAD_TRIALS, SURPLUS, distribution, to_optuna, values_of
from gkd.training.seeds import derived_seed

_CANDIDATES = 2048  # of a space that has no end of points; a quarter as many lie near the best
_BEST, _WIDTH = 4, 0.05  # trials to look near, by steps of this size

Point: TypeAlias = dict[str, Any]
"""Values by key."""


class Sampler(BaseSampler):
    """Proposes the recipe's own values, points spread over the space, then the most promising one.

    Spread are the points of a Sobol sequence, scrambled by the seed. What is promising a Gaussian
    process says, from the ranks of the trials before: the largest expected improvement among what
    was not tried yet. A pruned trial counts with the value that it was left with, one that could
    not be trained as the worst, one that another process trains as an average one.

    What it proposes depends on the number of the trial and on those that are finished: a search
    that was interrupted goes on as if it had not been.

    Args:
        space: of the method.
        seed: of the search.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self.space = space
        self.seed = seed
        self.dimensions = {one.key: one for one in space.dimensions}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return all dimensions; of the first trial those that have the recipe's own value."""
        return {
            key: distribution(one)
            for key, one in self.dimensions.items()
            if trial.number > 0 or one.own_is_inside
        }

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Propose a point."""
        if trial.number == 0:
            point = {key: self.dimensions[key].own for key in search_space}
        elif search_space:
            others = [
                other
                for other in study.get_trials(deepcopy=False)
                if other.number != trial.number and not other.user_attrs.get(SURPLUS)
            ]
            point = self._next(trial.number, others, study.direction.name == "MINIMIZE")
        else:
            point = {}
        return {key: to_optuna(self.dimensions[key], value) for key, value in point.items()}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Propose one value that is no dimension's of the space."""
        random = RandomSampler(seed=self._seed(trial.number, param_name))
        return random.sample_independent(study, trial, param_name, param_distribution)

    def _next(self, number: int, others: Sequence[FrozenTrial], minimised: bool) -> Point:
        tried = [self._exact(values_of(self.space, other.params)) for other in others]
        grid = self.space.grid
        left = None if grid is None else [one for one in grid if one not in tried] or grid
        ended = [other for other in others if other.state.is_finished()]
        if number < SPREAD_TRIALS or len(ended) < 2:
            (spread,) = self._spread(number - 1, 1)
            if left is None:
                return spread
            distance = (self._coordinates(left) - self._coordinates([spread])).square().sum(1)
            return left[int(distance.argmin())]
        # The recipe's own value need not be one of those to try.
        inside = [index for index, point in enumerate(tried) if self._is_inside(point)]
        known = [tried[index] for index in inside]
        scores = scores_of([others[index] for index in inside], minimised=minimised)
        points = self._coordinates(known)
        process = GaussianProcess.fit(points, scores)
        best = process.predict(points)[0].max()
        order = scores.argsort(descending=True, stable=True)[:_BEST].tolist()
        candidates = left or [
            *self._spread(number * _CANDIDATES, _CANDIDATES),
            *self._near(number, [known[index] for index in order]),
        ]
        improvement = expected_improvement(*process.predict(self._coordinates(candidates)), best)
        return candidates[int(improvement.argmax())]

    def _exact(self, point: Point) -> Point:
        """Return a point without the rounding of its steps."""
        found = dict(point)
        for key, value in point.items():
            domain = self.dimensions[key].domain
            if isinstance(domain, Range) and math.isfinite(domain.size) and value in domain:
                found[key] = domain.nearest(value)
        return found

    def _is_inside(self, point: Point) -> bool:
        return all(
            key in point and point[key] in one.domain for key, one in self.dimensions.items()
        )

    def _coordinates(self, points: Sequence[Point]) -> Tensor:
        rows = [
            [number for key, one in self.dimensions.items() for number in place(one, point[key])]
            for point in points
        ]
        return torch.tensor(rows, dtype=torch.float64)

    def _spread(self, first: int, count: int) -> Iterator[Point]:
        """Yield points of the Sobol sequence."""
        seed = self._seed(0, "spread")
        sequence: Any = SobolEngine(len(self.dimensions), scramble=True, seed=seed)  # type: ignore[no-untyped-call]
        for row in sequence.fast_forward(first).draw(count, dtype=torch.float64).tolist():
            pairs = zip(self.dimensions.items(), row, strict=True)
            yield {key: value_at(one, share) for (key, one), share in pairs}

    def _near(self, number: int, best: Sequence[Point]) -> Iterator[Point]:
        """Yield points beside good ones: others of every range, the same choices."""
        generator = torch.Generator().manual_seed(self._seed(number, "near"))
        shape = (_CANDIDATES // 4, len(self.dimensions))
        steps = _WIDTH * torch.randn(shape, generator=generator, dtype=torch.float64)
        for row, point in zip(steps.tolist(), cycle(best), strict=False):
            found = dict(point)
            for (key, one), step in zip(self.dimensions.items(), row, strict=True):
                if isinstance(one.domain, Range):
                    (share,) = place(one, point[key])
                    found[key] = value_at(one, min(max(share + step, 0.0), 1.0))
            yield found

    def _seed(self, number: int, purpose: str) -> int:
        return derived_seed(self.seed, "sweep", self.space.method, number, purpose) % 2**32


def place(dimension: Dimension, value: Any) -> list[float]:
    """Return where a value lies: a range from 0 to 1, numbers among choices in their order.

    Other choices are all as far from each other as the ends of a range.
    """
    domain = dimension.domain
    if isinstance(domain, Range):
        low, high, value = (
            math.log(x) if domain.log else x for x in (domain.low, domain.high, value)
        )
        return [(value - low) / (high - low)]
    number = domain.find(value)
    assert number is not None
    if all(isinstance(one, int | float) and not isinstance(one, bool) for one in domain.values):
        return [sorted(domain.values).index(domain.values[number]) / (len(domain.values) - 1)]
    return [math.sqrt(0.5) * (number == other) for other in range(len(domain.values))]


def value_at(dimension: Dimension, share: float) -> Any:
    """Return the value at a place between 0 and 1, where all values have as much room."""
    domain = dimension.domain
    if isinstance(domain, Choices):
        return domain.values[min(int(share * len(domain.values)), len(domain.values) - 1)]
    if math.isfinite(domain.size) and not domain.log:
        step = domain.step or 1
        return domain.low + min(int(share * domain.size), int(domain.size) - 1) * step
    ends = (math.log(end) if domain.log else end for end in (domain.low, domain.high))
    low, high = ends
    value = low + share * (high - low)
    value = math.exp(value) if domain.log else value
    value = min(max(value, domain.low), domain.high)
    return round(value) if domain.integers else value


def scores_of(trials: Sequence[FrozenTrial], *, minimised: bool) -> Tensor:
    """Return how good trials are beside each other, as normal scores of their ranks.

    A pruned trial has the last value that it told, and is no better than half of the complete
    ones, which is why it was pruned; one without a value is the worst; one that runs has 0.
    """
    sign = -1.0 if minimised else 1.0
    complete = [
        sign * one.value
        for one in trials
        if one.state == TrialState.COMPLETE and one.value is not None
    ]
    middle = median(complete) if complete else math.inf
    values: list[float | None] = []
    for one in trials:
        told = one.intermediate_values
        if one.state == TrialState.COMPLETE and one.value is not None:
            values.append(sign * one.value)
        elif not one.state.is_finished():
            values.append(None)
        elif one.state == TrialState.PRUNED and told and math.isfinite(told[max(told)]):
            values.append(min(sign * told[max(told)], middle))
        else:
            values.append(-math.inf)
    scores = torch.zeros(len(values), dtype=torch.float64)
    ended = [index for index, value in enumerate(values) if value is not None]
    scores[ended] = normal_scores(torch.tensor([values[i] for i in ended], dtype=torch.float64))
    return scores
