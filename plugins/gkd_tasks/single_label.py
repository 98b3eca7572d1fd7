"""Single-label classification: each row has exactly one of C classes."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from gkd import Task
from gkd.errors import DataError
from gkd_tasks.supervision import at_least_single, check_logits, form

if TYPE_CHECKING:
    from torchmetrics import MetricCollection


class SingleLabel(Task):
    r"""Each row has exactly one of C classes: cross entropy of the softmax, mean over rows.

    .. math:: -\frac{1}{N} \sum_i \log \mathrm{softmax}(z_i)_{y_i}

    Metrics: accuracy (the main one), and the accuracy within each class, averaged over classes.

    Raises:
        DataError: in ``check``, labels other than int64 ``[N]`` with every value in [0, C).

    Example:
        >>> SingleLabel().loss(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
        tensor(0.6931)
    """

    likelihood = "softmax"
    metric = "accuracy"

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Cross entropy, mean over rows."""
        logits = at_least_single(outputs)
        return functional.cross_entropy(logits, y) if y.numel() else logits.sum()

    def check(self, outputs: Tensor, y: Tensor) -> None:
        """Expect int64 ``[N]`` with every value in [0, C), and at least two classes."""
        check_logits(outputs, "single-label")
        rows, classes = outputs.shape
        if classes == 1:
            raise DataError(
                "single-label logits: expected at least two classes, got one, which is always "
                "right; yes or no is a multi-label task with one label"
            )
        if y.shape != (rows,) or y.dtype != torch.int64:
            raise DataError(
                f"single-label targets: expected int64 of shape [{rows}] (one class number per "
                f"row of the logits), got {form(y)}"
            )
        if y.numel():
            lowest, highest = (int(value) for value in y.aminmax())
            if lowest < 0 or highest >= classes:
                raise DataError(
                    f"single-label targets: expected class numbers from 0 to {classes - 1} "
                    f"(the logits have {classes} columns), got {lowest} to {highest}"
                )

    def metrics(self, num_classes: int) -> "MetricCollection":
        """Accuracy, and its mean over the classes that occur."""
        from torchmetrics import MetricCollection

        from gkd_tasks.class_metrics import Accuracy, MeanClassAccuracy

        return MetricCollection(
            {
                "accuracy": Accuracy(num_classes),
                "mean_class_accuracy": MeanClassAccuracy(num_classes),
            },
            compute_groups=False,
        )
