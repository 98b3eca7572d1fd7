"""AB: Heo, Lee, Yun, Choi, Knowledge Transfer via Distillation of Activation Boundaries.

AAAI 2019, https://arxiv.org/abs/1811.03233.
"""

from typing import Annotated

import torch
from pydantic import Field, FiniteFloat
from torch import Tensor, nn

from gkd import Paper, View
from gkd.errors import validated
from gkd_features.learned_maps import LearnedMaps, nothing_to_learn


class AB(LearnedMaps):
    r"""Hinge that has the student's channels active where the teacher's are, whatever their values.

    With r(s) the student's features, mapped linearly to the teacher's width and normalised over the
    batch, t those of the teacher before their activation, and a margin μ:

    .. math:: \frac{1}{N} \sum_{ic} [t_{ic} > 0] \, (\mu - r(s_i)_c)_+^2 +
        [t_{ic} \le 0] \, (\mu + r(s_i)_c)_+^2

    Both taps have to be before the activation: behind a ReLU, no number is below 0. What the
    teacher's numbers are beyond their sign means nothing.

    When:
        To start a student from: the paper distils by it alone at first, which a schedule of the
        weight does, and trains for the task then.

    Args:
        margin: μ.
        per_row: return the value of each node in place of their mean.

    Shapes:
        ``student.features`` ``[N, F_s]``, ``teacher.features`` ``[N, F]``; a scalar results, or
        ``[N]`` per row.

    Raises:
        ParameterError: in the call, views without features, with different nodes, or of other
            widths than those built for.

    Source:
        The paper's loss with a margin, with μ = 1 and the connector of the authors' code
        (bhheo/AB_distillation), which does without where widths are equal. That code and
        HobbitLong/RepDistiller multiply the loss by 3/1000, and halve it with each layer before
        the last.

    Example:
        >>> student = View(features=torch.randn(5, 3, requires_grad=True))
        >>> teacher = View(features=torch.randn(5, 8))
        >>> loss = AB()
        >>> loss.build(student, teacher)
        >>> loss(student, teacher).backward()
        >>> student.features.grad.shape
        torch.Size([5, 3])
    """

    samples_apart = False  # the connector normalises over the batch
    name = "ab"
    paper = Paper(
        "Heo, Lee, Yun, Choi",
        "Knowledge Transfer via Distillation of Activation Boundaries Formed by Hidden Neurons",
        "AAAI",
        2019,
        "https://arxiv.org/abs/1811.03233",
    )
    parity = ("HobbitLong/RepDistiller",)

    @validated
    def __init__(
        self,
        margin: Annotated[FiniteFloat, Field(gt=0)] = 1.0,
        per_row: bool = False,
    ) -> None:
        super().__init__()
        self.margin, self.per_row = margin, per_row

    def make_maps(self, ours: int, theirs: int) -> nn.ModuleDict:
        """Return the connector."""
        connector = nn.Sequential(nn.Linear(ours, theirs, bias=False), nn.BatchNorm1d(theirs))
        return nn.ModuleDict({"connector": connector})

    def forward(self, student: View, teacher: View) -> Tensor:
        """Return the mean over nodes; 0 where there are fewer than two. Per row ``[N]``."""
        ours, theirs, maps = self.pair(student, teacher)
        if len(ours) < 2:  # batch normalisation would refuse
            nothing = nothing_to_learn(ours, maps.parameters())
            return nothing if self.per_row else nothing.sum()
        with torch.autocast(ours.device.type, enabled=False):
            mapped = maps["connector"](ours.to(next(maps.parameters()).dtype)).to(theirs.dtype)
        wanted = torch.where(theirs > 0, 1, -1)
        value: Tensor = (self.margin - wanted * mapped).clamp_min(0).square().sum(dim=1)
        return value if self.per_row else value.sum() / max(len(value), 1)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"margin={self.margin}"
