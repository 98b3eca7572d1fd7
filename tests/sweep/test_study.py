"""What a search proposes: each point of a small space once, the same again, journals that break."""

import json

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gkd.recipe.domain import domain_from
from gkd.sweep.sampler import Sampler
from gkd.sweep.space import Dimension, Space
from gkd.sweep.study import open_storage, suggest, values_of
from gkd.sweep.sweep_directory import SweepDirectory

optuna.logging.set_verbosity(optuna.logging.ERROR)

DOMAINS = [
    ["rbf", "linear", {"name": "poly"}],
    [1, 10],
    "1..4",
    "0.1..0.4 step 0.1",
    "2..9 step 3",
    "1..5 log",
]
SMALL = st.lists(st.sampled_from(DOMAINS), min_size=1, max_size=2)


def space_of(domains, own=None):
    dimensions = []
    for number, written in enumerate(domains):
        domain = domain_from(written)
        value = domain.extremes[0] if own is None else own
        dimensions.append(Dimension(f"key{number}", (), domain, value, ""))
    return Space("method", tuple(dimensions))


def go_on(study, space, until, seed=0):
    """Search on, by a sampler that knows nothing of before, as after a resumption."""
    study.sampler = Sampler(space, seed)
    while len(study.trials) < until:
        trial = study.ask()
        for dimension in space.dimensions:
            if trial.number > 0 or dimension.own_is_inside:
                suggest(trial, dimension)
        values = values_of(space, trial.params)
        study.tell(trial, len(json.dumps(values)) + trial.number % 3)
    return [values_of(space, trial.params) for trial in study.trials]


@settings(max_examples=15)
@given(SMALL, st.integers(0, 3))
def test_a_small_space_is_proposed_point_by_point(domains, seed):
    space = space_of(domains)
    proposed = go_on(optuna.create_study(), space, int(space.size), seed)
    assert proposed[0] == {one.key: one.own for one in space.dimensions}
    told = [json.dumps(point, sort_keys=True) for point in proposed]
    assert len(set(told)) == space.size
    assert all(point[one.key] in one.domain for point in proposed for one in space.dimensions)


@pytest.mark.parametrize("domains", [["1e-4..0.1 log", "1..9"], ["0.0..1.0", ["a", "b"]]])
def test_the_same_is_proposed_wherever_a_search_was_cut_off(domains):
    space = space_of(domains)
    whole = go_on(optuna.create_study(), space, 12)
    cut = optuna.create_study()
    for until in (1, 3, 7, 12):
        pieces = go_on(cut, space, until)
    assert pieces == whole
    assert go_on(optuna.create_study(), space, 12, seed=1) != whole


def test_a_value_of_the_recipe_outside_of_the_space_is_tried_first_all_the_same():
    space = space_of([[1, 10, 100]], own=5)
    assert space.size == 4
    proposed = go_on(optuna.create_study(), space, 4)
    assert proposed[0] == {"key0": 5}
    assert sorted(point["key0"] for point in proposed) == [1, 5, 10, 100]


def test_a_search_stays_where_it_is_good():
    space = space_of(["1e-4..1.0 log"])
    study = optuna.create_study(direction="maximize", sampler=Sampler(space, 0))
    for _ in range(20):
        trial = study.ask()
        suggest(trial, space.dimensions[0])
        study.tell(trial, -abs(trial.params["key0"] - 0.03))
    late = [abs(trial.params["key0"] - 0.03) for trial in study.trials[8:]]
    # One in six of all values, by their logarithms: of 12 at random, 2 ± 1.3.
    assert sum(distance < 0.02 for distance in late) > 7


def test_half_a_line_of_the_journal_is_dropped(tmp_path):
    directory = SweepDirectory(tmp_path)
    space = space_of(["1..4"])
    study = optuna.create_study(storage=open_storage(directory), study_name="one")
    go_on(study, space, 2)
    with directory.journal.open("ab") as file:
        file.write(b'{"op_code": 4, "worker_id"')
    again = optuna.load_study(
        study_name="one", storage=open_storage(directory), sampler=Sampler(space, 0)
    )
    assert len(go_on(again, space, 3)) == 3
    assert len(optuna.load_study(study_name="one", storage=open_storage(directory)).trials) == 3
