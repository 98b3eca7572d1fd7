"""Metrics of classes of which a row has one, as torchmetrics that take logits."""

from functools import partial

from torch import Tensor
from torch.nn.functional import one_hot
from torchmetrics import Metric
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassJaccardIndex,
    MulticlassStatScores,
)

from gkd.errors import ParameterError
from gkd_tasks.prepared import Prepared
from gkd_tasks.ranking_metrics import MeanRanking
from gkd_tasks.supervision import (
    class_logits,
    exact,
    known_classes,
    ranking_scores,
    require_logits,
)


def class_metrics(
    names: tuple[str, ...], num_classes: int, ignored: int | None
) -> dict[str, Metric]:
    """Return metrics by name.

    ``accuracy`` is the share of rows whose largest logit is that of their class,
    ``mean_class_accuracy`` its mean over the classes that occur, ``mean_iou`` the mean over classes
    of the intersection over the union of rows that are and that are said to be of it; ``roc_auc``
    and ``average_precision`` are those of class 1 where there are two, else the mean over classes,
    each against the rest. The metrics raise :class:`NonFiniteError` of NaN, and
    :class:`ParameterError` of shapes that do not fit and of targets that are no class.

    Args:
        names: of those to make.
        num_classes: number of classes; 1, of a single column of logits, are two.
        ignored: label of rows that do not count.

    >>> import torch
    >>> metrics = class_metrics(("accuracy", "mean_iou"), num_classes=2, ignored=None)
    >>> logits, y = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1])
    >>> for metric in metrics.values():
    ...     metric.update(logits, y)
    >>> metrics["accuracy"].compute(), metrics["mean_iou"].compute()
    (tensor(0.5000), tensor(0.2500))
    """
    classes = max(num_classes, 2)
    known = partial(_known, classes=classes, ignored=ignored)
    ranked = partial(_ranked, classes=classes, ignored=ignored)
    made = {
        "accuracy": lambda: Prepared(
            MulticlassAccuracy(classes, average="micro", validate_args=False), known
        ),
        "mean_class_accuracy": lambda: Prepared(MeanClassAccuracy(classes), known),
        "mean_iou": lambda: Prepared(MulticlassJaccardIndex(classes, validate_args=False), known),
        "roc_auc": lambda: Prepared(MeanRanking("roc_auc"), ranked),
        "average_precision": lambda: Prepared(MeanRanking("average_precision"), ranked),
    }
    return {name: made[name]() for name in names}


class MeanClassAccuracy(MulticlassStatScores):
    """Accuracy within each class, averaged over the classes that occur in the targets.

    A class without a target has no accuracy and is left out of the mean, whether or not it is
    predicted: the balanced accuracy of scikit-learn.

    Args:
        num_classes: Number of classes, at least 2.

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

    def compute(self) -> Tensor:
        """Mean over classes of true positives per target."""
        scores = super().compute()
        true_positives, support = scores[:, 0], scores[:, -1]
        occurs = support > 0
        return (true_positives[occurs] / support[occurs]).mean()


def _known(
    logits: Tensor, targets: Tensor, classes: int, ignored: int | None
) -> tuple[Tensor, Tensor]:
    """Return logits ``[M, C]`` and classes ``[M]`` of the rows with a known label."""
    logits, targets = class_logits(logits), targets.reshape(-1)
    require_logits(logits, (len(targets), classes))
    known = known_classes(targets, ignored)
    logits, targets = logits[known], targets[known]
    if targets.numel() and not 0 <= int(targets.min()) <= int(targets.max()) < classes:
        raise ParameterError(
            f"targets must be classes 0 to {classes - 1}, "
            f"got {int(targets.min())} to {int(targets.max())}"
        )
    return logits, targets


def _ranked(
    logits: Tensor, targets: Tensor, classes: int, ignored: int | None
) -> tuple[Tensor, Tensor]:
    """Return scores ``[M, K]`` and which rows are of the class; K is 1 for two classes."""
    logits, targets = _known(logits, targets, classes, ignored)
    if classes == 2:
        return ranking_scores(logits[:, 1:] - logits[:, :1]), exact(targets[:, None])
    return exact(logits).softmax(1), exact(one_hot(targets, classes))
