"""Multi-label classification: each row has any of C labels."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from gkd import Task
from gkd.errors import DataError
from gkd_tasks.supervision import at_least_single, check_logits, form

if TYPE_CHECKING:
    from torchmetrics import MetricCollection


class MultiLabel(Task):
    r"""Each row has any of C labels: binary cross entropy, mean over rows and labels.

    .. math:: -\frac{1}{NC} \sum_{ic} y_{ic} \log \sigma(z_{ic})
        + (1 - y_{ic}) \log (1 - \sigma(z_{ic}))

    Metric: the F1 pooled over all rows and labels.

    Raises:
        DataError: in ``check``, labels that are not of the logits' shape, or not in [0, 1].

    Example:
        >>> MultiLabel().loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
        tensor(0.6931)
    """

    likelihood = "sigmoid"
    metric = "micro_f1"

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Binary cross entropy of the sigmoid, mean over rows and labels."""
        logits = at_least_single(outputs)
        if not y.numel():
            return logits.sum()
        return functional.binary_cross_entropy_with_logits(logits, y.to(logits.dtype))

    def check(self, outputs: Tensor, y: Tensor) -> None:
        """Expect numbers or booleans of the logits' shape with every value in [0, 1]."""
        check_logits(outputs, "multi-label")
        if y.shape != outputs.shape or y.is_complex():
            raise DataError(
                f"multi-label targets: expected numbers of shape {list(outputs.shape)} "
                f"(0 or 1 for every entry of the logits), got {form(y)}"
            )
        if y.numel():
            lowest, highest = (float(value) for value in y.to(torch.float64).aminmax())
            if not (lowest >= 0 and highest <= 1):
                raise DataError(
                    "multi-label targets: expected values from 0 to 1, "
                    f"got {lowest:g} to {highest:g}"
                )

    def metrics(self, num_classes: int) -> "MetricCollection":
        """F1 pooled over all rows and labels."""
        from torchmetrics import MetricCollection

        from gkd_tasks.label_metrics import MicroF1

        return MetricCollection({"micro_f1": MicroF1(num_classes)}, compute_groups=False)
