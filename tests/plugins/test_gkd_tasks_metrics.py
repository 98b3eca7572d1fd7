"""Metrics against numpy references that share nothing with torchmetrics."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import BinaryF1Score

import gkd
from gkd.errors import NonFiniteError, ParameterError

NAN = float("nan")
SIZES = st.tuples(st.integers(1, 12), st.integers(2, 6), st.integers(0, 2**31 - 1))


def metric(task: str, name: str, width: int, **params: object) -> Metric:
    """One metric of a task."""
    made = gkd.create("task", task, **params).metrics(width)[name]
    assert isinstance(made, Metric)
    return made


def micro_f1(labels: int) -> Metric:
    return metric("multi-label", "micro_f1", labels)


def accuracy(classes: int) -> Metric:
    return metric("single-label", "accuracy", classes)


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
    found = micro_f1(size[1])
    found.update(logits, targets)
    assert found.compute().item() == pytest.approx(numpy_micro_f1(logits, targets), abs=1e-6)


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
    found = micro_f1(2)
    found.update(torch.tensor([[0.2, 0.4]]), torch.tensor([[1, 1]]))
    assert found.compute().item() == 1.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_logit_just_above_zero_is_a_prediction(dtype: torch.dtype) -> None:
    found = micro_f1(2)
    found.update(torch.tensor([[1e-4, -1e-4]], dtype=dtype), torch.tensor([[1, 0]]))
    assert found.compute().item() == 1.0


def test_micro_f1_without_positives_is_zero() -> None:
    found = micro_f1(2)
    found.update(torch.full((3, 2), -1.0), torch.zeros(3, 2))
    assert found.compute().item() == 0.0


def test_a_class_absent_from_the_targets_has_no_say() -> None:
    logits = torch.eye(4)[[0, 0, 1, 3]]  # class 3 is predicted once, and nobody's
    found = metric("single-label", "mean_class_accuracy", 4)
    found.update(logits, torch.tensor([0, 0, 1, 1]))
    assert found.compute().item() == pytest.approx((1 + 1 / 2) / 2)


KINDS = [
    ("multi-label", "micro_f1"),
    ("multi-label", "roc_auc"),
    ("single-label", "accuracy"),
    ("single-label", "mean_class_accuracy"),
    ("single-label", "average_precision"),
    ("segmentation", "mean_iou"),
    ("regression", "mae"),
    ("regression", "r2"),
]


def targets_of(task: str, rows: int) -> Tensor:
    of_classes = task in ("single-label", "segmentation")
    return torch.zeros(rows, dtype=torch.long) if of_classes else torch.zeros(rows, 2)


@pytest.mark.parametrize(("task", "name"), KINDS)
def test_nan_outputs_are_refused(task: str, name: str) -> None:
    with pytest.raises(NonFiniteError, match="NaN"):
        metric(task, name, 2, metric=name).update(torch.tensor([[0.0, NAN]]), targets_of(task, 1))


@pytest.mark.parametrize("shape", [(4, 2), (3, 3)])
@pytest.mark.parametrize(("task", "name"), KINDS)
def test_shapes_that_do_not_fit_are_refused(task: str, name: str, shape: tuple[int, int]) -> None:
    with pytest.raises(ParameterError, match=r"do not fit.* ask for \(3, 2\)"):
        metric(task, name, 2, metric=name).update(torch.zeros(shape), targets_of(task, 3))


def test_soft_labels_are_refused() -> None:
    with pytest.raises(ParameterError, match="must be 0 or 1"):
        micro_f1(2).update(torch.zeros(1, 2), torch.tensor([[0.3, 1.0]]))


@pytest.mark.parametrize("label", [-1, 2])
def test_a_target_that_is_no_class_is_refused(label: int) -> None:
    with pytest.raises(ParameterError, match="classes 0 to 1"):
        accuracy(2).update(torch.zeros(1, 2), torch.tensor([label]))


def counted_auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Share of pairs of a positive and a negative that are in order, ties half."""
    gaps = scores[positive][:, None] - scores[~positive][None]
    return float(((gaps > 0) + 0.5 * (gaps == 0)).mean())


def counted_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Mean over positives of the precision where scores are at least theirs."""
    return float(np.mean([positive[scores >= score].mean() for score in scores[positive]]))


COUNTED = {"roc_auc": counted_auc, "average_precision": counted_precision}
FAR = 200.0  # where a sigmoid in single precision is 1, and nothing is ranked


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.parametrize("scale", [0.2, 1.0, FAR])
@given(size=SIZES, cut=st.integers(0, 12))
def test_rankings_of_two_classes_are_those_of_pairs(
    name: str, scale: float, size: tuple[int, int, int], cut: int
) -> None:
    logits, targets = single_label((size[0], 2, size[2]))
    logits = (8 * scale * logits).round() / 8  # some tie, and differences are exact
    found = metric("single-label", name, 2, metric=name)
    for part in (slice(0, cut), slice(cut, None)):
        found.update(logits[part], targets[part])
    positive = targets.numpy() == 1
    if 0 < positive.sum() < len(positive):
        gap = (logits[:, 1] - logits[:, 0]).numpy()
        assert found.compute().item() == pytest.approx(COUNTED[name](gap, positive), abs=1e-6)
    else:
        assert found.compute().isnan()


@pytest.mark.parametrize("name", COUNTED)
@given(size=SIZES)
def test_rankings_of_classes_are_means_over_those_that_occur(
    name: str, size: tuple[int, int, int]
) -> None:
    logits, targets = single_label((size[0], 3 + size[1] % 2, size[2]))
    found = metric("single-label", name, logits.shape[1], metric=name)
    found.update(logits, targets)
    likely = logits.double().softmax(1).numpy()
    values = [
        COUNTED[name](likely[:, label], targets.numpy() == label)
        for label in range(logits.shape[1])
        if 0 < (targets == label).sum() < len(targets)
    ]
    expected = np.mean(values) if values else NAN
    assert found.compute().item() == pytest.approx(expected, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("name", COUNTED)
@given(size=SIZES)
def test_rankings_of_labels_leave_out_the_unknown(name: str, size: tuple[int, int, int]) -> None:
    logits, targets = multi_label(size)
    unknown = torch.rand(targets.shape, generator=torch.Generator().manual_seed(size[2])) < 0.3
    targets[unknown] = NAN
    found = metric("multi-label", name, size[1], metric=name)
    found.update(logits, targets)
    values = []
    for label in range(size[1]):
        known = ~unknown[:, label].numpy()
        positive = targets[:, label].numpy()[known] == 1
        if 0 < positive.sum() < len(positive):
            values.append(COUNTED[name](logits[:, label].numpy()[known], positive))
    expected = np.mean(values) if values else NAN
    assert found.compute().item() == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_micro_f1_leaves_out_the_unknown() -> None:
    found = micro_f1(2)
    found.update(torch.tensor([[1.0, 1.0], [-1.0, 1.0]]), torch.tensor([[1.0, NAN], [1.0, 0.0]]))
    assert found.compute().item() == pytest.approx(2 / (2 + 1 + 1))


def test_without_a_known_label_there_is_no_metric() -> None:
    task = gkd.create("task", "single-label", ignore_label=-1, metric="roc_auc")
    metrics = task.metrics(3)
    metrics.update(torch.zeros(2, 3), torch.tensor([-1, -1]))
    assert all(value.isnan() for value in metrics.compute().values())


@given(size=SIZES, cut=st.integers(0, 12))
def test_mean_iou_is_that_of_counted_points(size: tuple[int, int, int], cut: int) -> None:
    logits, targets = single_label(size)
    found = metric("segmentation", "mean_iou", size[1])
    for part in (slice(0, cut), slice(cut, None)):
        found.update(logits[part], targets[part])
    said, actual = logits.numpy().argmax(1), targets.numpy()
    ratios = [
        ((said == label) & (actual == label)).sum() / ((said == label) | (actual == label)).sum()
        for label in range(size[1])
        if ((said == label) | (actual == label)).any()
    ]
    assert found.compute().item() == pytest.approx(np.mean(ratios), abs=1e-6)


@pytest.mark.parametrize("offset", [0.0, 1e4])
@given(size=SIZES, cut=st.integers(0, 12), unknown=st.booleans())
def test_errors_are_those_of_numpy(
    offset: float, size: tuple[int, int, int], cut: int, unknown: bool
) -> None:
    generator = torch.Generator().manual_seed(size[2])
    outputs = offset + torch.randn(size[0], size[1], generator=generator, dtype=torch.float64)
    y = offset + torch.randn(size[0], size[1], generator=generator, dtype=torch.float64)
    if unknown:
        y[torch.rand(y.shape, generator=generator) < 0.3] = NAN
    metrics = gkd.create("task", "regression").metrics(size[1])
    for part in (slice(0, cut), slice(cut, None)):
        metrics.update(outputs[part], y[part])
    known = ~y.isnan().numpy()
    errors = (outputs - y).numpy()[known]
    explained = []
    for column in range(size[1]):
        values = y[:, column].numpy()[known[:, column]]
        if len(values) > 1:
            squares = ((outputs - y)[:, column].numpy()[known[:, column]] ** 2).sum()
            explained.append(1 - squares / ((values - values.mean()) ** 2).sum())
    found = {name: value.item() for name, value in metrics.compute().items()}
    nothing = len(errors) == 0
    assert found == {
        "mae": pytest.approx(NAN if nothing else np.abs(errors).mean(), rel=1e-5, nan_ok=True),
        "rmse": pytest.approx(
            NAN if nothing else np.sqrt((errors**2).mean()), rel=1e-5, nan_ok=True
        ),
        "r2": pytest.approx(np.mean(explained) if explained else NAN, rel=1e-5, nan_ok=True),
    }


def test_errors_say_that_lower_is_better_and_shares_are_shares() -> None:
    metrics = gkd.create("task", "regression").metrics(1)
    said = {name: one.higher_is_better for name, one in metrics.items()}
    assert said == {"mae": False, "rmse": False, "r2": True}
    assert metrics["mae"].plot_upper_bound is None
    for task, name in KINDS[:6]:
        shares = metric(task, name, 2, metric=name)
        assert (shares.plot_lower_bound, shares.plot_upper_bound) == (0, 1)
        assert shares.higher_is_better is True


@given(size=SIZES, k=st.integers(1, 4))
def test_ranks_of_pairs_are_counted(size: tuple[int, int, int], k: int) -> None:
    generator = torch.Generator().manual_seed(size[2])
    scores = torch.randn(3 * size[0], generator=generator).round(decimals=0)  # most tie
    y = (torch.rand(3 * size[0], generator=generator) < 0.5).float()
    metrics = gkd.create("task", "link-prediction", k=k).metrics(1)
    metrics.update(scores[: size[0]], y[: size[0]])
    metrics.update(scores[size[0] :], y[size[0] :])
    negatives = scores[y == 0]
    ranks = [1 + int((negatives >= score).sum()) for score in scores[y == 1]]
    values = {name: value.item() for name, value in metrics.compute().items()}
    if ranks and len(negatives):
        assert values[f"hits@{k}"] == pytest.approx(np.mean([rank <= k for rank in ranks]))
        assert values["mrr"] == pytest.approx(np.mean([1 / rank for rank in ranks]), abs=1e-6)
        expected = counted_auc(scores.numpy(), y.numpy() == 1)
        assert values["roc_auc"] == pytest.approx(expected, abs=1e-6)
    else:
        assert all(np.isnan(value) for value in values.values())


def test_many_labels_are_counted_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    update = BinaryF1Score.update

    def counted(self: BinaryF1Score, predicted: Tensor, targets: Tensor) -> None:
        sizes.append(targets.numel())
        update(self, predicted, targets)

    monkeypatch.setattr(BinaryF1Score, "update", counted)
    labels = 1000
    logits, targets = multi_label((1100, labels, 0))
    found = micro_f1(labels)
    found.update(logits, targets)
    assert max(sizes) <= 2**18
    assert sum(sizes) == targets.numel()
    assert found.compute().item() == pytest.approx(numpy_micro_f1(logits, targets), abs=1e-6)
