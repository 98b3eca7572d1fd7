"""DarkRank: Chen, Wang, Zhang, DarkRank: Accelerating Deep Metric Learning via Cross Sample ...

... Similarities Transfer, AAAI 2018, https://arxiv.org/abs/1707.01220.
"""

from typing import Annotated

import torch
from pydantic import Field, FiniteFloat
from torch import Tensor

from gkd import AbstractLoss, Paper, Step, View
from gkd.errors import validated
from gkd.functional.node_pairs import over_pairs, squared_distances
from gkd.functional.paired_rows import directions, drawn_rows, paired_features

Positive = Annotated[FiniteFloat, Field(gt=0)]

_EQUAL = 1e-11  # of the largest squared distance of a row, far above what rounding does in float64
_ABSENT = -1e300  # score of what is not in a list; not infinite, for the gradient's sake


class DarkRank(AbstractLoss):
    r"""How unlikely it is for the student to rank a node's nearest neighbours as the teacher does.

    With :math:`\pi_i(1), \dots, \pi_i(K)` the K nodes that are nearest to i in the teacher's
    features, nearest first, and :math:`s_{ij} = -\alpha \|z^s_i - z^s_j\|^\beta` the student's
    score of node j:

    .. math:: -\frac{1}{N} \sum_i \sum_{k=1}^{K} \log
        \frac{\exp s_{i \pi_i(k)}}{\sum_{l=k}^{K} \exp s_{i \pi_i(l)}}

    Nodes that are equally far from i for the teacher have one rank: each stands in the denominator
    of the other, and where they share the last rank all of them are in the list. Nodes of the other
    graphs of a batch are ranked as well. Distances are computed in float64, in blocks of nodes and
    again in the backward pass: memory is O(N·(F + F')), time O(N²·(F + F')).

    Args:
        neighbours: K, at least 2, as one alone has one ranking.
        alpha: α.
        beta: β.
        normalise: scale the features of each node to unit length first, so that distances are at
            most 2, which α and β are made for.
        samples: nodes drawn for each call where there are more; None takes all.

    Shapes:
        ``student.features`` ``[N, F]``, ``teacher.features`` ``[N, F']``; a scalar results.

    Raises:
        ParameterError: in the call, views without features or with different nodes.

    When:
        Features serve to find what is near, as in retrieval: the order counts, distances do not.

    Source:
        The paper's hard transfer: the likelihood of one ranking by Plackett and Luce, with
        α = β = 3. Lists of the nearest alone, and their length of 4, are those of lenscloth/RKD,
        which leaves it to the network to normalise.

    Example:
        >>> student = View(features=torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        >>> teacher = View(features=torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]))
        >>> DarkRank()(student, teacher, step=Step.of(student))
        tensor(2.6117)
        >>> DarkRank()(teacher, teacher, step=Step.of(student))
        tensor(0.0750)
    """

    uses = ("features",)
    zero_at_equality = False
    least_at_equality = False  # it is where the teacher's ranking is surest
    samples_apart = False
    linear_work = False  # all pairs of rows
    paper = Paper(
        "Chen, Wang, Zhang",
        "DarkRank: Accelerating Deep Metric Learning via Cross Sample Similarities Transfer",
        "AAAI",
        2018,
        "https://arxiv.org/abs/1707.01220",
    )
    parity = ("lenscloth/RKD",)

    @validated
    def __init__(
        self,
        neighbours: Annotated[int, Field(ge=2)] = 4,
        alpha: Positive = 3.0,
        beta: Positive = 3.0,
        normalise: bool = True,
        samples: Annotated[int, Field(ge=2)] | None = 1024,
    ) -> None:
        super().__init__()
        self.neighbours, self.alpha, self.beta = neighbours, alpha, beta
        self.normalise, self.samples = normalise, samples

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        """Return the mean over nodes; 0 where there are none."""
        ours, theirs = paired_features(
            student.require_features("darkrank"), teacher.require_features("darkrank"), "darkrank"
        )
        # In float64, as rounding would rank nodes that are equally far.
        s, t = drawn_rows(ours.double(), theirs.double(), self.samples, step.generator)
        if self.normalise:
            s, t = directions(s, dim=1), directions(t, dim=1)

        def errors(rows: slice) -> Tensor:
            columns, firsts = ranking(t, rows, self.neighbours)
            squares = squared_distances(s, rows).gather(1, columns)
            here = squares == 0  # where a root has no slope
            scores = squares.masked_fill(here, 1).pow(self.beta / 2).masked_fill(here, 0)
            return _errors(-self.alpha * scores, firsts, self.neighbours)

        value = over_pairs(errors, len(s)).sum() / max(len(s), 1)
        return value.to(ours.dtype)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return (
            f"neighbours={self.neighbours}, alpha={self.alpha}, beta={self.beta}, "
            f"normalise={self.normalise}, samples={self.samples}"
        )


@torch.no_grad()
def ranking(features: Tensor, rows: slice, count: int) -> tuple[Tensor, Tensor]:
    """Return the nodes nearest to some nodes, nearest first, and how many are nearer than each.

    Args:
        features: float64 ``[N, F]``.
        rows: of the b nodes.
        count: how many; more where some share the last rank.

    Returns:
        Both int64 ``[b, L]``; beyond a node's list, at least ``count`` are nearer.

    >>> points = torch.tensor([[0.0], [1.0], [-1.0], [5.0]], dtype=torch.float64)
    >>> ranking(points, slice(3, 4), count=2)
    (tensor([[1, 0]]), tensor([[0, 1]]))
    >>> ranking(points, slice(0, 1), count=1)[1]
    tensor([[0, 0]])
    """
    squares = squared_distances(features, rows)
    itself = torch.arange(len(features), device=features.device)[rows, None]
    squares, columns = squares.scatter(1, itself, torch.inf).sort(dim=1)
    squares, columns = squares[:, :-1], columns[:, :-1]  # the node itself comes last
    places = torch.arange(squares.shape[1], device=features.device)
    farther = torch.ones_like(squares, dtype=torch.bool)
    farther[:, 1:] = squares.diff(dim=1) > _EQUAL * squares[:, -1:]
    firsts = torch.where(farther, places, 0).cummax(dim=1).values
    length = int((firsts < count).sum(dim=1).max()) if firsts.numel() else 0
    return columns[:, :length], firsts[:, :length]


def _errors(scores: Tensor, firsts: Tensor, count: int) -> Tensor:
    """Negative log likelihood of each ranking, ``[b]``, for scores in its order, ``[b, L]``."""
    listed = firsts < count
    scores = scores.masked_fill(~listed, _ABSENT)
    rests = scores.flip(1).logcumsumexp(dim=1).flip(1).gather(1, firsts)
    return torch.where(listed, rests - scores, 0).sum(dim=1)
