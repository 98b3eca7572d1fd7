"""The supervised loss: a task's, over the rows of a batch whose labels train."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gkd.data.batch_nodes import BatchNodes
from gkd.data.rows import Rows, require_mask_used
from gkd.data.sampled_batch import SampledBatch
from gkd.data.task import Task
from gkd.errors import DataError


@dataclass(frozen=True)
class SupervisedLoss:
    """Loss of logits against the labels of a batch.

    Args:
        task: says how logits and labels compare.
        target: attribute of the batch with the labels.
        rows: those whose labels count; None for all, where the batch has no mask for training.
    """

    task: Task
    target: str
    rows: Rows | None

    def __call__(
        self, logits: Tensor, batch: object, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return the loss, a scalar.

        Args:
            logits: of the network.
            batch: with the labels.
            generator: of what the task draws.

        Raises:
            DataError: labels or mask are missing or do not fit the logits, or a mask of the
                training rows goes unused.
        """
        logits, y = self.task.examples(logits, batch, self.target, generator)
        if self.rows is None:
            require_mask_used(batch)
        _require_rows_of_one_kind(logits, y, batch)
        # Of a sampled batch all rows are its seeds.
        if self.rows is not None or isinstance(batch, SampledBatch):
            logits, y = taken_rows(self.rows or Rows(), batch, logits, y)
        self.task.check(logits, y)
        return self.task.loss(logits, y)


def _require_rows_of_one_kind(logits: Tensor, y: Tensor, batch: object) -> None:
    """Say so where logits are of nodes and labels of samples, as without pooling."""
    if logits.ndim == 0 or y.ndim == 0 or len(logits) == len(y):
        return
    nodes = BatchNodes(batch)
    if (len(logits), len(y)) == (nodes.number, nodes.num_samples):
        raise DataError(
            f"the network gives a row for each of {len(logits)} nodes, and there is a label for "
            f"each of {len(y)} samples: it must pool the nodes of each; one that does where it "
            "is called with 'batch' needs that among its inputs"
        )


def taken_rows(rows: Rows, batch: object, logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows of logits and labels that ``rows`` names.

    Raises:
        DataError: they do not correspond, or the batch has no such rows.
    """
    if len(logits) != len(y):
        raise DataError(
            f"mask {str(rows)!r}: logits {list(logits.shape)} and labels {list(y.shape)} differ in "
            "their number of rows"
        )
    taken = rows.of(batch, len(logits))
    return (logits, y) if taken is None else (logits[taken], y[taken])
