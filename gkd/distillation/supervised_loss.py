"""The task's loss on a batch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gkd.distillation.batch_attributes import tensor_attribute
from gkd.distillation.task import Task
from gkd.errors import DataError


@dataclass(frozen=True)
class SupervisedLoss:
    """Loss of logits against the labels of a batch.

    Args:
        task: says how logits and labels compare.
        target: attribute of the batch with the labels.
        mask: attribute of the batch, boolean ``[N]``, with the rows that count; None for all.
    """

    task: Task
    target: str
    mask: str | None

    def __call__(self, logits: Tensor, batch: object) -> Tensor:
        """Return the loss, a scalar.

        Raises:
            DataError: labels or mask are missing or do not fit the logits.
        """
        y = tensor_attribute(batch, self.target, "target")
        if self.mask is not None:
            mask = self._fitting_mask(logits, y, batch, self.mask)
            logits, y = logits[mask], y[mask]
        self.task.check(logits, y)
        return self.task.loss(logits, y)

    def _fitting_mask(self, logits: Tensor, y: Tensor, batch: object, name: str) -> Tensor:
        mask = tensor_attribute(batch, name, "mask")
        if mask.dtype != torch.bool or not mask.shape == logits.shape[:1] == y.shape[:1]:
            raise DataError(
                f"mask: batch.{name} must be boolean with an entry per row of the logits "
                f"{list(logits.shape)} and of {self.target} {list(y.shape)}, got {mask.dtype} of "
                f"shape {list(mask.shape)}"
            )
        return mask
