"""Metrics of torchmetrics, given what they ask for."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.wrappers.abstract import WrapperMetric

_BLOCK = 2**18  # logits or labels, whose counts take some 10 MB

Preparation = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Prepared(WrapperMetric):
    """A metric of torchmetrics that takes a network's outputs and labels as they are.

    Where no label is known in all batches, the metric is NaN, and not 0.

    Args:
        metric: of torchmetrics.
        prepare: makes of outputs and labels what the metric takes, of known labels alone.
    """

    def __init__(self, metric: Metric, prepare: Preparation) -> None:
        super().__init__()
        self.metric = metric
        self.prepare = prepare

    @property
    def higher_is_better(self) -> bool | None:  # type: ignore[override]
        """As the metric itself says."""
        return self.metric.higher_is_better

    @property
    def plot_lower_bound(self) -> float | None:  # type: ignore[override]
        """As the metric itself says."""
        return self.metric.plot_lower_bound

    @property
    def plot_upper_bound(self) -> float | None:  # type: ignore[override]
        """As the metric itself says."""
        return self.metric.plot_upper_bound

    def update(self, outputs: Tensor, y: Tensor) -> None:
        """Add a batch, in blocks of rows: a metric takes several times the memory of its labels."""
        rows = max(1, _BLOCK * len(y) // max(1, outputs.numel(), y.numel()))
        # Where they differ in length, that is for the metric to say.
        parts = [(outputs, y)]
        if len(outputs) == len(y) > rows:
            parts = list(zip(torch.split(outputs, rows), torch.split(y, rows), strict=True))
        for part in parts:
            prepared, known = self.prepare(*part)
            if known.numel():
                self.metric.update(prepared, known)

    def compute(self) -> Tensor:
        """Return the metric over all batches."""
        if not self.metric.update_called:
            return torch.tensor(float("nan"))
        value: Tensor = self.metric.compute()
        return value

    def reset(self) -> None:
        """Forget all batches."""
        self.metric.reset()
        super().reset()

    def forward(self, outputs: Tensor, y: Tensor) -> Any:
        """Return the metric of one batch, and add it."""
        outputs, y = self.prepare(outputs, y)
        return self.metric(outputs, y)
