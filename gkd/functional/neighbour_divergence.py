"""How far the predictions of a node are from those of its neighbours, without a row per edge."""

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from gkd.functional.edge_products import neighbour_sum
from gkd.functional.paired_rows import at_least_zero
from gkd.graph import Graph


def neighbour_divergence(student: Tensor, teacher: Tensor, weights: Tensor, graph: Graph) -> Tensor:
    r"""Weighted sum of the divergences of each node's prediction from those of its neighbours.

    .. math:: \sum_{j \in N(i)} w_{ij}\,
        \mathrm{KL}(\mathrm{softmax}(t_j) \,\|\, \mathrm{softmax}(s_i))

    A divergence is the negative entropy of :math:`t_j`, less a product with :math:`\log s_i`: over
    the neighbours of i, sums of both are enough. Memory is O(E + N·C).

    Args:
        student: logits s, ``[N, C]``.
        teacher: logits t, ``[N, C]``, without a gradient.
        weights: ``[E]``, at least 0, without a gradient.
        graph: E edges over the N nodes.

    Returns:
        ``[N]``.

    >>> graph = Graph(torch.tensor([[1], [0]]), 2)
    >>> logits = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    >>> neighbour_divergence(logits, logits, torch.ones(1), graph)
    tensor([0.3278, 0.0000])
    """
    log_likely = log_softmax(teacher, dim=1)
    likely = log_likely.exp()
    known = torch.cat([likely, (likely * log_likely).sum(dim=1, keepdim=True)], dim=1)
    sums = neighbour_sum(weights, known, graph)
    return at_least_zero(sums[:, -1] - (sums[:, :-1] * log_softmax(student, dim=1)).sum(dim=1))
