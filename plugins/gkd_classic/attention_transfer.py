"""AT: Zagoruyko, Komodakis, Paying More Attention to Attention, ICLR 2017.

https://arxiv.org/abs/1612.03928.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Literal

import torch
from pydantic import Field, FiniteFloat
from torch import Tensor

from gkd import AbstractLoss, Paper, View
from gkd.errors import validated
from gkd.functional.paired_rows import paired_features, sample_pointer
from gkd.functional.segments import segment_max, segment_sum, spread


class AttentionTransfer(AbstractLoss):
    r"""Distance between the normalised attention maps of student and teacher.

    A map q holds one number per node; it is normalised over the nodes of one sample, so samples
    of a batch never mix, and the loss is the mean over samples. With p the ``power``:

    .. math:: q_i = \sum_c |z_{ic}|^p, \qquad
        \Big\| \frac{q^s}{\|q^s\|_2} - \frac{q^t}{\|q^t\|_2} \Big\|_2^2

    The maps need no equal widths, and the loss lies between 0 and 2 for any features. Scaling all
    features of a sample changes nothing. A sample whose features are all zero has the map 0.

    When:
        Widths differ, nothing shall be learned beside the student, and which nodes matter is what
        the teacher knows.

    Args:
        power: p. 2 is the usual choice of the AT paper; the LSP paper takes 1 on PPI.
        pooling: over channels, "sum" or "max" (F_sum^p and F_max^p of the paper).
        squared: the squared distance, smooth at 0, which the AT authors' code takes; False for the
            plain distance as equation 2 prints it.

    Shapes:
        ``student.features`` ``[N, F]``, ``teacher.features`` ``[N, F']``; a scalar results,
        from 0 to 2 where it is squared.

    Raises:
        ParameterError: in the call, views without features, with different nodes, or an unusable
            batch vector.

    Source:
        Section 3.1: the maps, and equation 2 without β/2, which is the term's weight. Public code
        takes the mean over the map: that of chaitjo/efficient-gnns and megvii-research/mdistiller
        is this value divided by the number of nodes of a sample.

    Example:
        >>> import torch
        >>> from gkd import View
        >>> student = View(features=torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
        >>> teacher = View(features=torch.tensor([[0.0], [3.0]]))
        >>> AttentionTransfer()(student, teacher)
        tensor(2.)
    """

    uses = ("features",)
    paper = Paper(
        "Zagoruyko, Komodakis",
        "Paying More Attention to Attention",
        "ICLR",
        2017,
        "https://arxiv.org/abs/1612.03928",
    )
    parity = ("chaitjo/efficient-gnns", "megvii-research/mdistiller")
    target_per_sample = True

    @validated
    def __init__(
        self,
        power: Annotated[FiniteFloat, Field(ge=1)] = 2.0,
        pooling: Literal["sum", "max"] = "sum",
        squared: bool = True,
    ) -> None:
        super().__init__()
        self.power = power
        self.pooling = pooling
        self.squared = squared

    def forward(self, student: View, teacher: View) -> Tensor:
        """Return the mean distance over samples; 0 where there are no nodes."""
        ours, theirs = paired_features(
            student.require_features("at"), teacher.require_features("at"), "at"
        )
        if not len(ours):  # no samples to take a mean of: 0, with a gradient
            return ours.sum()
        pointer = sample_pointer(student.batch, teacher.batch, ours, "at")
        gap = self._map(ours, pointer) - self._map(theirs, pointer)
        distance = segment_sum(gap.square(), pointer)
        return (distance if self.squared else _root(distance)).mean()

    def target(self, teacher: View) -> View:
        """Return one channel in place of the teacher's features, with the same attention map.

        >>> loss = AttentionTransfer()
        >>> loss.target(View(features=torch.tensor([[3.0, 0.0], [0.0, -4.0]]))).features
        tensor([[0.7002],
                [0.9336]])
        """
        features = teacher.require_features("at")
        pointer = sample_pointer(teacher.batch, teacher.batch, features, "at")
        # The root undoes the power that forward takes again: one number for each node is kept in
        # place of all channels.
        channel = self._map(features, pointer).pow(1 / self.power)
        return View(features=channel[:, None], graph=teacher.graph, batch=teacher.batch)

    def _map(self, features: Tensor, pointer: Tensor) -> Tensor:
        return attention_map(features, pointer, self.power, _POOLINGS[self.pooling])

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"power={self.power}, pooling={self.pooling!r}, squared={self.squared}"


def attention_map(
    features: Tensor, pointer: Tensor, power: float, pooling: Callable[[Tensor], Tensor]
) -> Tensor:
    """Attention of each node, ``[N]``, of unit L2 norm over each sample that is not all zero."""
    magnitudes = features.abs()
    # The map does not depend on a sample's scale: with a largest magnitude of 1 no power overflows
    # or vanishes. The scale needs no gradient for the same reason.
    peak = segment_max(magnitudes.detach().amax(dim=1), pointer)
    scale = spread(torch.where(peak > 0, peak, 1), pointer, len(features))
    attention = pooling((magnitudes / scale[:, None]).pow(power))
    norm = _root(segment_sum(attention.square(), pointer))
    return attention / spread(torch.where(norm > 0, norm, 1), pointer, len(features))


def _root(values: Tensor) -> Tensor:
    """Square root whose gradient at 0 is 0 instead of infinite."""
    # Two where: a single one around sqrt would multiply its infinite slope by 0, which is NaN.
    positive = values > 0
    return torch.where(positive, torch.where(positive, values, 1).sqrt(), 0)


_POOLINGS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"sum": lambda powers: powers.sum(dim=1), "max": lambda powers: powers.amax(dim=1)}
)
