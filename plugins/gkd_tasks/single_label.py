"""Single-label classification: each row has exactly one of C classes."""

from typing import TYPE_CHECKING, ClassVar, Literal

from torch import Tensor
from torch.nn import functional

from gkd import Task
from gkd.errors import validated
from gkd_tasks.supervision import (
    at_least_single,
    check_class_logits,
    check_classes,
    class_logits,
    known_classes,
)

if TYPE_CHECKING:
    from torchmetrics import MetricCollection


class SingleLabel(Task):
    r"""Each row has exactly one of C classes: cross entropy of the softmax, mean over rows.

    .. math:: -\frac{1}{N} \sum_i \log \mathrm{softmax}(z_i)_{y_i}

    Logits are ``[N, C]``; for two classes also one column, ``[N]`` or ``[N, 1]``, the logit of
    class 1 against class 0. Labels are class numbers, int64 ``[N]`` or ``[N, 1]``.

    Metrics: accuracy, the accuracy within each class averaged over classes, and the main one.

    Args:
        metric: the main one. The area under the ROC curve and the average precision are those of
            class 1 where there are two, else of each class against the rest, averaged.
        ignore_label: of rows that count nowhere.

    Raises:
        DataError: in ``check``, logits or labels of another form, or labels that are no class.

    Example:
        >>> import torch
        >>> task = SingleLabel(ignore_label=-1)
        >>> task.loss(torch.tensor([[0.0, 0.0], [9.0, 0.0]]), torch.tensor([1, -1]))
        tensor(0.6931)
    """

    likelihood = "softmax"
    example_parameters: ClassVar[tuple[dict[str, object], ...]] = (
        {},
        {"ignore_label": -1, "metric": "roc_auc"},
    )

    @validated
    def __init__(
        self,
        metric: Literal[
            "accuracy", "mean_class_accuracy", "roc_auc", "average_precision"
        ] = "accuracy",
        ignore_label: int | None = None,
    ) -> None:
        self.metric = metric
        self.ignore_label = ignore_label

    def known(self, y: Tensor) -> Tensor:
        """Say which labels are not the ignored one."""
        return known_classes(y, self.ignore_label)

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Cross entropy, mean over rows."""
        logits, y = class_logits(at_least_single(outputs)), y.reshape(-1)
        known = self.known(y)
        if not known.any():
            return 0 * logits.sum()
        return functional.cross_entropy(logits[known], y[known])

    def check(self, outputs: Tensor, y: Tensor) -> None:
        """Expect floating point ``[N, C]`` and class numbers, int64 ``[N]`` or ``[N, 1]``."""
        check_class_logits(outputs, "single-label")
        classes = class_logits(outputs[:0]).shape[1]
        check_classes(y, len(outputs), classes, self.ignore_label, "single-label")

    def metrics(self, num_classes: int) -> "MetricCollection":
        """Accuracy, its mean over the classes that occur, and the main metric."""
        from torchmetrics import MetricCollection

        from gkd_tasks.class_metrics import class_metrics

        names = tuple(dict.fromkeys(("accuracy", "mean_class_accuracy", self.metric)))
        made = class_metrics(names, num_classes, self.ignore_label)
        return MetricCollection({**made}, compute_groups=False)
