"""Metrics of pairs of nodes, as torchmetrics that take scores."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from gkd.errors import ParameterError
from gkd_tasks.prepared import Prepared
from gkd_tasks.ranking_metrics import MeanRanking
from gkd_tasks.supervision import exact, ranking_scores, require_logits


def pair_metrics(k: int) -> dict[str, Metric]:
    """Return Hits@K, the mean reciprocal rank, ROC AUC and average precision, by name.

    They are of all pairs of a split, and raise :class:`NonFiniteError` of NaN scores, and
    :class:`ParameterError` of shapes that do not fit and of other labels than 0 and 1.

    Args:
        k: K of Hits@K.

    >>> metrics = pair_metrics(1)
    >>> for metric in metrics.values():
    ...     metric.update(torch.tensor([3.0, 1.0, 2.0, 0.0]), torch.tensor([1, 1, 0, 0]))
    >>> {name: round(metric.compute().item(), 3) for name, metric in metrics.items()}
    {'hits@1': 0.5, 'mrr': 0.75, 'roc_auc': 0.75, 'average_precision': 0.833}
    """
    return {
        f"hits@{k}": Prepared(HitsAtK(k), _labelled),
        "mrr": Prepared(MeanReciprocalRank(), _labelled),
        "roc_auc": Prepared(MeanRanking("roc_auc"), _ranked),
        "average_precision": Prepared(MeanRanking("average_precision"), _ranked),
    }


class PairRanks(Metric):
    """Rank of each positive pair among all negative ones: 1 and the number of those not below it.

    Without a positive pair, or a negative one, there are no ranks, and the metric is NaN.
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    scores: list[Tensor]
    targets: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("scores", default=[], dist_reduce_fx="cat")
        self.add_state("targets", default=[], dist_reduce_fx="cat")

    def update(self, scores: Tensor, targets: Tensor) -> None:
        """Add a batch: ``[P]`` each, targets bool."""
        self.scores.append(scores.detach())
        self.targets.append(targets)

    def compute(self) -> Tensor:
        """Return the mean over positive pairs of what a rank is worth."""
        scores, positive = dim_zero_cat(self.scores), dim_zero_cat(self.targets)
        negatives = scores[~positive].sort().values
        if not len(negatives):
            return torch.tensor(float("nan"))
        below = torch.searchsorted(negatives, scores[positive])
        return self.worth(1 + len(negatives) - below).mean()

    def worth(self, rank: Tensor) -> Tensor:
        """Return what ranks, from 1, are worth."""
        raise NotImplementedError


class HitsAtK(PairRanks):
    """Share of positive pairs that are above the K-th best negative pair.

    Args:
        k: K.
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def worth(self, rank: Tensor) -> Tensor:
        """1 up to K, 0 beyond."""
        return (rank <= self.k).float()


class MeanReciprocalRank(PairRanks):
    """Mean over positive pairs of one over their rank."""

    def worth(self, rank: Tensor) -> Tensor:
        """One over the rank."""
        return 1 / rank


def _labelled(scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    require_logits(scores, tuple(targets.shape))
    if not ((targets == 0) | (targets == 1)).all():
        raise ParameterError("labels of pairs must be 0 or 1")
    return exact(scores), targets == 1


def _ranked(scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    scores, positive = _labelled(scores, targets)
    return ranking_scores(scores)[:, None], exact(positive[:, None])
