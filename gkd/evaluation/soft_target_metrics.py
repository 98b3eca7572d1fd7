"""How sure a network is, and how rightly so, as metrics over batches."""

import math

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassCalibrationError

from gkd.data.task import Task
from gkd.evaluation.soft_targets import CALIBRATION, CONFIDENCE


def soft_target_metrics(task: Task) -> dict[str, Metric]:
    """Return the mean largest probability and the expected calibration error, by name.

    A prediction is the softmax of a row, or of every label whether it is there; a task whose
    outputs are no logits has neither.

    Args:
        task: says what outputs mean, and which labels are known.
    """
    if not predicts(task):
        return {}
    return {CONFIDENCE: Confidence(task), CALIBRATION: CalibrationError(task)}


def predicts(task: Task) -> bool:
    """Whether outputs of a task's networks are probabilities of answers."""
    return task.likelihood in ("softmax", "sigmoid")


def predictions(task: Task, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return probabilities ``[M, A]`` of A answers, and the right ones, int64 ``[M]``; -1: unknown.

    Args:
        task: says what outputs mean.
        outputs: a row per example.
        y: labels.

    >>> import gkd
    >>> task = gkd.create("task", "multi-label")
    >>> predictions(task, torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, torch.nan]]))
    (tensor([[0.5000, 0.5000],
            [0.5000, 0.5000]]), tensor([ 1, -1]))
    """
    logits = task.rows(outputs)
    if task.likelihood == "sigmoid" or logits.shape[1] == 1:
        column = logits.reshape(-1, 1)
        likely = torch.cat([-column, column], dim=1).sigmoid()
    else:
        likely = logits.softmax(1)
    known, labels = task.known(y).reshape(-1), y.reshape(-1)
    # What is no class number, such as a soft label, has no right answer.
    if len(labels) != len(likely):
        return likely, torch.full((len(likely),), -1, device=likely.device)
    known = known & (labels == labels.nan_to_num().round())
    return likely, torch.where(known, labels.nan_to_num(), -1).long()


class Confidence(Metric):
    """Mean largest probability of the predictions."""

    higher_is_better = None
    is_differentiable = False
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    total: Tensor
    count: Tensor

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        self.add_state("total", default=torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, outputs: Tensor, y: Tensor) -> None:
        """Add a batch."""
        largest = predictions(self.task, outputs, y)[0].amax(1)
        self.total = self.total + largest.sum()
        self.count = self.count + len(largest)

    def compute(self) -> Tensor:
        """Return the mean over all batches."""
        return self.total / self.count


class CalibrationError(MulticlassCalibrationError):
    r"""Expected calibration error: how far confidence and accuracy are apart, in 15 bins.

    .. math:: \sum_b \frac{n_b}{N} \, |\mathrm{accuracy}_b - \mathrm{confidence}_b|

    Over the predictions whose right answer is known; NaN where there is none.

    Source:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
    """

    def __init__(self, task: Task) -> None:
        # The number of classes is for checks alone, which predictions of one task do not need.
        super().__init__(num_classes=2, validate_args=False)
        self.task = task

    def update(self, outputs: Tensor, y: Tensor) -> None:
        """Add a batch."""
        likely, right = predictions(self.task, outputs, y)
        known = right >= 0
        if known.any():
            super().update(likely[known], right[known])

    def compute(self) -> Tensor:
        """Return the error over all batches."""
        return super().compute() if len(self.confidences) else torch.tensor(math.nan)
