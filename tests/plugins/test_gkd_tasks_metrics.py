"""Metrics against numpy references that share nothing with torchmetrics."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import gkd
from gkd.errors import NonFiniteError, ParameterError
from gkd_tasks.class_metrics import Accuracy, MeanClassAccuracy
from gkd_tasks.label_metrics import MicroF1

SIZES = st.tuples(st.integers(1, 12), st.integers(2, 6), st.integers(0, 2**31 - 1))


def numpy_micro_f1(logits: Tensor, targets: Tensor) -> float:
    predicted = logits.double().numpy() > 0
    positive = targets.numpy() == 1
    true_positives = np.count_nonzero(predicted & positive)
    pooled = np.count_nonzero(predicted) + np.count_nonzero(positive)
    return 2 * true_positives / pooled if pooled else 0.0


def numpy_balanced_accuracy(logits: Tensor, targets: Tensor) -> float:
    predicted, actual = logits.numpy().argmax(-1), targets.numpy()
    recalls = [np.mean(predicted[actual == label] == label) for label in np.unique(actual)]
    return float(np.mean(recalls))


def multi_label(size: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    nodes, labels, seed = size
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(nodes, labels, generator=generator)
    targets = (torch.rand(nodes, labels, generator=generator) < 0.4).float()
    return logits, targets


def single_label(size: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    nodes, classes, seed = size
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(nodes, classes, generator=generator)
    return logits, torch.randint(classes, (nodes,), generator=generator)


@given(size=SIZES)
def test_micro_f1_is_that_of_pooled_counts(size: tuple[int, int, int]) -> None:
    logits, targets = multi_label(size)
    metric = MicroF1(num_labels=size[1])
    metric.update(logits, targets)
    assert metric.compute().item() == pytest.approx(numpy_micro_f1(logits, targets), abs=1e-6)


@given(size=SIZES)
def test_accuracies_are_those_of_numpy(size: tuple[int, int, int]) -> None:
    logits, targets = single_label(size)
    metrics = gkd.create("task", "single-label").metrics(size[1])
    metrics.update(logits, targets)
    values = {name: value.item() for name, value in metrics.compute().items()}
    accuracy = np.mean(logits.numpy().argmax(-1) == targets.numpy())
    assert values == {
        "accuracy": pytest.approx(accuracy, abs=1e-6),
        "mean_class_accuracy": pytest.approx(numpy_balanced_accuracy(logits, targets), abs=1e-6),
    }


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
@given(size=SIZES, data=st.data())
def test_batches_pool_to_the_whole(
    task: str, size: tuple[int, int, int], data: st.DataObject
) -> None:
    logits, targets = (single_label if task == "single-label" else multi_label)(size)
    cut = data.draw(st.integers(0, len(logits)))
    whole, batched = (gkd.create("task", task).metrics(size[1]) for _ in range(2))
    whole.update(logits, targets)
    batched.update(logits[:cut], targets[:cut])
    batched.update(logits[cut:], targets[cut:])
    assert whole.compute() == batched.compute()


def test_logits_that_look_like_probabilities_stay_logits() -> None:
    metric = MicroF1(num_labels=2)
    metric.update(torch.tensor([[0.2, 0.4]]), torch.tensor([[1, 1]]))
    assert metric.compute().item() == 1.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_logit_just_above_zero_is_a_prediction(dtype: torch.dtype) -> None:
    metric = MicroF1(num_labels=2)
    metric.update(torch.tensor([[1e-4, -1e-4]], dtype=dtype), torch.tensor([[1, 0]]))
    assert metric.compute().item() == 1.0


def test_micro_f1_without_positives_is_zero() -> None:
    metric = MicroF1(num_labels=2)
    metric.update(torch.full((3, 2), -1.0), torch.zeros(3, 2))
    assert metric.compute().item() == 0.0


def test_a_class_absent_from_the_targets_has_no_say() -> None:
    logits = torch.eye(4)[[0, 0, 1, 3]]  # class 3 is predicted once, and nobody's
    metric = MeanClassAccuracy(num_classes=4)
    metric.update(logits, torch.tensor([0, 0, 1, 1]))
    assert metric.compute().item() == pytest.approx((1 + 1 / 2) / 2)


@pytest.mark.parametrize("metric", [MicroF1(2), Accuracy(2), MeanClassAccuracy(2)])
def test_nan_logits_are_refused(metric: MicroF1 | Accuracy | MeanClassAccuracy) -> None:
    targets = torch.zeros(1, 2) if isinstance(metric, MicroF1) else torch.zeros(1, dtype=torch.long)
    with pytest.raises(NonFiniteError, match="NaN"):
        metric.update(torch.tensor([[0.0, float("nan")]]), targets)


@pytest.mark.parametrize("shape", [(4, 2), (3, 3)])
@pytest.mark.parametrize("metric", [MicroF1(2), Accuracy(2), MeanClassAccuracy(2)])
def test_shapes_that_do_not_fit_are_refused(
    metric: MicroF1 | Accuracy | MeanClassAccuracy, shape: tuple[int, int]
) -> None:
    targets = torch.zeros(3, 2) if isinstance(metric, MicroF1) else torch.zeros(3, dtype=torch.long)
    with pytest.raises(ParameterError, match=r"do not fit.* ask for \(3, 2\)"):
        metric.update(torch.zeros(shape), targets)


def test_soft_labels_are_refused() -> None:
    with pytest.raises(ParameterError, match="must be 0 or 1"):
        MicroF1(2).update(torch.zeros(1, 2), torch.tensor([[0.3, 1.0]]))


@pytest.mark.parametrize("label", [-1, 2])
def test_a_target_that_is_no_class_is_refused(label: int) -> None:
    with pytest.raises(ParameterError, match="classes 0 to 1"):
        Accuracy(2).update(torch.zeros(1, 2), torch.tensor([label]))
