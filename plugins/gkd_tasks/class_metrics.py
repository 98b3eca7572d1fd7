"""Metrics of classes of which a row has one, as torchmetrics that take logits."""

from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy, MulticlassStatScores

from gkd.errors import ParameterError
from gkd_tasks.supervision import require_logits


class Accuracy(MulticlassAccuracy):
    """Share of nodes (or graphs) whose largest logit is that of their class.

    Args:
        num_classes: Number of classes, at least 2.

    Raises:
        NonFiniteError: A logit is NaN.
        ParameterError: Shapes do not fit, or a target is not a class.

    >>> import torch
    >>> metric = Accuracy(num_classes=2)
    >>> metric.update(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1]))
    >>> metric.compute()
    tensor(0.5000)
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes=num_classes, average="micro", validate_args=False)
        self.width = num_classes

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Add a batch: ``logits [N, C]``, ``targets [N]``."""
        _check_classes(logits, targets, self.width)
        if targets.numel():
            super().update(logits, targets)


class MeanClassAccuracy(MulticlassStatScores):
    """Accuracy within each class, averaged over the classes that occur in the targets.

    A class without a target has no accuracy and is left out of the mean, whether or not it is
    predicted: the balanced accuracy of scikit-learn.

    Args:
        num_classes: Number of classes, at least 2.

    Raises:
        NonFiniteError: A logit is NaN.
        ParameterError: Shapes do not fit, or a target is not a class.

    >>> import torch
    >>> metric = MeanClassAccuracy(num_classes=3)
    >>> logits = torch.eye(3)[[0, 0, 1, 2]]
    >>> metric.update(logits, torch.tensor([0, 0, 0, 1]))  # nobody is of class 2
    >>> metric.compute()
    tensor(0.3333)
    """

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes=num_classes, average=None, validate_args=False)
        self.width = num_classes

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Add a batch: ``logits [N, C]``, ``targets [N]``."""
        _check_classes(logits, targets, self.width)
        if targets.numel():
            super().update(logits, targets)

    def compute(self) -> Tensor:
        """Mean over classes of true positives per target."""
        scores = super().compute()
        true_positives, support = scores[:, 0], scores[:, -1]
        occurs = support > 0
        return (true_positives[occurs] / support[occurs]).mean()


def _check_classes(logits: Tensor, targets: Tensor, num_classes: int) -> None:
    require_logits(logits, (*targets.shape, num_classes))
    if targets.numel() and not 0 <= int(targets.min()) <= int(targets.max()) < num_classes:
        raise ParameterError(
            f"targets must be classes 0 to {num_classes - 1}, "
            f"got {int(targets.min())} to {int(targets.max())}"
        )
