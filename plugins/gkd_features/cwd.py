"""CWD: Shu, Liu, Gao, Yan, Shen, Channel-wise Knowledge Distillation, ICCV 2021.

https://arxiv.org/abs/2011.13256.
"""

from typing import Annotated

import torch
from pydantic import Field, FiniteFloat
from torch import Tensor

from gkd import AbstractLoss, Paper, View
from gkd.errors import validated
from gkd.functional.logit_divergences import categorical_divergence
from gkd.functional.paired_rows import sample_pointer
from gkd_features.equal_widths import equally_wide


class CWD(AbstractLoss):
    r"""Divergence of where in a sample each channel is strong.

    A channel is a distribution over the nodes of a sample, by a softmax over them. With B samples:

    .. math:: \frac{T^2}{B F} \sum_{bc} \mathrm{KL}\Big(
        \operatorname*{softmax}_{i \in b} \frac{t_{ic}}{T} \,\Big\|\,
        \operatorname*{softmax}_{i \in b} \frac{s_{ic}}{T} \Big)

    A constant added to a channel changes nothing. Samples without nodes are left out.

    When:
        Samples are graphs or clouds in which the places that a channel answers to matter, as in
        segmentation. Over one large graph each node has next to no share: take a small T there.

    Args:
        temperature: T, in units of the features.

    Shapes:
        ``student.features`` and ``teacher.features`` ``[N, F]``; a scalar results. For other widths
        a term names a connector.

    Raises:
        ParameterError: in the call, views without features, with different nodes, of different
            widths, or an unusable batch vector.

    Source:
        The paper's divergence of channels, as open-mmlab/mmrazor has it. Logits can be compared so,
        too, by a tap on their layer.

    Example:
        >>> student = View(features=torch.tensor([[0.0], [0.0]]))
        >>> teacher = View(features=torch.tensor([[0.0], [2.0]]))
        >>> CWD(temperature=1.0)(student, teacher)
        tensor(0.3278)
    """

    uses = ("features",)
    different_widths = False
    paper = Paper(
        "Shu, Liu, Gao, Yan, Shen",
        "Channel-wise Knowledge Distillation for Dense Prediction",
        "ICCV",
        2021,
        "https://arxiv.org/abs/2011.13256",
    )
    parity = ("open-mmlab/mmrazor",)

    @validated
    def __init__(self, temperature: Annotated[FiniteFloat, Field(gt=0)] = 4.0) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, student: View, teacher: View) -> Tensor:
        """Return the mean over samples and channels; 0 where there are no nodes."""
        ours, theirs = equally_wide(student, teacher, "cwd")
        if not len(ours):  # no samples to take a mean of: 0, with a gradient
            return ours.sum()
        sizes = sample_pointer(student.batch, teacher.batch, ours, "cwd").diff().tolist()
        pairs = zip(
            *(torch.split(z / self.temperature, sizes) for z in (ours, theirs)), strict=True
        )
        divergences = [categorical_divergence(one.T, other.T) for one, other in pairs]
        return self.temperature**2 * torch.stack(divergences).mean()

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"temperature={self.temperature}"
