"""RKD-A: Park, Kim, Lu, Cho, Relational Knowledge Distillation, CVPR 2019.

https://arxiv.org/abs/1904.05068.
"""

from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from gkd import AbstractLoss, Paper, Step, View
from gkd.errors import validated
from gkd.functional.node_pairs import over_pairs, squared_distances
from gkd.functional.paired_rows import directions, drawn_rows, paired_features


class RKDAngle(AbstractLoss):
    r"""Difference of the angles that all triples of nodes make.

    .. math:: \frac{1}{N^3} \sum_{ijk} \ell(\cos \angle^s_{ijk}, \cos \angle^t_{ijk}), \qquad
        \cos \angle_{ijk} = \left\langle \frac{z_i - z_j}{\|z_i - z_j\|},
        \frac{z_k - z_j}{\|z_k - z_j\|} \right\rangle

    with Huber's function, :math:`\ell(a, b) = (a - b)^2 / 2` up to a difference of 1, and
    :math:`|a - b| - 1/2` above. Where two nodes coincide there is no angle, and the cosine is 0.
    Triples across the graphs of a batch count as well. Angles are computed in float64, for a few
    nodes j at a time and again in the backward pass.

    Args:
        samples: M nodes drawn for each call where there are more; time is O(M³·(F + F')).

    Shapes:
        ``student.features`` ``[N, F]``, ``teacher.features`` ``[N, F']``; a scalar results.

    Raises:
        ParameterError: in the call, views without features or with different nodes.

    When:
        Beside RKD-D, or in its place: angles tell more of the shape than lengths do, and no unit
        of length is needed.

    Source:
        The paper's angle-wise loss, whose sum over triples is a mean here, as in the authors' code
        (lenscloth/RKD), which counts triples in which a node comes twice in N³. Its weight is twice
        that of RKD-D there.

    Example:
        >>> import torch
        >>> student = View(features=torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
        >>> teacher = View(features=torch.tensor([[0.0], [1.0], [2.0]]))
        >>> RKDAngle()(student, teacher, step=Step.of(student))
        tensor(0.1296)
    """

    uses = ("features",)
    samples_apart = False
    paper = Paper(
        "Park, Kim, Lu, Cho",
        "Relational Knowledge Distillation",
        "CVPR",
        2019,
        "https://arxiv.org/abs/1904.05068",
    )
    parity = ("lenscloth/RKD", "HobbitLong/RepDistiller")

    @validated
    def __init__(self, samples: Annotated[int, Field(ge=3, le=1024)] = 128) -> None:
        super().__init__()
        self.samples = samples

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        """Return the mean over triples; 0 where there are no nodes."""
        ours, theirs = paired_features(
            student.require_features("rkd-angle"),
            teacher.require_features("rkd-angle"),
            "rkd-angle",
        )
        # The direction between nodes that nearly coincide needs all digits.
        s, t = drawn_rows(ours.double(), theirs.double(), self.samples, step.generator)

        def differences(rows: slice) -> Tensor:
            gaps = smooth_l1_loss(cosines(s, rows), cosines(t, rows), reduction="none")
            return gaps.sum(dim=(1, 2))

        numbers = len(s) * max(len(s), s.shape[1], t.shape[1])
        value = over_pairs(differences, len(s), numbers).sum() / max(len(s), 1) ** 3
        return value.to(ours.dtype)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"samples={self.samples}"


def cosines(features: Tensor, rows: slice) -> Tensor:
    """Cosines of the angles at some nodes between the directions to all, ``[b, N, N]``.

    >>> import torch
    >>> cosines(torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]), slice(0, 1))[0, 1]
    tensor([0.0000, 1.0000, 0.7071])
    """
    ways = features - features[rows, None]
    # Those to nodes in the same place, but for rounding, lead nowhere.
    nowhere = squared_distances(features.detach(), rows) == 0
    ways = directions(ways.masked_fill(nowhere[:, :, None], 0), dim=2)
    return ways @ ways.mT
