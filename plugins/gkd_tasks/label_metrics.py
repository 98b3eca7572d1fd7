"""Metrics of labels of which a row may have any, as torchmetrics that take logits."""

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import BinaryF1Score

from gkd.errors import ParameterError
from gkd_tasks.prepared import Prepared
from gkd_tasks.ranking_metrics import MeanRanking
from gkd_tasks.supervision import exact, ranking_scores, require_logits


def label_metrics(names: tuple[str, ...], num_labels: int) -> dict[str, Metric]:
    """Return metrics by name.

    ``micro_f1`` is the F1 pooled over all rows and labels, ``2 TP / (2 TP + FP + FN)``, where a
    label is predicted if its logit is above 0 (Hamilton et al., 2017, for PPI); a denominator of 0
    gives 0. ``roc_auc`` and ``average_precision`` are means over the labels. Labels that are NaN
    count nowhere. The metrics raise :class:`NonFiniteError` of NaN logits, and
    :class:`ParameterError` of shapes that do not fit and of other targets than 0 and 1.

    Args:
        names: of those to make.
        num_labels: number of labels.

    >>> import torch
    >>> metric = label_metrics(("micro_f1",), num_labels=2)["micro_f1"]
    >>> metric.update(torch.tensor([[0.3, -4.0], [0.2, 0.9]]), torch.tensor([[1, 0], [1, 0]]))
    >>> metric.compute()
    tensor(0.8000)
    """

    def targets_of(logits: Tensor, targets: Tensor) -> Tensor:
        # Both: targets of another width would be taken for another number of labels.
        require_logits(logits, (*targets.shape[:-1], num_labels))
        require_logits(logits, targets.shape)
        targets = exact(targets)
        if not ((targets == 0) | (targets == 1) | targets.isnan()).all():
            raise ParameterError("targets of a multi-label task must be 0 or 1")
        return targets

    def decided(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        targets = targets_of(logits, targets)
        known = ~targets.isnan()
        # Decisions lose nothing where a sigmoid rounds to 0.5.
        return (logits[known] > 0).long(), targets[known].long()

    def ranked(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return ranking_scores(logits), targets_of(logits, targets)

    made = {
        "micro_f1": lambda: Prepared(BinaryF1Score(validate_args=False), decided),
        "roc_auc": lambda: Prepared(MeanRanking("roc_auc"), ranked),
        "average_precision": lambda: Prepared(MeanRanking("average_precision"), ranked),
    }
    return {name: made[name]() for name in names}
