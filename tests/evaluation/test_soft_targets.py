"""How sure a teacher is, and how rightly so: against plain counts."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_plugin import Blobs, Perceptron

import gkd
from gkd.evaluation.scores import Scores
from gkd.evaluation.soft_target_metrics import predictions, soft_target_metrics
from gkd.evaluation.soft_targets import judgement, uniform_confidence

SIZES = st.tuples(st.integers(1, 30), st.integers(2, 5), st.integers(0, 2**31 - 1))


def measured(task: gkd.Task, outputs: torch.Tensor, y: torch.Tensor, cut: int) -> dict[str, float]:
    metrics = soft_target_metrics(task)
    for metric in metrics.values():
        for part in (slice(0, cut), slice(cut, None)):
            if len(y[part]):
                metric.update(outputs[part], y[part])
    return {name: metric.compute().item() for name, metric in metrics.items()}


def counted(likely: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error in 15 bins, of probabilities [N, A] and the right answers."""
    sure, correct = likely.max(1), likely.argmax(1) == right
    place = np.clip(np.ceil(sure * 15) - 1, 0, 14)
    gaps = [
        abs(correct[place == bin].mean() - sure[place == bin].mean()) * (place == bin).mean()
        for bin in range(15)
        if (place == bin).any()
    ]
    return float(np.sum(gaps))


@given(size=SIZES, cut=st.integers(0, 30))
def test_of_classes_it_is_counted_over_known_rows(size, cut):
    generator = torch.Generator().manual_seed(size[2])
    logits = 3 * torch.randn(size[0], size[1], generator=generator)
    y = torch.randint(-1, size[1], (size[0],), generator=generator)
    task = gkd.create("task", "single-label", ignore_label=-1)
    found = measured(task, logits, y, cut)
    likely, known = logits.softmax(1).numpy(), (y >= 0).numpy()
    assert found["confidence"] == pytest.approx(likely.max(1).mean(), abs=1e-5)
    expected = counted(likely[known], y.numpy()[known]) if known.any() else math.nan
    assert found["calibration_error"] == pytest.approx(expected, abs=1e-5, nan_ok=True)


@given(size=SIZES, cut=st.integers(0, 30))
def test_of_labels_every_known_one_is_a_prediction_of_two_answers(size, cut):
    generator = torch.Generator().manual_seed(size[2])
    logits = 3 * torch.randn(size[0], size[1], generator=generator)
    y = (torch.rand(size[0], size[1], generator=generator) < 0.5).float()
    y[torch.rand(y.shape, generator=generator) < 0.2] = math.nan
    found = measured(gkd.create("task", "multi-label"), logits, y, cut)
    yes = logits.sigmoid().flatten().numpy()
    likely, known = np.stack([1 - yes, yes], axis=1), ~y.flatten().isnan().numpy()
    assert found["confidence"] == pytest.approx(likely.max(1).mean(), abs=1e-5)
    right = y.flatten().numpy()[known]
    expected = counted(likely[known], right) if known.any() else math.nan
    assert found["calibration_error"] == pytest.approx(expected, abs=1e-5, nan_ok=True)


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_a_single_column_has_two_answers(shape):
    task = gkd.create("task", "single-label")
    likely, right = predictions(task, torch.zeros(shape), torch.tensor([0, 1, 1]))
    assert likely.tolist() == [[0.5, 0.5]] * 3
    assert right.tolist() == [0, 1, 1]
    assert uniform_confidence(task, 1) == 0.5
    assert uniform_confidence(task, 4) == 0.25
    assert uniform_confidence(gkd.create("task", "multi-label"), 4) == 0.5


def test_soft_labels_have_no_right_answer():
    task = gkd.create("task", "multi-label")
    assert predictions(task, torch.zeros(1, 2), torch.tensor([[0.3, 1.0]]))[1].tolist() == [-1, 1]


@pytest.mark.parametrize("name", ["regression", "link-prediction"])
def test_what_predicts_no_probabilities_has_neither(name):
    assert soft_target_metrics(gkd.create("task", name)) == {}


@pytest.mark.parametrize(
    ("confidence", "words"),
    [(0.144, "near uniform"), (0.5, None), (0.97, None), (0.999, "near one-hot")],
)
def test_targets_that_teach_hardly_anything_are_called_so(confidence, words):
    said = judgement({"confidence": confidence, "uniform_confidence": 1 / 7})
    assert said is None if words is None else said.startswith(f"{words} (mean largest probability ")
    assert judgement({"mae": 0.1}) is None


def test_scores_measure_it_on_request():
    dataset = Blobs()
    network = Perceptron(dataset.num_features, dataset.num_classes)
    plain, more = (Scores(dataset, 1, soft_targets=wanted) for wanted in (False, True))
    added = {"confidence", "calibration_error"}
    assert more(network, "train").keys() == plain(network, "train").keys() | added
    assert [one.name for one in more.described] == [one.name for one in plain.described]
