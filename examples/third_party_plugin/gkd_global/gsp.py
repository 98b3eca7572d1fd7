"""GSP, global structure preserving loss: Joshi et al., TNNLS 2022, https://arxiv.org/abs/2111.04964."""

import torch
from torch import Tensor

from gkd import AbstractLoss, View
from gkd_global.nodes import directions, paired_features


class GSP(AbstractLoss):
    r"""Mean squared difference of the cosines between all pairs of nodes.

    .. math:: \frac{1}{N^2} \sum_{ij} (\cos(z^s_i, z^s_j) - \cos(z^t_i, z^t_j))^2

    With S and T, ``[N, F]`` and ``[N, F']``, the features scaled to unit length per node, the sum
    is :math:`\|S^T S\|^2 + \|T^T T\|^2 - 2 \|S^T T\|^2`: memory is O(N·(F + F') + (F + F')²), and
    no matrix of nodes by nodes exists. The products run in float64, as their difference is small
    where student and teacher agree.

    Pairs across the graphs of a batch count as well. A node without a direction (all features 0)
    has the cosine 0 with every node.

    Raises:
        ParameterError: in the call, views without features or with different nodes.

    Source:
        The paper's GSP with the cosine kernel, over all nodes of the batch; its code draws some.

    Example:
        >>> import torch
        >>> from gkd import View
        >>> student = View(features=torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        >>> teacher = View(features=torch.tensor([[2.0], [3.0]]))
        >>> GSP()(student, teacher)
        tensor(0.5000)
    """

    uses = ("features",)
    samples_apart = False

    def forward(self, student: View, teacher: View) -> Tensor:
        """Return the mean squared difference; 0 where there are no nodes."""
        ours, theirs = paired_features(student, teacher, "gsp")
        with torch.autocast(ours.device.type, enabled=False):
            s, t = directions(ours.double()), directions(theirs.double())
            total = _square(s.T @ s) + _square(t.T @ t) - 2 * _square(s.T @ t)
        # Rounding can leave the difference of equal sums just below zero.
        return (total.clamp(min=0) / max(1, len(s)) ** 2).to(ours.dtype)


def _square(matrix: Tensor) -> Tensor:
    return matrix.square().sum()
