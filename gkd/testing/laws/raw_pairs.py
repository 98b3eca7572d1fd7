"""The pairs at the ends of every edge, taken literally."""

from collections.abc import Callable

import torch
from torch import Tensor

from gkd.functional.similarities import EdgePairs


class RawPairs(EdgePairs):
    """What kernels ask of pairs, computed from both gathered ends, one pair after another.

    It takes the memory that :class:`~gkd.functional.similarities.EdgePairs` saves, and none of its
    shortcuts: a kernel that depends on how its pairs are computed tells the two apart.
    """

    def dot(self, tolerance: float = 0.0) -> Tensor:
        """Dot products, ``[E]``."""
        return self.compared(lambda targets, sources: (targets * sources).sum(1))

    def squared_distance(self, tolerance: float = 0.0) -> Tensor:
        """Squared distances, ``[E]``."""
        return self.compared(lambda targets, sources: (targets - sources).square().sum(1))

    def l1_distance(self) -> Tensor:
        """Sums of absolute differences, ``[E]``."""
        return self.compared(lambda targets, sources: (targets - sources).abs().sum(1))

    def cosine(self) -> Tensor:
        """Cosines, ``[E]``; 0 where an end is zero."""
        return self.compared(_cosine)

    def compared(self, comparison: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Values of ``comparison``, ``[E]``, each from a block of one pair."""
        values = [
            comparison(self.features[target : target + 1], self.features[source : source + 1])
            for source, target in self.graph.edge_index.t().tolist()
        ]
        return torch.cat(values) if values else self.features.new_zeros(0)


def _cosine(targets: Tensor, sources: Tensor) -> Tensor:
    scale = targets.norm(dim=1) * sources.norm(dim=1)
    cosines: Tensor = (targets * sources).sum(1) / scale.masked_fill(scale == 0, 1)
    return cosines
