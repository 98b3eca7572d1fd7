"""``gkd sweep``: equal budgets, validation data only, resumed as if nothing had happened."""

import json
from io import StringIO
from statistics import fmean

import pytest
from long_tests import LONG
from optuna.trial import TrialState, create_trial
from rich.console import Console

from gkd.cache.teacher_cache import TeacherCache
from gkd.errors import RecipeError
from gkd.evaluation.metric import Metric
from gkd.hosting.host import create_host
from gkd.recipe.file import read_recipe
from gkd.sweep.sweep_report import write_outcome
from gkd.sweep.trial_progress import best_of
from gkd.training.devices import Devices
from gkd.training.failures import FailedNetworks
from gkd.training.process_pool import ProcessPool
from gkd.training.recipe_run import open_run

pytestmark = pytest.mark.usefixtures("quick_latency")


def found(outcome):
    """All that a sweep found but how long it took."""
    content = outcome.as_json()
    for method in content["methods"]:
        for trial in method["trials"]:
            del trial["seconds"]
    return content


def test_every_method_has_the_same_budget_and_the_first_trial_is_the_recipes(
    opened, tmp_path, plugin
):
    heard = Console(file=StringIO(), width=300)
    sweep = opened(console=heard)
    outcome = sweep.search()  # the data set's test split raises when it is touched
    assert [(one.method, len(one.trials)) for one in outcome.methods] == [
        ("baseline", 6),
        ("mapped", 6),
    ]
    assert outcome.complete
    for one in outcome.methods:
        first = one.trials[0]
        assert first.state == "complete"
        assert first.values["training.learning_rate"] == 0.05
        assert [trial.number for trial in one.trials] == list(range(1, 7))
        for trial in one.trials:
            assert 1e-3 <= trial.values["training.learning_rate"] <= 0.5
            if trial.state == "complete":
                assert set(trial.seeds) == {"100", "101"}
                assert trial.value == pytest.approx(fmean(trial.seeds.values()))
                assert trial.value <= one.best.value
        assert one.best.state == "complete"
    mapped = outcome.methods[1]
    assert mapped.trials[0].values["methods.mapped.terms.0.weight"] == 2.0
    weights = [trial.values["methods.mapped.terms.0.weight"] for trial in mapped.trials]
    assert all(weight in (0.5, 2.0, {"gradient_share": 0.3}) for weight in weights)
    lines = heard.file.getvalue().splitlines()
    assert sum(" trials done, " in line for line in lines) == 12
    assert lines[-1].endswith("12 of 12 trials done, 0 left")
    folder = sweep.directory.folder
    summary = json.loads((folder / "teacher" / "summary.json").read_text())
    assert "test" not in summary
    assert not list((folder / "trials").rglob("*.ckpt"))

    write_outcome(outcome, folder)
    assert json.loads((folder / "trials.json").read_text()) == json.loads(
        json.dumps(outcome.as_json())
    )
    page = (folder / "report.html").read_text()
    assert "Content-Security-Policy" in page
    assert "methods.mapped.terms.0.weight" in page
    assert page.count("<svg") == 1

    # What was found trains, with the seeds of the verdict, and is what the trials were.
    best = read_recipe(folder / "best.toml", ["dataset.name=blobs", "seeds=[0]"])
    assert best.recipe.seeds == [0]
    chosen = {method.name: method for method in best.recipe.methods}
    for one in outcome.methods:
        rate = best.recipe.training_of(chosen[one.method]).learning_rate
        assert rate == one.best.values["training.learning_rate"]
    weight = mapped.best.values["methods.mapped.terms.0.weight"]
    assert chosen["mapped"].terms[0].weight == weight
    host = create_host(discover=False)
    host.register(plugin)
    run = open_run(best, host, Devices("cpu"), Console(quiet=True), out=tmp_path / "run")
    run.train()
    for method, one in chosen.items():
        rows = (run.directory.student(method, 0) / "metrics.csv").read_text().splitlines()
        column = rows[0].split(",").index("learning_rate")
        assert float(rows[1].split(",")[column]) == best.recipe.training_of(one).learning_rate


def test_an_interrupted_sweep_resumed_equals_one_that_was_not(opened, plugin):
    settings = ("sweep.trials=7", "sweep.seeds=[100]")
    whole = opened(*settings, out="whole").search()
    for step in (6 + 10, 60):  # in the second epoch of a trial; when the search has begun to learn
        plugin.events.clear()
        plugin.interrupt_at = step
        with pytest.raises(KeyboardInterrupt):
            opened(*settings, out="cut", resume=step > 16).search()
    plugin.interrupt_at = None
    assert found(opened(*settings, out="cut", resume=True).search()) == found(whole)


def test_a_teacher_answers_once_for_all_trials(opened, monkeypatch):
    asked, run_and_keep = [], TeacherCache._run_and_keep

    def counted(self, *rest):
        asked.append(self.folder)
        return run_and_keep(self, *rest)

    monkeypatch.setattr(TeacherCache, "_run_and_keep", counted)
    mapped = opened("sweep.trials=3", "sweep.pruning=false").search().methods[1]
    assert [one.state for one in mapped.trials] == ["complete"] * 3
    batches = [folder for folder in asked if folder is not None]  # that of the dry run has none
    assert len(batches) == 3
    alone = opened("sweep.trials=1", out="alone").search().methods[1]
    assert alone.trials[0].value == mapped.trials[0].value


def test_the_students_parameters_are_searched_for_every_method(opened, tmp_path, plugin):
    settings = ("sweep.trials=2", "sweep.pruning=false")
    space = ("student.params.dropout=[0.3, 0.0]",)
    outcome = opened(*settings, "sweep.space={}", space=space).search()
    for one in outcome.methods:
        assert [trial.values for trial in one.trials] == [
            {"student.params.dropout": 0.3},
            {"student.params.dropout": 0.0},
        ]
        assert one.trials[0].value != one.trials[1].value
    folder = tmp_path / "sweep"
    write_outcome(outcome, folder)
    best = read_recipe(folder / "best.toml").recipe
    expected = [one.best.values["student.params.dropout"] for one in outcome.methods]
    found = [{"dropout": 0.3, **(one.student_params or {})}["dropout"] for one in best.methods]
    assert found == expected


def test_a_student_of_another_size_is_refused(opened):
    with pytest.raises(RecipeError, match=r"33 parameters, and 83 with .*one size"):
        opened("sweep.space={}", space=("student.params.width=[3, 8]",)).search()


def test_teachers_of_other_sizes_are_trained_once_each(opened, plugin, tmp_path):
    settings = ("sweep.trials=4", "sweep.seeds=[100]", "sweep.pruning=false", "sweep.space={}")
    space = ("teacher.params.width=[8, 5]", "methods.mapped.terms.0.weight=[2.0, 1.0]")
    sweep = opened(*settings, space=space)
    outcome = sweep.search()
    mapped = outcome.methods[1]
    assert [one.state for one in mapped.trials] == ["complete"] * 4
    folder = sweep.directory.folder
    summaries = [folder / "teacher" / "summary.json", *folder.glob("teachers/*/summary.json")]
    assert [json.loads(one.read_text())["parameters"] for one in summaries] == [83, 53]
    by_values = {tuple(one.values.values()): one.value for one in mapped.trials}
    assert len(by_values) == 4
    alone = opened(*settings, "teacher.params.width=5", space=space[1:], out="alone").search()
    for one in alone.methods[1].trials:
        assert by_values[5, one.values["methods.mapped.terms.0.weight"]] == one.value
    write_outcome(outcome, folder)
    best = read_recipe(folder / "best.toml").recipe
    assert best.teacher.params["width"] == mapped.best.values["teacher.params.width"]


def test_more_trials_go_on_from_those_that_are_there(opened, plugin, tmp_path):
    few = opened("sweep.trials=2").search()
    plugin.events.clear()
    # Also by the recipe that the folder has, under another name.
    recipe = tmp_path / "sweep" / "sweep.toml"
    more = opened("sweep.trials=3", resume=True, recipe=recipe).search()
    for one, other in zip(few.methods, more.methods, strict=True):
        assert other.trials[:2] == one.trials
        assert len(other.trials) == 3
    assert len({(epoch, step) for epoch, step, _ in plugin.events}) == 6  # no more than a trial's


def test_the_best_trial_is_that_of_the_metrics_own_direction():
    trials = [create_trial(value=value) for value in (2.0, 1.0, 3.0, 1.0)]
    trials.append(create_trial(state=TrialState.PRUNED, intermediate_values={0: 0.0}))
    assert best_of(trials, Metric("mae", higher_is_better=False, share=False)) is trials[1]
    assert best_of(trials, Metric("accuracy")) is trials[2]
    assert best_of(trials[4:], Metric("accuracy")) is None


@LONG
def test_two_processes_share_the_trials_and_one_that_is_killed_leaves_its_own(opened, plugin):
    settings = ("sweep.trials=2", "sweep.pruning=false")
    plugin.fatal.touch()
    heard = Console(file=StringIO(), width=300)
    outcome = opened(*settings, console=heard, executor=ProcessPool(2, threads=1)).search()
    assert "was killed by SIGKILL" in heard.file.getvalue()
    assert [one.count("complete") for one in outcome.methods] == [2, 2]
    serial = opened(*settings, out="serial").search()
    for one, other in zip(outcome.methods, serial.methods, strict=True):
        assert one.trials[0].seeds == other.trials[0].seeds


def test_workers_with_folders_of_their_own_share_a_database(opened, tmp_path, plugin):
    url = f"sqlite:///{tmp_path / 'trials.db'}"
    settings = ("sweep.trials=3",)
    plugin.interrupt_at = 6 + 2 * 6 + 5  # in the second trial
    with pytest.raises(KeyboardInterrupt):
        opened(*settings, out="one", storage=url).search()
    plugin.interrupt_at = None
    other = opened(*settings, out="other", storage=url).search()
    assert not other.complete  # the trial that was cut off is the first worker's
    assert sum(one.count("running") for one in other.methods) == 1
    both = opened(*settings, out="one", storage=url, resume=True).search()
    assert both.complete
    assert [len(one.trials) for one in both.methods] == [3, 3]


def test_hopeless_trials_end_early(opened):
    rates = [0.3, 0.2, 0.1, 0.07, 0.05, 0.03, 0.02, 1e-9, 2e-9, 3e-9]
    settings = ("sweep.trials=10", "sweep.seeds=[100]", "training.epochs=3", "sweep.space={}")
    outcome = opened(*settings, space=(f"training.learning_rate={rates}",)).search()
    for one in outcome.methods:
        tried = [trial.values["training.learning_rate"] for trial in one.trials]
        assert sorted(tried) == sorted(rates)
        pruned = [trial for trial in one.trials if trial.state == "pruned"]
        assert {trial.values["training.learning_rate"] for trial in pruned} & set(rates[-3:])
        for trial in pruned:
            others = [other.value for other in one.trials[: trial.number] if other.value]
            assert trial.number > 5
            assert trial.value is None
            assert trial.last < max(others)


def test_a_small_space_is_tried_once(opened):
    outcome = opened(
        "sweep.trials=9",
        "training.epochs=1",
        "sweep.space={}",
        space=("methods.mapped.terms.0.weight=[1, 2, {gradient_share = 0.3}]",),
    ).search()
    baseline, mapped = outcome.methods
    assert len(baseline.trials) == 1
    weights = [trial.values["methods.mapped.terms.0.weight"] for trial in mapped.trials]
    assert weights[0] == 2
    assert sorted(weights, key=str) == [1, 2, {"gradient_share": 0.3}]
    notes = list(outcome.notes())
    assert any("has one trial" in note for note in notes)


def test_trials_that_fail_are_reported_and_do_not_keep_the_others(opened, tmp_path):
    limits = '["none", "error", "nan"]'
    settings = ("methods.mapped.terms.0.loss=fragile", "sweep.space={}")
    settings += ("methods.mapped.terms.0.params={limit = 'none'}", "sweep.seeds=[100]")
    space = (f"methods.mapped.terms.0.params.limit={limits}",)
    outcome = opened(*settings, space=space).search()
    mapped = outcome.methods[1]
    states = {t.values["methods.mapped.terms.0.params.limit"]: t for t in mapped.trials}
    assert states["none"].state == "complete"
    assert states["error"].state == "failed"
    assert "fragile: broken" in states["error"].error
    assert states["nan"].state == "pruned"
    assert mapped.best.number == 1
    assert any("1 of 3 trials could not be trained" in note for note in outcome.notes())
    write_outcome(outcome, tmp_path / "sweep")
    assert "fragile: broken" in (tmp_path / "sweep" / "table.md").read_text()


def test_a_sweep_goes_on_with_its_own_data_and_recipe_alone(opened):
    settings = ("sweep.trials=1", "training.epochs=1")
    opened(*settings).search()
    with pytest.raises(RecipeError, match=r"training\.batch_size was 2, is 3"):
        opened(*settings, "training.batch_size=3", resume=True)
    with pytest.raises(RecipeError, match="already there; add --resume"):
        opened(*settings)
    with pytest.raises(RecipeError, match="leave --storage out"):
        opened(*settings, resume=True, storage="sqlite://").search()
    with pytest.raises(RecipeError, match=r"--storage nonsense: cannot be used.*sqlite:///"):
        opened(*settings, out="other", storage="nonsense").search()


def test_the_space_is_tried_before_anything_is_trained(opened, tmp_path, plugin):
    sweep = opened(space=('methods.mapped.terms.0.student=["hidden", "hiden"]',))
    with pytest.raises(RecipeError, match="did you mean 'hidden'") as caught:
        sweep.search()
    assert "--space methods.mapped.terms.0.student" in str(caught.value)
    assert not (tmp_path / "sweep").exists()
    assert plugin.events == []


def test_a_teacher_that_cannot_be_trained_ends_the_sweep(opened, monkeypatch):
    def broken(self, job):
        raise RecipeError("broken")

    monkeypatch.setattr("gkd.training.networks.Networks._train_teacher", broken)
    with pytest.raises(FailedNetworks, match="teacher: broken"):
        opened().search()
