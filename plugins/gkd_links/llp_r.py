"""LLP by ranks: Guo, Shiao, Zhang, Liu, Chawla, Shah, Zhao.

Linkless Link Prediction via Relational Distillation, ICML 2023, https://arxiv.org/abs/2210.05801.
"""

from typing import Annotated

import torch
from pydantic import Field, FiniteFloat
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gkd import AbstractLoss, Paper, Step, View
from gkd.errors import ParameterError, validated
from gkd_links.contexts import Contexts, Distant, Hops, ScoredBy, Walks

_PAIRS = 2**20  # at a time: 8 MB in float64


class LLPR(AbstractLoss):
    r"""How far the student is from ranking a node's possible links as the teacher does.

    Contexts C(i) and scores y are those of ``llp-d``. Of two nodes of a context the teacher puts
    one first, or neither where its scores are about the same: :math:`r_{ijk}` is 1 where
    :math:`y^t_{ij} > y^t_{ik} + \delta`, −1 where :math:`y^t_{ij} < y^t_{ik} - \delta`, else 0.
    With P pairs j < k in a context:

    .. math:: \frac{1}{N} \sum_i \frac{1}{P} \sum_{j < k}
        \max(0, \delta - r_{ijk} (y^s_{ij} - y^s_{ik}))

    Pairs without an order count δ each, whatever the student does: the value is above 0 where both
    agree.

    Args:
        walks: walks from each node.
        hops: length of a walk, each step of which gives a node.
        distant: nodes from anywhere for each that walks give.
        scores: ``"embeddings"``, the products of features; ``"network"``, what each network says of
            the pairs, given as ``edge_label_index``, by a head of its own.
        margin: δ, in units of the scores, which lie between 0 and 1.

    Shapes:
        ``student.features`` ``[N, F]``, ``teacher.features`` ``[N, F']``, a graph over the N nodes;
        ``[N]`` results, whose mean is the loss.

    Raises:
        ParameterError: contexts of a single node; in the call, views without features or graph, or
            with different nodes.

    Source:
        The paper's rank-based matching, as in the authors' code
        (snap-research/linkless-link-prediction), with the contexts of ``llp-d`` and δ = 0.1.

    When:
        A student without a graph that predicts links and is scored by ranks, such as Hits@K;
        together with ``llp-d`` and the labels' loss.

    Example:
        >>> from gkd import Graph
        >>> graph = Graph(torch.tensor([[1, 0, 2, 1], [0, 1, 1, 2]]), 3)
        >>> student = View(features=torch.eye(3), graph=graph)
        >>> teacher = View(features=2 * torch.eye(3), graph=graph)
        >>> LLPR()(student, teacher, step=Step.of(student)).shape
        torch.Size([3])
    """

    paper = Paper(
        "Guo, Shiao, Zhang, Liu, Chawla, Shah, Zhao",
        "Linkless Link Prediction via Relational Distillation",
        "ICML",
        2023,
        "https://arxiv.org/abs/2210.05801",
    )
    parity = ("snap-research/linkless-link-prediction",)
    zero_at_equality = False
    least_at_equality = False  # a gap may be wider than the teacher's
    per_row = True

    @validated
    def __init__(
        self,
        walks: Walks = 3,
        hops: Hops = 2,
        distant: Distant = 1,
        scores: ScoredBy = "embeddings",
        margin: Annotated[FiniteFloat, Field(ge=0, lt=1)] = 0.1,
    ) -> None:
        super().__init__()
        self.contexts = Contexts("llp-r", walks, hops, distant, scores)
        if self.contexts.size < 2:
            raise ParameterError(
                "llp-r: a context of one node has nothing to rank: take more walks, hops or "
                "distant nodes"
            )
        self.margin = margin

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        """Return the value of each node, ``[N]``."""
        scores = self.contexts.scores(student, teacher, step)
        size = max(1, 2 * _PAIRS // self.contexts.size**2)
        blocks = zip(*(torch.split(y, size) for y in scores), strict=True)
        parts = [checkpoint(self._values, *block, use_reentrant=False) for block in blocks]
        return torch.cat(parts) if parts else scores.student.sum(dim=1)

    def _values(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Value of each row, ``[n]``."""
        first, second = torch.triu_indices(
            self.contexts.size, self.contexts.size, 1, device=student.device
        )
        above = teacher[:, first] > teacher[:, second] + self.margin
        below = teacher[:, first] < teacher[:, second] - self.margin
        order = above.to(student.dtype) - below.to(student.dtype)
        gap = student[:, first] - student[:, second]
        return (self.margin - order * gap).relu().mean(dim=1)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"{self.contexts.describe()}, margin={self.margin}"
