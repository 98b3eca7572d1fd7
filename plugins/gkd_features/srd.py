"""SRD: Miles, Mikolajczyk, Understanding the Role of the Projector in Knowledge Distillation.

AAAI 2024, https://arxiv.org/abs/2303.11098.
"""

from typing import Annotated

import torch
from pydantic import Field, FiniteFloat
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from gkd import Paper, View
from gkd.errors import validated
from gkd_features.learned_maps import LearnedMaps, nothing_to_learn


class SRD(LearnedMaps):
    r"""Logarithm of summed powers of the distance of normalised features: a simple recipe.

    A projector, linear and learned, takes the student's features to the teacher's width; then both
    are normalised over the batch, to a mean of 0 and a variance of 1 for each channel:

    .. math:: \log \sum_{ic} \big| \mathrm{BN}(W s + b)_{ic} - \mathrm{BN}(t)_{ic} \big|^\alpha

    The power has the student learn what it is furthest from; the logarithm keeps the gradient's
    size however near it is. The value is below 0 near the teacher. The paper adds a divergence of
    the predictions: a term ``kd``.

    When:
        The student is much smaller than the teacher: what it cannot reach does not drown the rest.

    Args:
        exponent: α.

    Shapes:
        ``student.features`` ``[N, F_s]``, ``teacher.features`` ``[N, F]``; a scalar results.

    Raises:
        ParameterError: in the call, views without features, with different nodes, or of other
            widths than those built for.

    Source:
        The paper's distance of features, with α = 4 as in the authors' code
        (roymiles/Simple-Recipe-Distillation), whose weight is 2. There the normalisation keeps
        running means, for evaluation: here it is that of the batch always.

    Example:
        >>> student = View(features=torch.randn(5, 3, requires_grad=True))
        >>> teacher = View(features=torch.randn(5, 8))
        >>> loss = SRD()
        >>> loss.build(student, teacher)
        >>> loss(student, teacher).backward()
        >>> student.features.grad.shape
        torch.Size([5, 3])
    """

    samples_apart = False
    name = "srd"
    non_negative = False
    paper = Paper(
        "Miles, Mikolajczyk",
        "Understanding the Role of the Projector in Knowledge Distillation",
        "AAAI",
        2024,
        "https://arxiv.org/abs/2303.11098",
    )
    parity = ("roymiles/Simple-Recipe-Distillation",)

    @validated
    def __init__(self, exponent: Annotated[FiniteFloat, Field(ge=1)] = 4.0) -> None:
        super().__init__()
        self.exponent = exponent

    def make_maps(self, ours: int, theirs: int) -> nn.ModuleDict:
        """Return the projector."""
        return nn.ModuleDict({"projector": nn.Linear(ours, theirs)})

    def forward(self, student: View, teacher: View) -> Tensor:
        """Return the value; 0 where there are fewer than two nodes."""
        ours, theirs, maps = self.pair(student, teacher)
        if len(ours) < 2:  # batch normalisation would refuse
            return nothing_to_learn(ours, maps.parameters()).sum()
        with torch.autocast(ours.device.type, enabled=False):
            projected = maps["projector"](ours.to(next(maps.parameters()).dtype)).to(theirs.dtype)
            mapped, aim = (
                batch_norm(z, None, None, training=True, eps=1e-4) for z in (projected, theirs)
            )
        total = (mapped - aim).abs().pow(self.exponent).sum()
        # Channels without any spread agree perfectly, and the logarithm of 0 ends a run.
        return (total + torch.finfo(total.dtype).eps).log()

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"exponent={self.exponent}"
