"""PKT: Passalis, Tefas, Learning Deep Representations with Probabilistic Knowledge Transfer.

ECCV 2018, https://arxiv.org/abs/1803.10837.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from gkd import AbstractLoss, Paper, Step, View
from gkd.errors import validated
from gkd.functional.node_pairs import over_pairs
from gkd.functional.paired_rows import at_least_zero, directions, drawn_rows, paired_features

_LEAST = 1e-7  # probability, as in the authors' code: opposite nodes would have none


class PKT(AbstractLoss):
    r"""Divergence of how likely each node takes every other for its neighbour.

    .. math:: \frac{1}{N} \sum_i \mathrm{KL}(p^t_i \,\|\, p^s_i), \qquad
        p_{ij} = \frac{k(z_i, z_j)}{\sum_{l \ne i} k(z_i, z_l)}, \quad
        k(x, y) = \frac{1 + \cos(x, y)}{2}

    with 1e-7 added to each probability, as opposite nodes would have none.
    Pairs across the graphs of a batch count as well. Similarities are computed in float64, in
    blocks of nodes and again in the backward pass: memory is O(N·(F + F')), time O(N²·(F + F')).

    Args:
        variant: ``"paper"``, or ``"official-code"``, in which a node is among its own neighbours.
        samples: nodes drawn for each call where there are more; None takes all.

    Shapes:
        ``student.features`` ``[N, F]``, ``teacher.features`` ``[N, F']``; a scalar results.

    Raises:
        ParameterError: in the call, views without features or with different nodes.

    When:
        Neighbourhoods matter and distances do not: as the distributions are of all nodes, what is
        near weighs hardly more than what is far, unlike in LSP.

    Source:
        The paper's loss with its cosine kernel. The paper sums over nodes: N times this. The
        authors' code (passalis/probabilistic_kt) takes the mean over pairs: it is the variant
        divided by N.

    Example:
        >>> student = View(features=torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        >>> teacher = View(features=torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]))
        >>> PKT()(student, teacher, step=Step.of(student))
        tensor(0.0316)
    """

    uses = ("features",)
    samples_apart = False
    linear_work = False  # all pairs of rows
    paper = Paper(
        "Passalis, Tefas",
        "Learning Deep Representations with Probabilistic Knowledge Transfer",
        "ECCV",
        2018,
        "https://arxiv.org/abs/1803.10837",
    )
    parity = ("passalis/probabilistic_kt", "HobbitLong/RepDistiller")

    @validated
    def __init__(
        self,
        variant: Literal["paper", "official-code"] = "paper",
        samples: Annotated[int, Field(ge=2)] | None = 1024,
    ) -> None:
        super().__init__()
        self.variant, self.samples = variant, samples

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        """Return the mean over nodes; 0 where there are none."""
        ours, theirs = paired_features(
            student.require_features("pkt"), teacher.require_features("pkt"), "pkt"
        )
        # Of two distributions that nearly agree, the logarithms nearly cancel.
        s, t = drawn_rows(ours.double(), theirs.double(), self.samples, step.generator)
        s, t = directions(s, dim=1), directions(t, dim=1)
        nodes = torch.arange(len(s), device=s.device)

        def divergences(rows: slice) -> Tensor:
            counted = torch.ones(len(s[rows]), len(s), dtype=torch.bool, device=s.device)
            if self.variant == "paper":
                counted = nodes[rows, None] != nodes
            log_s, log_t = _log_likely(s, rows, counted), _log_likely(t, rows, counted)
            return (counted * log_t.exp() * (log_t - log_s)).sum(dim=1)

        value = at_least_zero(over_pairs(divergences, len(s))).sum() / max(len(s), 1)
        return value.to(ours.dtype)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"variant={self.variant}, samples={self.samples}"


def _log_likely(vectors: Tensor, rows: slice, counted: Tensor) -> Tensor:
    similar = (1 + vectors[rows] @ vectors.T) / 2 * counted
    total = similar.sum(dim=1, keepdim=True)
    # A node without others, or opposite to all of them, takes none for its neighbour.
    return (similar / torch.where(total > 0, total, 1) + _LEAST).log()
