"""FitNet: Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015.

https://arxiv.org/abs/1412.6550.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from gkd import AbstractLoss, Paper, View
from gkd.errors import ParameterError, validated
from gkd.functional.paired_rows import directions, not_built, paired_features


class FitNet(AbstractLoss):
    r"""Distance from the student's features, mapped to the teacher's width, to the teacher's.

    .. math:: \frac{1}{N} \sum_i \tfrac{1}{2} \| z^t_i - W z^s_i - b \|^2

    The regressor (W, b) is learned with the student: :meth:`build` creates it from the first
    batch, always, also where the widths are equal.

    This value grows with the teacher's width F and with the scale of its features, so weights do
    not carry over from one tap to another. ``reduction="mean"`` divides by F instead of by two
    (the mean squared error that many implementations take), ``normalise=True`` compares
    directions alone: it lies between 0 and 2 (or 4 / F) for any features.

    When:
        Both networks' layers mean the same, node by node, as in two sizes of one architecture.

    Args:
        reduction: over the teacher's channels, "sum" with the factor ½ of the paper, or "mean".
        normalise: scale both sides to unit length per node before comparing.
        bias: whether the regressor has a bias b.
        per_row: return the distance of each node in place of their mean.

    Shapes:
        ``student.features`` ``[N, F]``, ``teacher.features`` ``[N, F']``; a scalar results, or
        ``[N]`` per row.

    Raises:
        ParameterError: in the call, views without features, with different nodes, or of other
            widths than those built for.

    Source:
        Equation 3, with a linear regressor and the mean over nodes. ``normalise`` as in Joshi et
        al., On Representation Knowledge Distillation for Graph Neural Networks, TNNLS 2022, whose
        code (chaitjo/efficient-gnns) has it with ``reduction="mean"``.

    Example:
        >>> import torch
        >>> from gkd import View
        >>> student = View(features=torch.randn(5, 3, requires_grad=True))
        >>> teacher = View(features=torch.randn(5, 8))
        >>> loss = FitNet()
        >>> loss.build(student, teacher)
        >>> loss(student, teacher).backward()
        >>> [tuple(parameter.grad.shape) for parameter in loss.parameters()]
        [(8, 3), (8,)]
    """

    uses = ("features",)
    paper = Paper(
        "Romero et al.",
        "FitNets: Hints for Thin Deep Nets",
        "ICLR",
        2015,
        "https://arxiv.org/abs/1412.6550",
    )
    parity = ("chaitjo/efficient-gnns",)
    zero_at_equality = False  # the regressor does not begin as the identity
    least_at_equality = False
    regressor: nn.Linear | None

    @validated
    def __init__(
        self,
        reduction: Literal["sum", "mean"] = "sum",
        normalise: bool = False,
        bias: bool = True,
        per_row: bool = False,
    ) -> None:
        super().__init__()
        self.per_row = per_row
        self.reduction = reduction
        self.normalise = normalise
        self.bias = bias
        self.regressor = None

    def build(self, student: View, teacher: View) -> None:
        """Create the regressor for these widths; one that exists is kept, with what it learned."""
        # A second call, as after loading a checkpoint, must not draw the weights anew.
        if self.regressor is not None:
            return
        ours, theirs = paired_features(
            student.require_features("fitnet"), teacher.require_features("fitnet"), "fitnet"
        )
        self.regressor = nn.Linear(
            ours.shape[1], theirs.shape[1], self.bias, device=ours.device, dtype=ours.dtype
        )

    def forward(self, student: View, teacher: View) -> Tensor:
        """Return the mean distance; 0 where there are no nodes. Per row ``[N]``."""
        ours, theirs = paired_features(
            student.require_features("fitnet"), teacher.require_features("fitnet"), "fitnet"
        )
        regressor = self._regressor_for(ours, theirs)
        # Half precision under autocast could overflow in features that are finite themselves.
        with torch.autocast(ours.device.type, enabled=False):
            mapped: Tensor = regressor(ours.to(regressor.weight.dtype)).to(theirs.dtype)
        if self.normalise:
            mapped, theirs = directions(mapped, dim=1), directions(theirs, dim=1)
        # A sum over one number, and not a mean of means: no nodes give 0 and not NaN.
        scale = 2 if self.reduction == "sum" else theirs.shape[1]
        if self.per_row:
            return (mapped - theirs).square().sum(dim=1) / scale
        return (mapped - theirs).square().sum() / (scale * max(len(theirs), 1))

    def _regressor_for(self, student: Tensor, teacher: Tensor) -> nn.Linear:
        if self.regressor is None:
            raise not_built("fitnet", "the regressor does")
        built = (self.regressor.in_features, self.regressor.out_features)
        if built != (student.shape[1], teacher.shape[1]):
            raise ParameterError(
                f"fitnet: the regressor maps width {built[0]} to {built[1]}, got features of "
                f"width {student.shape[1]} from the student and {teacher.shape[1]} from the teacher"
            )
        return self.regressor

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"reduction={self.reduction!r}, normalise={self.normalise}, bias={self.bias}"
