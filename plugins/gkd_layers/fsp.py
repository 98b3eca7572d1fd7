"""FSP: Yim, Joo, Bae, Kim, A Gift from Knowledge Distillation, CVPR 2017."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from gkd import AbstractLoss, Paper, View
from gkd.errors import ParameterError, validated
from gkd.functional.paired_rows import sample_pointer
from gkd_layers.paired_layers import paired_layers


class FSP(AbstractLoss):
    r"""Distance between the flows of student and teacher from one layer to the next.

    The flow of solution procedure between two layers is the matrix of dot products of their
    channels over the n nodes of one sample:

    .. math:: G_l = \frac{1}{n} Z_l^T Z_{l+1}, \qquad
        \frac{1}{B} \sum_b \sum_l \| G^s_{bl} - G^t_{bl} \|_F^2

    B is the number of samples in the batch; those without nodes are left out. Memory is
    O(N·F + B·F²): there is never a node by node matrix.

    When:
        How a teacher gets from one layer to the next is worth more than what it has in either, and
        widths are equal.

    Args:
        reduction: over the entries of a matrix: "sum" as printed, or "mean".

    Shapes:
        As many ``layers`` of the student as of the teacher, ``[N, F_l]``, equally wide in pairs; a
        scalar results.

    Raises:
        ParameterError: in the call, views without layers, of other widths, or with different
            nodes.

    Source:
        Equations 1 and 2, where λ is the term's weight. "mean" is what HobbitLong/RepDistiller
        takes. Both halve the size of the larger of two feature maps, which nodes do not need.

    Example:
        >>> import torch
        >>> def view(scale):
        ...     layers = (scale * torch.ones(2, 1), torch.ones(2, 3))
        ...     return View(features=layers[-1], layers=layers)
        >>> FSP()(view(1.0), view(3.0))
        tensor(12.)
    """

    uses = ("features", "layers")
    paper = Paper(
        "Yim, Joo, Bae, Kim",
        "A Gift from Knowledge Distillation",
        "CVPR",
        2017,
        "https://openaccess.thecvf.com/content_cvpr_2017/html/Yim_A_Gift_From_CVPR_2017_paper.html",
    )
    parity = ("HobbitLong/RepDistiller",)
    different_widths = False

    @validated
    def __init__(self, reduction: Literal["sum", "mean"] = "sum") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, student: View, teacher: View) -> Tensor:
        """Return the mean distance over samples; 0 where there are no nodes."""
        layers = paired_layers(student, teacher, "fsp")
        for ours, theirs in layers:
            if ours.shape[1] != theirs.shape[1]:
                raise ParameterError(
                    "fsp: expected layers of equal widths, got "
                    f"{[layer.shape[1] for layer, _ in layers]} from the student and "
                    f"{[layer.shape[1] for _, layer in layers]} from the teacher"
                )
        rows = layers[0][0]
        if not len(rows):  # no samples to take a mean of: 0, with a gradient
            return torch.stack([ours.sum() for ours, _ in layers]).sum()
        sizes = sample_pointer(student.batch, teacher.batch, rows, "fsp").diff().tolist()
        # Sums over nodes need more digits than half precision has.
        with torch.autocast(rows.device.type, enabled=False):
            gaps = [
                (ours - theirs).square()
                for ours, theirs in zip(
                    _flows([ours for ours, _ in layers], sizes),
                    _flows([theirs for _, theirs in layers], sizes),
                    strict=True,
                )
            ]
            if self.reduction == "mean":
                return torch.stack([gap.mean() for gap in gaps]).sum()
            return torch.stack([gap.sum() for gap in gaps]).sum() / len(sizes)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"reduction={self.reduction!r}"


def _flows(layers: Sequence[Tensor], sizes: list[int]) -> list[Tensor]:
    """Matrix of each sample between each layer and the next, ``[B, F_l, F_{l+1}]``."""
    blocks = [torch.split(layer, sizes) for layer in layers]
    return [
        torch.stack([one.T @ other / len(one) for one, other in zip(*pair, strict=True)])
        for pair in pairwise(blocks)
    ]
