"""Which epoch's network is kept: the rule itself, and what training does by it."""

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from gkd.evaluation.metric import Metric
from gkd.recipe.file import read_recipe
from gkd.training.checkpoints import BestCheckpoint
from gkd.training.epoch_selection import LOSS, Selection

ACCURACY, ERROR = Metric("accuracy"), Metric("mae", higher_is_better=False, share=False)
# Few different ones, so that epochs tie; None is an epoch without validation.
VALUES = st.lists(st.sampled_from([None, 0.0, 0.25, 0.5, math.nan]), max_size=8)


def rows(values, name):
    entries = [{} if value is None else {f"validation/{name}": value} for value in values]
    return [{"epoch": epoch, **entry} for epoch, entry in enumerate(entries)]


@pytest.mark.parametrize("metric", [ACCURACY, ERROR])
@given(values=VALUES, last=st.sampled_from([0.0, 0.25, math.nan]))
def test_the_best_is_found_and_of_equal_epochs_it_is_the_last(metric, values, last):
    values = [*values, last]
    chosen = Selection(metric).epoch(rows(values, metric.name))["epoch"]
    sense = -1 if metric is ERROR else 1
    for epoch, value in enumerate(values):
        if value is None or math.isnan(value):
            continue
        assert sense * values[chosen] >= sense * value
        assert sense * values[chosen] > sense * value or chosen >= epoch


@given(values=VALUES)
def test_the_last_epoch_is_the_last_whatever_its_value(values):
    assert Selection(None).epoch(rows([*values, 0.0], "accuracy"))["epoch"] == len(values)


@pytest.mark.parametrize(
    ("rule", "metric", "words"),
    [
        ("best", ACCURACY, "the epoch with the best validation accuracy"),
        ("best", ERROR, "the epoch with the best validation mae"),
        ("best-loss", ACCURACY, "the epoch with the lowest validation loss"),
        ("last", ACCURACY, "the last epoch"),
    ],
)
def test_each_rule_is_said_in_words(rule, metric, words):
    assert str(Selection.of(rule, metric)) == words


@pytest.mark.parametrize("rule", ["best", "best-loss", "last"])
@pytest.mark.parametrize("every", [1, 3])
def test_training_keeps_the_network_of_the_selected_epoch(opened, rule, every):
    settings = ["seeds=[0]", "training.epochs=8", "training.learning_rate=0.5"]
    settings += [f"training.selection={rule}", f"training.validate_every={every}"]
    run = opened(*settings)
    run.train()
    folder = run.directory.student("baseline", 0)
    found = json.loads((folder / "summary.json").read_text())
    selection = Selection.of(rule, ACCURACY)
    chosen = selection.epoch(found["history"])
    assert found["best_epoch"] == chosen["epoch"]
    assert found["selection"] == str(selection)
    assert found["validation"]["loss"] == chosen["validation/loss"]
    kept = torch.load(folder / "best.ckpt", weights_only=True)
    assert kept["epoch"] == chosen["epoch"] - 1  # Lightning's own are from 0
    weights = load_file(folder / "weights.safetensors")
    for name, tensor in weights.items():
        assert torch.equal(tensor, kept["state_dict"][f"distiller.student.{name}"])


def test_the_validation_loss_is_that_of_all_rows(opened, host):
    run = opened("seeds=[0]", "training.epochs=1", "training.batch_size=1")
    run.train()
    folder = run.directory.student("baseline", 0)
    found = json.loads((folder / "summary.json").read_text())
    from gkd.training.experiment import Experiment

    experiment = Experiment(run.file, host)
    network = experiment.student(0).eval()
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    samples = experiment.dataset.validation
    logits = torch.cat([network(sample.x) for sample in samples])
    y = torch.cat([sample.y for sample in samples])
    expected = torch.nn.functional.cross_entropy(logits, y).item()
    assert found["history"][-1]["validation/loss"] == pytest.approx(expected, rel=1e-5)
    assert Selection(LOSS).epoch(found["history"])["epoch"] == 1


def test_an_unknown_rule_names_the_nearest(tmp_path):
    with pytest.raises(Exception, match="'best-los'; did you mean 'best-loss'"):
        read_recipe("demo", ["training.selection=best-los"])


def test_a_score_of_another_metric_is_not_gone_on_with(tmp_path):
    score = torch.tensor(0.9)
    checkpoint = BestCheckpoint(tmp_path, Selection(LOSS))
    checkpoint.load_state_dict({"monitor": "validation/accuracy", "best_model_score": score})
    assert checkpoint.best_model_score is None
    checkpoint.load_state_dict({"monitor": "validation/loss", "best_model_score": score})
    assert checkpoint.best_model_score == score
