"""Where a search looks next, and what it believes of what it has seen."""

import math

import optuna
import pytest
import torch
from optuna.trial import TrialState, create_trial

from gkd.recipe.domain import domain_from
from gkd.sweep.gaussian_process import GaussianProcess, expected_improvement, normal_scores
from gkd.sweep.sampler import Sampler, place, scores_of, value_at
from gkd.sweep.space import Dimension, Space
from gkd.sweep.study import SPREAD_TRIALS, suggest, values_of

optuna.logging.set_verbosity(optuna.logging.ERROR)


def dimension(written: object, own: object = None, key: str = "key") -> Dimension:
    domain = domain_from(written)
    return Dimension(key, (), domain, domain.extremes[0] if own is None else own, "")


def matern(first: list[float], second: list[float], lengths: list[float]) -> float:
    squares = [((a - b) / length) ** 2 for a, b, length in zip(first, second, lengths, strict=True)]
    r = math.sqrt(5 * sum(squares))
    return (1 + r + r * r / 3) * math.exp(-r)


def test_a_process_predicts_as_the_formulas_say():
    points = [[0.1, 0.9], [0.4, 0.2], [0.8, 0.6]]
    values, at = [0.3, -1.0, 0.7], [0.5, 0.5]
    process = GaussianProcess.fit(
        torch.tensor(points, dtype=torch.float64), torch.tensor(values, dtype=torch.float64)
    )
    lengths = process.lengths.tolist()
    whole = process.factor @ process.factor.T
    noise = whole[0, 0].item() - 1
    covariance = torch.tensor(
        [
            [matern(a, b, lengths) + noise * (i == j) for j, b in enumerate(points)]
            for i, a in enumerate(points)
        ],
        dtype=torch.float64,
    )
    across = torch.tensor([matern(at, b, lengths) for b in points], dtype=torch.float64)
    inverse = torch.linalg.inv(covariance)
    mean, deviation = process.predict(torch.tensor([at], dtype=torch.float64))
    expected = across @ inverse @ torch.tensor(values, dtype=torch.float64)
    assert mean.item() == pytest.approx(expected.item(), abs=1e-6)
    variance = 1 - (across @ inverse @ across).item()
    assert deviation.item() == pytest.approx(math.sqrt(variance), abs=1e-6)


def test_a_process_learns_which_dimension_matters_and_how_noisy_values_are():
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(40, 2, generator=generator, dtype=torch.float64)
    wave = torch.sin(9 * points[:, 0])
    quiet = GaussianProcess.fit(points, wave)
    assert quiet.lengths[1] > 3 * quiet.lengths[0]
    noisy = wave + torch.randn(40, generator=generator, dtype=torch.float64)
    loud = GaussianProcess.fit(points, noisy)
    assert (loud.factor @ loud.factor.T)[0, 0] > (quiet.factor @ quiet.factor.T)[0, 0] + 0.05


def test_improvement_is_the_integral_over_what_is_better():
    steps = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    density = torch.exp(-steps.square() / 2) / math.sqrt(2 * math.pi)
    for mean, deviation, best in ((0.2, 0.5, 0.4), (-1.0, 2.0, 1.0), (3.0, 0.1, 1.0)):
        values = mean + deviation * steps
        expected = torch.trapezoid((values - best).clamp(min=0) * density, steps)
        found = expected_improvement(*map(torch.tensor, (mean, deviation, best)))
        assert found.item() == pytest.approx(expected.item(), abs=1e-5)


def test_scores_are_of_ranks_and_the_same_in_every_unit():
    values = torch.tensor([3.0, -math.inf, 5.0, 3.0])
    scores = normal_scores(values)
    assert scores[0] == scores[3]
    assert scores[1] < scores[0] < scores[2]
    assert torch.equal(scores, normal_scores(values.exp()))
    assert scores.sum().item() == pytest.approx(0, abs=1e-9)


def test_trials_are_judged_by_what_became_of_them():
    def trial(state, value=None, told=()):
        told = dict(enumerate(told))
        return create_trial(state=state, value=value, intermediate_values=told)

    trials = [
        trial(TrialState.COMPLETE, 0.9),
        trial(TrialState.COMPLETE, 0.7),
        trial(TrialState.COMPLETE, 0.5),
        trial(TrialState.PRUNED, told=(0.1, 0.6)),
        trial(TrialState.PRUNED, told=(0.8,)),  # no better than the median of the complete ones
        trial(TrialState.PRUNED, told=(math.nan,)),
        trial(TrialState.FAIL),
        trial(TrialState.RUNNING),
    ]
    scores = scores_of(trials, minimised=False).tolist()
    assert scores[0] > scores[1] == scores[4] > scores[3] > scores[2] > scores[5] == scores[6]
    assert scores[7] == 0
    down = scores_of(trials[:3], minimised=True).tolist()
    assert down[0] < down[1] < down[2]


@pytest.mark.parametrize(
    ("written", "value", "expected"),
    [
        ("0.01..1.0 log", 0.1, [0.5]),
        ("2..6 step 2", 4, [0.5]),
        ([0.001, 1.0, 0.01], 0.01, [0.5]),
        (["a", "b"], "b", [0.0, math.sqrt(0.5)]),
        ([True, False], True, [math.sqrt(0.5), 0.0]),
    ],
)
def test_values_lie_in_the_unit_cube(written, value, expected):
    assert place(dimension(written), value) == pytest.approx(expected)


@pytest.mark.parametrize(
    "written", ["0.01..1.0 log", "1..5", "1..64 log", "2..6 step 2", [1, 3, 2], ["a", "b"]]
)
def test_places_give_values_of_the_domain_all_of_them(written):
    one = dimension(written)
    found = [value_at(one, share / 2000) for share in range(2000)]
    assert all(value in one.domain for value in [*found, value_at(one, 1.0)])
    if math.isfinite(one.domain.size):
        assert len({str(value) for value in found}) == one.domain.size


def search(space: Space, seed: int, budget: int, value) -> list[float]:
    study = optuna.create_study(direction="maximize", sampler=Sampler(space, seed))
    for _ in range(budget):
        trial = study.ask()
        for one in space.dimensions:
            suggest(trial, one)
        study.tell(trial, value(values_of(space, trial.params)))
    return [trial.value for trial in study.trials]


def test_the_first_trials_lie_all_over_the_space():
    keys = ("a", "b")
    space = Space("method", tuple(dimension("0.0..1.0", key=key) for key in keys))
    for seed in range(3):
        study = optuna.create_study(sampler=Sampler(space, seed))
        for _ in range(SPREAD_TRIALS):
            trial = study.ask()
            for one in space.dimensions:
                suggest(trial, one)
            study.tell(trial, 0.0)
        quarters = {tuple(trial.params[key] > 0.5 for key in keys) for trial in study.trials[1:]}
        assert len(quarters) == 4


def test_a_third_of_a_grid_is_enough_where_its_values_hang_together():
    grid = [float(number) for number in range(6)]
    space = Space("method", (dimension(grid, key="a"), dimension(grid, key="b")))

    def value(point):
        a, b = point["a"], point["b"]
        return -((a - 3.6) ** 2) - 0.5 * (b - 1.2) ** 2 - 1e6 * (a == 5)  # where it diverges

    best = max(value({"a": a, "b": b}) for a in grid for b in grid)
    found = [max(search(space, seed, 12, value)) for seed in range(5)]
    assert sum(one == best for one in found) >= 4


def test_a_range_is_searched_to_its_depth():
    space = Space("method", (dimension("1e-4..1.0 log", key="a"), dimension("0.0..1.0", key="b")))

    def value(point):
        return -abs(math.log10(point["a"]) + 2.3) - abs(point["b"] - 0.7)

    assert max(search(space, 0, 20, value)) > -0.15
