"""Metrics of labels of which a row may have any, as torchmetrics that take logits."""

from torch import Tensor
from torchmetrics.classification import MultilabelF1Score

from gkd.errors import ParameterError
from gkd_tasks.supervision import require_logits


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
        require_logits(logits, (*targets.shape[:-1], self.width))
        require_logits(logits, targets.shape)
        if not ((targets == 0) | (targets == 1)).all():
            raise ParameterError("targets of a multi-label task must be 0 or 1")
        # torchmetrics takes scores that all lie in [0, 1] for probabilities, whatever they are;
        # decisions leave it nothing to guess, and lose nothing where a sigmoid rounds to 0.5.
        if targets.numel():
            super().update((logits > 0).int(), targets.int())
