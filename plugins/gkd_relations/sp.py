"""SP: Tung, Mori, Similarity-Preserving Knowledge Distillation, ICCV 2019.

https://arxiv.org/abs/1907.09682.
"""

import torch
from torch import Tensor

from gkd import AbstractLoss, Paper, View
from gkd.functional.paired_rows import at_least_zero, paired_features


class SP(AbstractLoss):
    r"""Squared difference of the similarities between all pairs of nodes, scaled for each node.

    .. math:: \frac{1}{N^2} \sum_i \| \bar g^s_i - \bar g^t_i \|^2, \qquad
        \bar g_i = \frac{Z z_i}{\| Z z_i \|}

    with Z the features of all nodes, ``[N, F]``: :math:`\bar g_i` is a row of the Gram matrix
    :math:`Z Z^T` at unit length. Pairs across the graphs of a batch count as well. A node whose
    row is 0 keeps it.

    No matrix of nodes by nodes is made, as all that the rows are asked for follows from products of
    features by features: :math:`\|Z z_i\|^2 = z_i^T (Z^T Z) z_i`, and the product of two rows is
    :math:`z_i^{sT} (Z^{sT} Z^t) z^t_i`. Memory is O(N·(F + F') + (F + F')²), time O(N·(F + F')²),
    in float64.

    Shapes:
        ``student.features`` ``[N, F]``, ``teacher.features`` ``[N, F']``; a scalar results.

    Raises:
        ParameterError: in the call, views without features or with different nodes.

    When:
        Widths differ and no adapter is wanted, and on large graphs: of the losses that compare all
        pairs it is the one whose cost does not grow with their number.

    Source:
        The paper's loss for a batch. HobbitLong/RepDistiller takes a weight of 3000 for batches of
        64 images.

    Example:
        >>> student = View(features=torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        >>> teacher = View(features=torch.tensor([[2.0], [2.0]]))
        >>> SP()(student, teacher)
        tensor(0.2929)
    """

    uses = ("features",)
    samples_apart = False
    paper = Paper(
        "Tung, Mori",
        "Similarity-Preserving Knowledge Distillation",
        "ICCV",
        2019,
        "https://arxiv.org/abs/1907.09682",
    )
    parity = ("HobbitLong/RepDistiller",)

    def forward(self, student: View, teacher: View) -> Tensor:
        """Return the squared difference over N²; 0 where there are no nodes."""
        ours, theirs = paired_features(
            student.require_features("sp"), teacher.require_features("sp"), "sp"
        )
        # Of two rows that nearly agree, the products nearly cancel.
        s, t = ours.double(), theirs.double()
        our_squares, their_squares = row_products(s, s), row_products(t, t)
        here, there = our_squares > 0, their_squares > 0
        lengths = (torch.where(here, our_squares, 1) * torch.where(there, their_squares, 1)).sqrt()
        # Both are 1 long, or 0: the squared distance follows from their product.
        squares = here.to(s.dtype) + there.to(s.dtype) - 2 * row_products(s, t) / lengths
        value = at_least_zero(squares).sum() / max(len(s), 1) ** 2
        return value.to(ours.dtype)


def row_products(one: Tensor, other: Tensor) -> Tensor:
    """Product of each row of one Gram matrix with that of the other, ``[N]``.

    >>> row_products(torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [0.0]]))
    tensor([1., 0.])
    """
    products: Tensor = torch.linalg.vecdot(one @ (one.T @ other), other)
    return products
