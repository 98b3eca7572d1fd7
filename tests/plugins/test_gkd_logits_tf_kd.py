"""Tf-KD against plain loops."""

import math

import pytest
import torch

from gkd import Step, View
from gkd.errors import ParameterError
from gkd_logits.tf_kd import TfKD


def softmax(row):
    powers = [math.exp(value) for value in row]
    return [power / sum(powers) for power in powers]


def by_hand(row, label, correct, heat, own_heat):
    made = [correct if c == label else (1 - correct) / (len(row) - 1) for c in range(len(row))]
    p, q = softmax([h / heat for h in made]), softmax([z / own_heat for z in row])
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


@pytest.fixture
def logits():
    random = torch.Generator().manual_seed(0)
    return 3 * torch.randn(5, 4, generator=random, dtype=torch.float64)


LABELS = torch.tensor([0, 3, 1, 1, 2])


def value(loss, logits, labels=LABELS, **step):
    view = View(logits=logits)
    return loss(view, View(), step=Step.of(view, labels=labels, **step))


@pytest.mark.parametrize(("variant", "own_heat"), [("paper", 5.0), ("official-code", 1.0)])
def test_the_value_is_the_divergence_from_the_teacher_made_by_hand(logits, variant, own_heat):
    rows = zip(logits.tolist(), LABELS.tolist(), strict=True)
    expected = [by_hand(row, label, 0.9, 5.0, own_heat) for row, label in rows]
    params = {"correct": 0.9, "temperature": 5.0, "variant": variant}
    per_row = value(TfKD(**params, per_row=True), logits)
    assert per_row.tolist() == pytest.approx(expected, rel=1e-10)
    assert value(TfKD(**params), logits).item() == pytest.approx(sum(expected) / 5, rel=1e-10)


def test_labels_that_may_not_be_used_or_are_missing_count_as_zero(logits):
    labelled = torch.tensor([True, True, False, True, False])
    labels = torch.where(labelled, LABELS, -1)
    per_row = value(TfKD(per_row=True), logits, labels)
    assert (per_row == 0).tolist() == (~labelled).tolist()
    torch.testing.assert_close(
        per_row, value(TfKD(per_row=True), logits, labelled=labelled), rtol=0, atol=0
    )


def test_what_is_missing_or_does_not_fit_is_said(logits):
    with pytest.raises(ParameterError, match="tf-kd needs labels, but the batch has none"):
        value(TfKD(), logits, None)
    with pytest.raises(ParameterError, match=r"tf-kd: .* no true class, as its outputs are sigm"):
        TfKD(task="multi-label")
    with pytest.raises(ParameterError, match=r"most likely of 4: expected correct above 0.25, got"):
        value(TfKD(correct=0.2), logits)
    with pytest.raises(ParameterError, match="'correct' must be"):
        TfKD(correct=1.0)
