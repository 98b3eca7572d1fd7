"""VID: Ahn, Hu, Damianou, Lawrence, Dai, Variational Information Distillation, CVPR 2019.

https://arxiv.org/abs/1904.05835.
"""

from math import expm1, log
from typing import Annotated

import torch
from pydantic import Field, FiniteFloat
from torch import Tensor, nn
from torch.nn.functional import softplus

from gkd import Paper, View
from gkd.errors import validated
from gkd_features.learned_maps import LearnedMaps

_LEAST = 1e-5  # the authors': of a variance, which a perfect student would take to 0


class VID(LearnedMaps):
    r"""Negative log-likelihood of the teacher's features, as the student's predict them.

    A lower bound of the information that both share. The mean μ is a network of three layers on the
    student's features, the variance :math:`\sigma_c^2` one learned number for each channel:

    .. math:: \frac{1}{N F} \sum_{ic} \frac{1}{2} \Big( \frac{(t_{ic} - \mu_c(s_i))^2}{\sigma_c^2} +
        \log \sigma_c^2 \Big)

    Channels that cannot be predicted get a large variance, and weigh little. The value is below 0
    where all are predicted well.

    When:
        Some of the teacher's channels are beyond the student: here it may give them up, where
        FitNet has to pay for each.

    Args:
        variance: of each channel, to begin with, in the square of the teacher's units.
        per_row: return the value of each node in place of their mean.

    Shapes:
        ``student.features`` ``[N, F_s]``, ``teacher.features`` ``[N, F]``; a scalar results, or
        ``[N]`` per row.

    Raises:
        ParameterError: in the call, views without features, with different nodes, or of other
            widths than those built for.

    Source:
        The paper's Gaussian model of the teacher's features, without the constant; with the mean
        over channels, as in HobbitLong/RepDistiller, in place of the sum, which is F times as
        large. There, too, variances are softplus of what is learned, plus 1e-5, and begin at 5.

    Example:
        >>> student = View(features=torch.randn(5, 3, requires_grad=True))
        >>> teacher = View(features=torch.randn(5, 8))
        >>> loss = VID()
        >>> loss.build(student, teacher)
        >>> loss(student, teacher).backward()
        >>> student.features.grad.shape
        torch.Size([5, 3])
    """

    name = "vid"
    non_negative = False
    paper = Paper(
        "Ahn, Hu, Damianou, Lawrence, Dai",
        "Variational Information Distillation for Knowledge Transfer",
        "CVPR",
        2019,
        "https://arxiv.org/abs/1904.05835",
    )
    parity = ("HobbitLong/RepDistiller",)

    @validated
    def __init__(
        self,
        variance: Annotated[FiniteFloat, Field(ge=0.01)] = 5.0,
        per_row: bool = False,
    ) -> None:
        super().__init__()
        self.variance, self.per_row = variance, per_row

    def make_maps(self, ours: int, theirs: int) -> nn.ModuleDict:
        """Return the network of the mean, and the variances."""
        mean = nn.Sequential(
            nn.Linear(ours, theirs, bias=False),
            nn.ReLU(),
            nn.Linear(theirs, theirs, bias=False),
            nn.ReLU(),
            nn.Linear(theirs, theirs, bias=False),
        )
        return nn.ModuleDict({"mean": mean, "variance": Variances(theirs, self.variance)})

    def forward(self, student: View, teacher: View) -> Tensor:
        """Return the mean over nodes; 0 where there are none. Per row ``[N]``."""
        ours, theirs, maps = self.pair(student, teacher)
        with torch.autocast(ours.device.type, enabled=False):
            variance = maps["variance"]()
            mean = maps["mean"](ours.to(variance.dtype))
            surprise = (theirs - mean).square() / variance + variance.log()
        value: Tensor = surprise.to(theirs.dtype).sum(dim=1) / (2 * theirs.shape[1])
        return value if self.per_row else value.sum() / max(len(value), 1)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"variance={self.variance}"


class Variances(nn.Module):
    """A learned variance for each channel.

    Args:
        width: number of channels.
        start: what they begin at.
    """

    def __init__(self, width: int, start: float) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.full((width,), log(expm1(start - _LEAST))))

    def forward(self) -> Tensor:
        """Return them, ``[width]``, above 0."""
        return softplus(self.raw) + _LEAST
