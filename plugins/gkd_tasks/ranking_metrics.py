"""ROC AUC and average precision: how well scores rank positive labels before negative ones."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc, binary_average_precision
from torchmetrics.utilities import dim_zero_cat

Ranking: TypeAlias = Literal["roc_auc", "average_precision"]

_FUNCTIONS: Mapping[Ranking, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {"roc_auc": binary_auroc, "average_precision": binary_average_precision}
)


class MeanRanking(Metric):
    """ROC AUC or average precision of each label over all batches, and their mean.

    A label of which all known values are equal has no ranking, and is left out of the mean; where
    there is no other, the mean is NaN.

    Args:
        kind: ``"roc_auc"`` or ``"average_precision"``.

    Source:
        The evaluators of the Open Graph Benchmark (Hu et al., 2020) for molhiv and molpcba.

    >>> metric = MeanRanking("roc_auc")
    >>> scores = torch.tensor([[0.1, 0.9], [0.4, 0.1], [0.9, 0.2]])
    >>> metric.update(scores, torch.tensor([[0.0, 1.0], [1.0, 1.0], [0.0, torch.nan]]))
    >>> metric.compute()  # of the first label alone
    tensor(0.5000)
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    scores: list[Tensor]
    targets: list[Tensor]

    def __init__(self, kind: Ranking) -> None:
        super().__init__()
        self.function = _FUNCTIONS[kind]
        self.add_state("scores", default=[], dist_reduce_fx="cat")
        self.add_state("targets", default=[], dist_reduce_fx="cat")

    def update(self, scores: Tensor, targets: Tensor) -> None:
        """Add a batch: ``scores [N, K]`` in [0, 1], ``targets [N, K]`` of 0, 1 and NaN."""
        self.scores.append(scores.detach())
        self.targets.append(targets)

    def compute(self) -> Tensor:
        """Return the mean over labels."""
        values = []
        for scores, targets in zip(
            dim_zero_cat(self.scores).unbind(1), dim_zero_cat(self.targets).unbind(1), strict=True
        ):
            known = ~targets.isnan()
            positive = targets[known].long()
            if 0 < int(positive.sum()) < len(positive):
                values.append(self.function(scores[known], positive))
        if not values:
            return torch.tensor(float("nan"))
        return torch.stack(values).mean()
