"""Multi-label classification: each row has any of C labels."""

from typing import TYPE_CHECKING, ClassVar, Literal

from torch import Tensor
from torch.nn import functional

from gkd import Task
from gkd.errors import DataError, validated
from gkd_tasks.supervision import at_least_single, exact, form

if TYPE_CHECKING:
    from torchmetrics import MetricCollection


class MultiLabel(Task):
    r"""Each row has any of C labels: binary cross entropy, mean over rows and labels.

    .. math:: -\frac{1}{|K|} \sum_{(i,c) \in K} y_{ic} \log \sigma(z_{ic})
        + (1 - y_{ic}) \log (1 - \sigma(z_{ic}))

    K are the known labels: one that is NaN, as in the molecules of the Open Graph Benchmark, counts
    nowhere. Logits and labels are ``[N, C]``.

    Metrics: the F1 pooled over all rows and labels, and the main one.

    Args:
        metric: the main one. The area under the ROC curve and the average precision are means over
            the labels of which both values occur.

    Raises:
        DataError: in ``check``, labels that are not of the logits' shape, or not in [0, 1].

    Example:
        >>> import torch
        >>> MultiLabel().loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, torch.nan]]))
        tensor(0.6931)
    """

    likelihood = "sigmoid"
    example_parameters: ClassVar[tuple[dict[str, object], ...]] = ({}, {"metric": "roc_auc"})

    @validated
    def __init__(
        self, metric: Literal["micro_f1", "roc_auc", "average_precision"] = "micro_f1"
    ) -> None:
        self.metric = metric

    def known(self, y: Tensor) -> Tensor:
        """Say which labels are not NaN."""
        return ~y.isnan()

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Binary cross entropy of the sigmoid, mean over known labels."""
        logits, known = at_least_single(outputs), self.known(y)
        if not known.any():
            return 0 * logits.sum()
        return functional.binary_cross_entropy_with_logits(logits[known], y[known].to(logits.dtype))

    def check(self, outputs: Tensor, y: Tensor) -> None:
        """Expect numbers or booleans of the logits' shape with every value in [0, 1] or NaN."""
        if outputs.ndim != 2 or not outputs.is_floating_point() or outputs.shape[1] == 0:
            raise DataError(
                "multi-label logits: expected floating point of shape [N, C] with at least one "
                f"class, got {form(outputs)}"
            )
        if y.shape != outputs.shape or y.is_complex():
            raise DataError(
                f"multi-label targets: expected numbers of shape {list(outputs.shape)} "
                f"(0 or 1 for every entry of the logits), got {form(y)}"
            )
        # Comparisons with NaN are false, and their results small: there may be 10^7 labels.
        if ((y < 0) | (y > 1)).any():
            lowest, highest = (float(value) for value in exact(y[self.known(y)]).aminmax())
            raise DataError(
                f"multi-label targets: expected values from 0 to 1, got {lowest:g} to {highest:g}"
            )

    def metrics(self, num_classes: int) -> "MetricCollection":
        """F1 pooled over all rows and labels, and the main metric."""
        from torchmetrics import MetricCollection

        from gkd_tasks.label_metrics import label_metrics

        names = tuple(dict.fromkeys(("micro_f1", self.metric)))
        return MetricCollection({**label_metrics(names, num_classes)}, compute_groups=False)
