"""A recipe from its first check to the folder it leaves."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from tiny_plugin import Blobs
from torchmetrics.functional.classification import multiclass_calibration_error

from gkd.data import Sample, collate
from gkd.errors import DataError, RecipeError, TapError
from gkd.recipe.file import read_recipe
from gkd.report.results import run_results, undecided_methods
from gkd.training.experiment import Experiment
from gkd.training.network_training import origin_of

METHODS = ("baseline", "mapped")


def summary(run, *place):
    return json.loads(run.directory.folder.joinpath(*place, "summary.json").read_text())


def test_leaves_everything_needed_to_judge_and_repeat_it(opened):
    run = opened("training.validate_every=2")
    run.train()
    folder = run.directory.folder
    assert read_recipe(folder / "recipe.toml").recipe == run.file.recipe
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["seeds"] == [0, 1]
    assert environment["classes"] == Blobs().num_classes
    assert environment["versions"]["torch"] == torch.__version__
    networks = [("teacher",)]
    networks += [("students", method, f"seed-{seed}") for method in METHODS for seed in (0, 1)]
    for place in networks:
        names = {path.name for path in folder.joinpath(*place).iterdir()}
        expected = {"best.ckpt", "last.ckpt", "metrics.csv", "weights.safetensors", "summary.json"}
        assert expected <= names
        assert not [name for name in names if name.endswith("partial")]
    found = summary(run, "students", "mapped", "seed-1")
    assert (found["network"], found["method"], found["seed"]) == ("student", "mapped", 1)
    assert found["parameters"] == 4 * 3 + 3 + 3 + 3 + 3 * 3 + 3
    assert found["epochs"] == 5
    assert found["selection"] == "the epoch with the best validation accuracy"
    assert set(found["test"]) == {"accuracy", "mean_class_accuracy"}


def test_networks_that_are_alike_are_timed_once_when_all_are_trained(opened, monkeypatch):
    run = opened("methods.1.student_params={dropout=0.1}", "training.epochs=1")
    run.train()
    path = run.directory.folder / "latency.json"
    measured = json.loads(path.read_text())["networks"]
    assert [one["methods"] for one in measured] == [["teacher"], ["baseline"], ["mapped"]]
    for one in measured:
        assert set(one["requests"]) == {"first", "again"}
        assert 0 < one["requests"]["again"]["p50"] <= one["requests"]["again"]["p99"]
    rows = run_results(run.directory.folder).rows
    times = [row.milliseconds_per_sample for row in rows]
    assert times == [one["requests"]["again"]["p50"] for one in measured]
    monkeypatch.setattr("gkd.training.latency_file.latencies", None)  # not again
    opened("methods.1.student_params={dropout=0.1}", "training.epochs=1", resume=True).train()


def test_history_has_losses_weights_and_validation_when_due(opened):
    run = opened("training.validate_every=2", "seeds=[0]")
    run.train()
    history = summary(run, "students", "mapped", "seed-0")["history"]
    assert [row["epoch"] for row in history] == list(range(1, 6))
    validated = [row["epoch"] for row in history if "validation/accuracy" in row]
    assert validated == [2, 4, 5]
    for row in history:
        assert row["weight/mapped"] == 2.0
        assert row["loss"] == pytest.approx(row["task"] + 2.0 * row["term/mapped"], rel=1e-5)
    rates = [row["learning_rate"] for row in history]
    assert rates[0] == 0.05
    assert rates == sorted(rates, reverse=True)
    table = run.directory.folder / "students" / "mapped" / "seed-0" / "metrics.csv"
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [float(row["loss"]) for row in rows] == [row["loss"] for row in history]
    assert rows[0]["validation/accuracy"] == ""


def test_weights_are_those_of_the_best_epoch_on_validation(opened, host):
    run = opened("seeds=[0]", "training.epochs=8", "training.learning_rate=0.5")
    run.train()
    found = summary(run, "students", "baseline", "seed-0")
    scores = [row["validation/accuracy"] for row in found["history"]]
    assert found["best_epoch"] == 1 + max(range(8), key=lambda epoch: (scores[epoch], epoch))
    assert found["validation"]["accuracy"] == max(scores)
    experiment = Experiment(run.file, host)
    network = experiment.student(0)
    network.load_state_dict(
        load_file(run.directory.folder / "students/baseline/seed-0/weights.safetensors")
    )
    for split in ("validation", "test"):
        samples = getattr(experiment.dataset, split)
        with torch.no_grad():
            hits = [network.eval()(sample.x).argmax(1).eq(sample.y).float() for sample in samples]
        assert found[split]["accuracy"] == pytest.approx(float(torch.cat(hits).mean()))


def test_methods_of_a_seed_start_equal_and_seeds_differ(opened, host):
    experiment = Experiment(opened().file, host)
    first, again, other = (experiment.student(seed) for seed in (0, 0, 1))
    assert torch.equal(first.out.weight, again.out.weight)
    assert not torch.equal(first.out.weight, other.out.weight)


def test_a_method_of_weight_zero_trains_like_the_baseline(opened):
    run = opened("methods.mapped.terms.0.weight=0.0", "seeds=[0]")
    run.train()
    baseline, mapped = (
        load_file(run.directory.student(method, 0) / "weights.safetensors") for method in METHODS
    )
    assert all(torch.equal(baseline[name], mapped[name]) for name in baseline)


def test_a_term_changes_the_student_and_its_adapter_learns(opened):
    run = opened("seeds=[0]", "training.epochs=20")
    run.train()
    baseline, mapped = (
        load_file(run.directory.student(method, 0) / "weights.safetensors") for method in METHODS
    )
    assert not torch.equal(baseline["hidden.weight"], mapped["hidden.weight"])
    history = summary(run, "students", "mapped", "seed-0")["history"]
    assert history[-1]["term/mapped"] < 0.5 * history[0]["term/mapped"]


def test_the_teacher_does_not_change_while_students_learn(opened):
    run = opened()
    run.train()
    written = load_file(run.directory.teacher / "weights.safetensors")
    best = torch.load(run.directory.teacher / "best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(tensor, best[f"distiller.student.{k}"]) for k, tensor in written.items())


def test_runs_are_repeatable(opened):
    for out in ("one", "two"):
        opened("seeds=[3]", out=out).train()
    one, two = (
        load_file(
            opened("seeds=[3]", out=out, resume=True).directory.student("mapped", 3)
            / "weights.safetensors"
        )
        for out in ("one", "two")
    )
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_observers_see_every_step(opened, plugin):
    opened("seeds=[0]", "teacher.training.epochs=1", "training.epochs=2").train()
    # 5 samples in batches of 2 make 3 steps; teacher, then two methods.
    steps = [step for _, step, _ in plugin.events]
    assert steps == [*range(3), *range(6), *range(6)]
    assert [epoch for epoch, _, _ in plugin.events] == [0, 0, 0, *[0, 0, 0, 1, 1, 1] * 2]


def test_a_teacher_may_come_trained(opened, tmp_path):
    first = opened("seeds=[0]")
    first.train()
    weights = tmp_path / "run" / "teacher" / "weights.safetensors"
    second = opened("seeds=[0]", f"teacher.weights={weights}", out="second")
    second.train()
    found = summary(second, "teacher")
    assert not {"epochs", "best_epoch", "selection", "training_seconds"} & found.keys()
    assert found["test"] == summary(first, "teacher")["test"]
    assert found["origin"] == {"epochs": summary(first, "teacher")["epochs"], "seed": 0}
    one, two = (
        load_file(run.directory.student("mapped", 0) / "weights.safetensors")
        for run in (first, second)
    )
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_what_is_not_known_of_a_given_teacher_is_not_made_up(opened, tmp_path):
    first = opened("seeds=[0]")
    first.train()
    weights = tmp_path / "run" / "teacher" / "weights.safetensors"
    again = opened("seeds=[0]", f"teacher.weights={weights}", out="again")
    again.train()
    given = again.directory.teacher / weights.name  # which were given there, too
    assert origin_of(given) == {"origin": {"epochs": 2, "seed": 0}}
    alone = Path(shutil.copy(given, tmp_path))
    assert origin_of(alone) == {}
    student = first.directory.student("mapped", 0)
    shutil.copy(student / "summary.json", tmp_path)  # of another network
    assert origin_of(alone) == {}


def test_without_a_teacher_students_are_trained_alone(opened, recipe_path):
    text = recipe_path.read_text()
    recipe_path.write_text(
        text[: text.index("[teacher]")] + text[text.index("[student]") : text.index("[[methods]]")]
    )
    run = opened()
    run.train()
    assert not run.directory.teacher.exists()
    assert summary(run, "students", "baseline", "seed-1")["epochs"] == 5


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
def test_every_optimiser_learns(opened, optimiser):
    run = opened("seeds=[0]", f"training.optimiser={optimiser}", "training.gradient_clipping=1.0")
    run.train()
    history = summary(run, "students", "baseline", "seed-0")["history"]
    assert history[-1]["loss"] < history[0]["loss"]


def test_bfloat16_autocast(opened):
    run = opened("seeds=[0]", "precision=bf16-mixed")
    run.train()
    history = summary(run, "students", "mapped", "seed-0")["history"]
    assert history[-1]["loss"] < history[0]["loss"]


def test_augmented_data_is_drawn_for_each_epoch(opened, plugin):
    settings = ("seeds=[0]", "training.learning_rate=1e-30", "student.params.dropout=0.0")
    losses = {}
    for augmented in ("false", "true"):
        run = opened(*settings, f"dataset.augmented={augmented}", out=augmented)
        run.train()
        history = summary(run, "students", "mapped", "seed-0")["history"]
        losses[augmented] = [row["term/mapped"] for row in history]
    assert losses["false"] != losses["true"]
    assert max(losses["true"]) - min(losses["true"]) > 1e-3


@pytest.mark.parametrize(
    ("setting", "place", "words"),
    [
        ("methods.mapped.terms.0.student=hiden", "--set methods.mapped", "did you mean 'hidden'"),
        ("methods.mapped.terms.0.loss=maped", "--set methods.mapped", "did you mean 'mapped'"),
        ("student.name=perceptro", "--set student.name=perceptro", "did you mean 'perceptron'"),
        ("student.params.widht=3", "--set student.params.widht=3: student", "did you mean 'width'"),
        ("dataset.graphs=0", "tiny.toml:4: dataset", "no train samples"),
        ("dataset.size=3", "--set dataset.size=3: dataset", "unknown parameter 'size'"),
        ("dataset.name=blob", "--set dataset.name=blob", "did you mean 'blobs'"),
        ("teacher.weights=no.safetensors", "--set teacher.weights=no.safe", "cannot be read"),
    ],
)
def test_mistakes_show_before_anything_is_trained(opened, plugin, setting, place, words):
    run = opened(setting)
    with pytest.raises(RecipeError) as caught:
        run.train()
    assert place in str(caught.value)
    assert words in str(caught.value)
    assert plugin.events == []


def test_weights_of_another_model(opened, tmp_path):
    save_file({"w": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(RecipeError, match="another model"):
        opened(f"teacher.weights={tmp_path / 'other.safetensors'}").train()


def test_a_tap_that_never_fires_shows_before_anything_is_trained(opened, plugin, monkeypatch):
    def silent(self, x):
        return self.out(self.dropout(torch.nn.functional.linear(x, self.hidden.weight)))

    monkeypatch.setattr(plugin.gkd_models()["perceptron"], "forward", silent)
    with pytest.raises(RecipeError, match="never fired") as caught:
        opened().train()
    assert isinstance(caught.value.__cause__, TapError)
    assert plugin.events == []


def test_errors_of_others_code_are_told_with_their_place(opened, plugin, monkeypatch):
    def broken(self, x):
        raise ZeroDivisionError("no width")

    monkeypatch.setattr(plugin.gkd_models()["perceptron"], "forward", broken)
    with pytest.raises(RecipeError) as caught:
        opened().train()
    message = str(caught.value)
    assert "tiny.toml:7: teacher: the first batch raised ZeroDivisionError: no width" in message
    assert "test_training_run.py:" in message


def test_a_last_batch_that_must_fail_is_said_before_the_first_step(opened, plugin, monkeypatch):
    whole = Blobs.sample

    def one_row(self, split, index, epoch=0):
        sample = whole(self, split, index, epoch)
        return Sample(id=sample.id, x=sample.x[:1], y=sample.y[:1])

    monkeypatch.setattr(Blobs, "sample", one_row)  # batch norm needs two rows
    with pytest.raises(RecipeError) as caught:
        opened("teacher.training.batch_size=5").train()
    message = str(caught.value)
    assert "methods.0: the last batch of an epoch (1 of 5 samples, in batches of 2)" in message
    assert "Expected more than 1 value per channel" in message
    assert "training.drop_last = true leaves it out" in message
    with pytest.raises(RecipeError, match=r"teacher: the last .*; teacher.training.drop_last = "):
        opened("training.drop_last=true").train()
    assert plugin.events == []
    both = ("training.drop_last=true", "teacher.training.drop_last=true", "seeds=[0]")
    run = opened(*both, "training.epochs=2")
    run.train()
    assert len(plugin.events) == 3 * 2 * 2  # networks, epochs, whole batches
    assert summary(run, "students", "mapped", "seed-0")["epochs"] == 2
    with pytest.raises(RecipeError, match="training: drop_last: a batch_size of 6 is more"):
        opened("training.drop_last=true", "training.batch_size=6", out="other").train()


def test_data_that_does_not_fit_together(opened, plugin, monkeypatch):
    blobs = plugin.gkd_datasets()["blobs"]
    monkeypatch.setattr(blobs, "num_classes", 2)  # labels go to 2
    with pytest.raises(RecipeError) as caught:
        opened().train()
    assert isinstance(caught.value.__cause__, DataError)
    assert plugin.events == []


def test_a_method_may_have_a_student_of_its_own(opened, recipe_path):
    recipe_path.write_text(
        recipe_path.read_text()
        + """
[[methods]]
name = "wide"
student = { name = "perceptron", params = { width = 7 } }
terms = [{ loss = "mapped", student = "hidden", teacher = "hidden" }]
"""
    )
    run = opened("seeds=[0]", "training.epochs=1")
    run.train()
    sizes = {
        name: load_file(run.directory.student(name, 0) / "weights.safetensors")["hidden.weight"]
        for name in ("mapped", "wide")
    }
    assert [len(weight) for weight in sizes.values()] == [3, 7]
    with pytest.raises(RecipeError, match=r"methods.2.student: .*'widht'.*did you mean 'width'"):
        opened("methods.wide.student.params={widht = 3}", out="other").train()


def test_a_teacher_says_what_it_is_like_on_the_training_rows(train_once, host):
    run = train_once()
    found = summary(run, "teacher")
    experiment = Experiment(run.file, host)
    network = experiment.teacher().eval()
    network.load_state_dict(load_file(run.directory.teacher / "weights.safetensors"))
    samples = experiment.dataset.train
    logits = torch.cat([network(sample.x) for sample in samples])
    y = torch.cat([sample.y for sample in samples])
    training = found["training"]
    assert training["accuracy"] == pytest.approx((logits.argmax(1) == y).float().mean().item())
    expected = logits.softmax(1).amax(1).mean().item()
    assert training["confidence"] == pytest.approx(expected, rel=1e-5)
    assert training["uniform_confidence"] == pytest.approx(1 / 3)
    assert 0 <= training["calibration_error"] <= 1
    assert "training" not in summary(run, "students", "baseline", "seed-0")


def test_shares_of_the_gradient_are_in_the_log_and_dead_terms_are_said(opened):
    console = Console(file=io.StringIO(), width=200)
    terms = '[{loss="mapped", weight=%s, student="hidden", teacher="hidden"}]'
    run = opened(
        "seeds=[0]",
        "training.epochs=2",
        f"methods.mapped.terms={terms % 1e-6}",
        console=console,
    )
    run.train()
    rows = summary(run, "students", "mapped", "seed-0")["history"]
    assert all(0 < row["share/mapped"] < 1e-3 for row in rows)
    assert console.file.getvalue().count("the term 'mapped' is dead: its gradient is below") == 1
    run = opened(
        "seeds=[0]",
        f"methods.mapped.terms={terms % '{gradient_share=0.5, every=1, smoothing=0}'}",
        out="share",
    )
    run.train()
    rows = summary(run, "students", "mapped", "seed-0")["history"]
    assert [row["share/mapped"] for row in rows] == pytest.approx([0.5] * 5, rel=1e-3)


def test_learned_weights_move_with_the_student_and_do_not_decay(opened):
    learned = '{learned="uncertainty"}'
    term = f'{{loss="mapped", weight={learned}, student="hidden", teacher="hidden"}}'
    run = opened(
        "seeds=[0]",
        "training.epochs=3",
        "training.weight_decay=0.1",
        f"methods.mapped.terms=[{term}]",
        f"methods.mapped.task_weight={learned}",
    )
    run.train()
    rows = summary(run, "students", "mapped", "seed-0")["history"]
    assert len({(row["weight/mapped"], row["task_weight"]) for row in rows}) == 3
    last = run.directory.student("mapped", 0) / "last.ckpt"
    groups = torch.load(last, weights_only=True)["optimizer_states"][0]["param_groups"]
    assert [(group["weight_decay"], len(group["params"])) for group in groups] == [(0.1, 8), (0, 1)]


def test_seeds_join_until_every_method_is_decided(opened):
    asked = []

    def undecided(folder, seeds):
        asked.append(list(seeds))
        return ["mapped"] if len(seeds) < 4 else []

    def seeds_of(folder, method):
        return sorted(path.name for path in (folder / "students" / method).iterdir())

    settings = ("seeds=[0, 7]", "max_seeds=6", "training.epochs=1")
    run = opened(*settings)
    run.train(undecided)
    folder = run.directory.folder
    assert asked == [[0, 7], [0, 7, 8], [0, 7, 8, 9]]
    for method in METHODS:
        assert seeds_of(folder, method) == ["seed-0", "seed-7", "seed-8", "seed-9"]
    shutil.rmtree(folder / "students" / "baseline" / "seed-9")
    opened(*settings, resume=True).train(undecided)
    assert seeds_of(folder, "baseline") == ["seed-0", "seed-7", "seed-8", "seed-9"]


def test_no_more_seeds_than_allowed_and_the_report_says_how_it_was_looked(opened):
    run = opened("seeds=[0, 1]", "max_seeds=3", "training.epochs=1")
    run.train(undecided_methods)
    (one,) = run_results(run.directory.folder).comparisons
    assert one.sequential
    assert len(one.differences) == 3
    assert "too few to tell from noise" in one.verdict


def test_students_are_compared_with_their_teachers_answers(opened, host):
    run = opened("seeds=[0]", "training.epochs=1")
    run.train()
    folder = run.directory.folder
    rows = {row.method: row for row in run_results(folder).rows}
    test = collate(Blobs().test)
    answers = {}
    for method, place, width in (
        ("teacher", "teacher", 8),
        ("mapped", "students/mapped/seed-0", 3),
    ):
        network = host.create("model", "perceptron", in_channels=4, out_channels=3, width=width)
        network.load_state_dict(load_file(folder / place / "weights.safetensors"))
        answers[method] = network.eval()(test.x).softmax(1)
    picked = {method: likely.argmax(1) for method, likely in answers.items()}
    expected = (picked["mapped"] == picked["teacher"]).double().mean()
    assert rows["mapped"].agreement == pytest.approx(expected.item())
    assert rows["teacher"].agreement is None
    error = multiclass_calibration_error(answers["mapped"], test.y, num_classes=3)
    assert rows["mapped"].calibration_error == pytest.approx(error.item(), abs=1e-6)
