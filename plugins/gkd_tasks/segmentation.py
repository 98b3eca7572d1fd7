"""Segmentation: each point of a cloud has exactly one of C classes."""

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from gkd import DataError, Task
from gkd.errors import validated
from gkd_tasks.supervision import (
    at_least_single,
    check_class_logits,
    check_classes,
    form,
    known_classes,
)

if TYPE_CHECKING:
    from torchmetrics import MetricCollection


class Segmentation(Task):
    r"""Each point has exactly one of C classes: cross entropy of the softmax, mean over points.

    .. math:: -\frac{1}{N} \sum_i \log \mathrm{softmax}(z_i)_{y_i}

    Logits are ``[N, C]``, a row per point of all clouds, or ``[B, C, N]``, channels first, of B
    clouds of N points; labels accordingly ``[N]`` or ``[B, N]``.

    Metrics: the mean over classes of the intersection over the union of the points that are of the
    class and those that are said to be, over the whole split (a class that neither has is left
    out); accuracy, and the accuracy within each class, averaged over classes.

    Args:
        metric: the main one.
        ignore_label: of points that count nowhere.

    Raises:
        DataError: in ``check``, logits or labels of another form, or labels that are no class.

    Example:
        >>> Segmentation().loss(torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([1, 0]))
        tensor(0.6931)
    """

    likelihood = "softmax"
    example_parameters: ClassVar[tuple[dict[str, object], ...]] = ({}, {"ignore_label": -1})

    @validated
    def __init__(
        self,
        metric: Literal["mean_iou", "accuracy", "mean_class_accuracy"] = "mean_iou",
        ignore_label: int | None = None,
    ) -> None:
        self.metric = metric
        self.ignore_label = ignore_label

    def known(self, y: Tensor) -> Tensor:
        """Say which labels are not the ignored one."""
        return known_classes(y, self.ignore_label)

    def rows(self, outputs: Tensor) -> Tensor:
        """Return logits ``[N, C]``, also of ``[B, C, N]``, cloud by cloud."""
        return outputs.transpose(1, 2).flatten(0, 1) if outputs.ndim == 3 else outputs

    def examples(
        self,
        outputs: Tensor,
        batch: object,
        target: str,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return logits ``[N, C]`` and labels ``[N]`` of all points of the batch."""
        outputs, y = super().examples(outputs, batch, target, generator)
        if outputs.ndim == 3:
            clouds, _, points = outputs.shape
            if y.numel() != clouds * points:
                raise DataError(
                    f"segmentation: expected labels [B, N] for logits [B, C, N], got {form(y)} for "
                    f"{form(outputs)}; logits [B, N, C] are to be transposed: .transpose(1, 2)"
                )
        return self.rows(outputs), y.flatten()

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Cross entropy, mean over points."""
        logits, known = at_least_single(outputs), self.known(y)
        if not known.any():
            return 0 * logits.sum()
        return functional.cross_entropy(logits[known], y[known])

    def check(self, outputs: Tensor, y: Tensor) -> None:
        """Expect floating point ``[N, C]`` of two classes or more, and class numbers ``[N]``."""
        check_class_logits(outputs, "segmentation")
        if outputs.ndim != 2 or outputs.shape[1] < 2:
            raise DataError(
                "segmentation logits: expected a column for each of two classes or more, got "
                f"{form(outputs)}"
            )
        check_classes(y, len(outputs), outputs.shape[1], self.ignore_label, "segmentation")

    def metrics(self, num_classes: int) -> "MetricCollection":
        """Mean intersection over union, accuracy, and its mean over the classes that occur."""
        from torchmetrics import MetricCollection

        from gkd_tasks.class_metrics import class_metrics

        names = ("mean_iou", "accuracy", "mean_class_accuracy")
        made = class_metrics(names, num_classes, self.ignore_label)
        return MetricCollection({**made}, compute_groups=False)
