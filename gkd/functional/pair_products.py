"""Inner products of rows with others, of any pairs, without gathering features for each pair."""

import torch
from torch import Tensor

from gkd.functional.similarities import EdgePairs
from gkd.graph import Graph


def pair_dots(features: Tensor, rows: Tensor, others: Tensor) -> Tensor:
    """Inner products of each of some rows with others, ``[M, K]``, in the dtype of the features.

    Args:
        features: ``[N, F]``.
        rows: int64 ``[M]``, numbers of rows.
        others: int64 ``[M, K]``, those that each is multiplied with; repetitions are fine.

    >>> pair_dots(torch.tensor([[1.0], [2.0], [5.0]]), torch.tensor([1]), torch.tensor([[0, 2]]))
    tensor([[ 2., 10.]])
    """
    ends = rows[:, None].expand_as(others).flatten()
    # Each pair once, as edges, whose products take no features for every edge.
    pairs = Graph(torch.stack([others.flatten(), ends]), len(features))
    names = pairs.target * len(features) + pairs.source
    place = torch.searchsorted(names, ends * len(features) + others.flatten())
    dots = EdgePairs(features, pairs).dot()
    return dots[place].view_as(others).to(features.dtype)
