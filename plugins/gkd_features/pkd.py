"""PKD: Cao, Zhang, Gao, Cheng, Cheng, Zhou, Pearson Knowledge Distillation, NeurIPS 2022.

https://arxiv.org/abs/2207.02039.
"""

from torch import Tensor

from gkd import AbstractLoss, Paper, View
from gkd.functional.paired_rows import standard_scores
from gkd_features.equal_widths import equally_wide


class PKD(AbstractLoss):
    r"""Correlation of each channel of the student with that of the teacher, over all nodes.

    With ρ Pearson's correlation, and :math:`\hat z` the standard scores of a channel, its
    deviations from its mean in units of its standard deviation:

    .. math:: \frac{1}{F} \sum_c 1 - \rho(s_{\cdot c}, t_{\cdot c}) =
        \frac{1}{2NF} \sum_{ic} (\hat s_{ic} - \hat t_{ic})^2

    The size of a channel and its mean play no part. All nodes of the step are taken together,
    whichever sample they are of. A channel that is the same everywhere counts ½, or 0 where it is
    so in both networks.

    When:
        Features of both networks differ in size from channel to channel, as without normalisation,
        and a few large channels would rule a squared distance.

    Shapes:
        ``student.features`` and ``teacher.features`` ``[N, F]``; a scalar from 0 to 2 results. For
        other widths a term names a connector.

    Raises:
        ParameterError: in the call, views without features, with different nodes, or of different
            widths.

    Source:
        The paper's loss of features. The code (open-mmlab/mmrazor) divides by N - 1 in the
        variance: its value is this one multiplied by (N - 1) / N.

    Example:
        >>> import torch
        >>> student = View(features=torch.tensor([[0.0], [1.0], [2.0]]))
        >>> teacher = View(features=torch.tensor([[9.0], [5.0], [1.0]]))
        >>> PKD()(student, teacher)
        tensor(2.0000)
    """

    uses = ("features",)
    samples_apart = False
    different_widths = False
    paper = Paper(
        "Cao, Zhang, Gao, Cheng, Cheng, Zhou",
        "PKD: General Distillation Framework for Object Detectors via Pearson Correlation "
        "Coefficient",
        "NeurIPS",
        2022,
        "https://arxiv.org/abs/2207.02039",
    )
    parity = ("open-mmlab/mmrazor",)

    def forward(self, student: View, teacher: View) -> Tensor:
        """Return the mean over channels; 0 where there are no nodes."""
        ours, theirs = equally_wide(student, teacher, "pkd")
        if not len(ours):  # nothing to correlate: 0, with a gradient
            return ours.sum()
        # In this form nothing cancels where the correlation is near 1.
        return (standard_scores(ours, dim=0) - standard_scores(theirs, dim=0)).square().mean() / 2
