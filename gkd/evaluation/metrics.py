"""The metrics of the two tasks, as torchmetrics that take logits."""

from collections.abc import Callable

from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassStatScores,
    MultilabelF1Score,
)

from gkd.errors import NonFiniteError, ParameterError, UnknownNameError, suggestion


class MicroF1(MultilabelF1Score):
    """F1 pooled over all nodes and labels, at probability 0.5.

    ``F1 = 2 TP / (2 TP + FP + FN)``, where a label is predicted if its logit is above 0. A
    denominator of 0 (no positive label, none predicted) gives 0.

    Args:
        num_labels: Number of labels, at least 2.

    Raises:
        NonFiniteError: A logit is NaN.
        ParameterError: A target is neither 0 nor 1.

    Source:
        The PPI protocol of Hamilton et al., "Inductive Representation Learning on Large Graphs".

    >>> import torch
    >>> metric = MicroF1(num_labels=2)
    >>> metric.update(torch.tensor([[0.3, -4.0], [0.2, 0.9]]), torch.tensor([[1, 0], [1, 0]]))
    >>> metric.compute()
    tensor(0.8000)
    """

    def __init__(self, num_labels: int) -> None:
        super().__init__(num_labels=num_labels, average="micro", validate_args=False)
        self.width = num_labels

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Add a batch: ``logits [N, C]``, ``targets [N, C]`` of 0 and 1 in any dtype."""
        # Both: targets of another width would be taken for another number of labels.
        _check_logits(logits, (*targets.shape[:-1], self.width))
        _check_logits(logits, targets.shape)
        if not ((targets == 0) | (targets == 1)).all():
            raise ParameterError("targets of a multi-label task must be 0 or 1")
        # torchmetrics takes scores that all lie in [0, 1] for probabilities, whatever they are;
        # decisions leave it nothing to guess, and lose nothing where a sigmoid rounds to 0.5.
        if targets.numel():
            super().update((logits > 0).int(), targets.int())


class Accuracy(MulticlassAccuracy):
    """Share of nodes (or graphs) whose largest logit is that of their class.

    Args:
        num_classes: Number of classes, at least 2.

    Raises:
        NonFiniteError: A logit is NaN.
        ParameterError: Shapes do not fit, or a target is not a class.

    >>> import torch
    >>> metric = Accuracy(num_classes=2)
    >>> metric.update(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1]))
    >>> metric.compute()
    tensor(0.5000)
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes=num_classes, average="micro", validate_args=False)
        self.width = num_classes

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Add a batch: ``logits [N, C]``, ``targets [N]``."""
        _check_classes(logits, targets, self.width)
        if targets.numel():
            super().update(logits, targets)


class MeanClassAccuracy(MulticlassStatScores):
    """Accuracy within each class, averaged over the classes that occur in the targets.

    A class without a target has no accuracy and is left out of the mean, whether or not it is
    predicted: the balanced accuracy of scikit-learn.

    Args:
        num_classes: Number of classes, at least 2.

    Raises:
        NonFiniteError: A logit is NaN.
        ParameterError: Shapes do not fit, or a target is not a class.

    >>> import torch
    >>> metric = MeanClassAccuracy(num_classes=3)
    >>> logits = torch.eye(3)[[0, 0, 1, 2]]
    >>> metric.update(logits, torch.tensor([0, 0, 0, 1]))  # nobody is of class 2
    >>> metric.compute()
    tensor(0.3333)
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes=num_classes, average=None, validate_args=False)
        self.width = num_classes

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Add a batch: ``logits [N, C]``, ``targets [N]``."""
        _check_classes(logits, targets, self.width)
        if targets.numel():
            super().update(logits, targets)

    def compute(self) -> Tensor:
        """Mean over classes of true positives per target."""
        scores = super().compute()
        true_positives, support = scores[:, 0], scores[:, -1]
        occurs = support > 0
        return (true_positives[occurs] / support[occurs]).mean()


# The first metric of a task is its primary one.
_METRICS: dict[str, dict[str, Callable[[int], Metric]]] = {
    "single-label": {"accuracy": Accuracy, "mean_class_accuracy": MeanClassAccuracy},
    "multi-label": {"micro_f1": MicroF1},
}


def task_metrics(task: str, num_classes: int) -> MetricCollection:
    """Metrics of a task, updated with logits and targets.

    Args:
        task: ``"single-label"`` or ``"multi-label"``.
        num_classes: Number of classes or labels: the width of the logits.

    Raises:
        UnknownNameError: ``task`` is neither.

    >>> sorted(task_metrics("single-label", num_classes=3))
    ['accuracy', 'mean_class_accuracy']
    """
    metrics: dict[str, Metric | MetricCollection] = {
        name: kind(num_classes) for name, kind in _of_task(task).items()
    }
    return MetricCollection(metrics, compute_groups=False)


def primary_metric(task: str) -> str:
    """Name of the metric by which networks of a task are selected and compared.

    >>> primary_metric("multi-label")
    'micro_f1'
    """
    return next(iter(_of_task(task)))


def _of_task(task: str) -> dict[str, Callable[[int], Metric]]:
    if task not in _METRICS:
        raise UnknownNameError(f"no task {task!r}: {suggestion(task, _METRICS)}")
    return _METRICS[task]


def _check_logits(logits: Tensor, expected: tuple[int, ...]) -> None:
    if logits.shape != expected:
        raise ParameterError(
            f"logits of shape {tuple(logits.shape)} do not fit: the targets and the number of "
            f"classes ask for {tuple(expected)}"
        )
    if logits.isnan().any():
        raise NonFiniteError("logits hold NaN: no metric can be computed from them")


def _check_classes(logits: Tensor, targets: Tensor, num_classes: int) -> None:
    _check_logits(logits, (*targets.shape, num_classes))
    if targets.numel() and not 0 <= int(targets.min()) <= int(targets.max()) < num_classes:
        raise ParameterError(
            f"targets must be classes 0 to {num_classes - 1}, "
            f"got {int(targets.min())} to {int(targets.max())}"
        )
