"""NST: Huang, Wang, Like What You Like: Knowledge Distill via Neuron Selectivity Transfer.

2017, https://arxiv.org/abs/1707.01219.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, FiniteFloat, PositiveInt
from torch import Tensor

from gkd import AbstractLoss, Paper, View
from gkd.errors import ParameterError, validated
from gkd.functional.paired_rows import (
    at_least_zero,
    directions,
    paired_features,
    sample_pointer,
)


class NST(AbstractLoss):
    r"""Squared maximum mean discrepancy between the channels of student and teacher.

    A channel is seen as the pattern of nodes that it selects: its column :math:`f_c` of the
    features of one sample, scaled to unit length. The columns of student and teacher are two sets
    of vectors over the same nodes, of sizes C and C', whose distributions are compared:

    .. math:: \frac{1}{C^2} \sum_{cc'} k(f^s_c, f^s_{c'}) + \frac{1}{C'^2} \sum_{cc'}
        k(f^t_c, f^t_{c'}) - \frac{2}{C C'} \sum_{cc'} k(f^s_c, f^t_{c'})

    Widths may differ, and the order of channels does not matter. The loss is the mean over the
    samples of a batch. Memory is O(N·(C + C') + (C + C')²): there is never a node by node matrix.

    When:
        Widths differ, and which nodes the channels pick together matters more than their numbers.

    Args:
        kernel: "linear" :math:`x^T y`, "poly" :math:`(x^T y + c)^d`, or "gaussian"
            :math:`\exp(-\|x - y\|^2 / (2 \sigma^2))`.
        degree: d of the polynomial kernel; 2 where left out.
        offset: c of the polynomial kernel; 0 where left out.
        sigma: σ of the Gaussian kernel; channels of unit length are at most 2 apart. "mean", also
            where left out, takes σ² as the mean squared distance over all pairs of channels, those
            of student and teacher together, in each sample by itself and without a gradient.

    Shapes:
        ``student.features`` ``[N, F]``, ``teacher.features`` ``[N, F']``; a scalar results.

    Raises:
        ParameterError: an argument of another kernel; in the call, views without features, with
            different nodes, or an unusable batch vector.

    Source:
        Sections 3 (MMD) and 4 (the loss and the three kernels, with d = 2, c = 0 and σ² from the
        data). The paper's λ/2 is the term's weight.

    Example:
        >>> import torch
        >>> from gkd import View
        >>> student = View(features=torch.tensor([[1.0], [0.0]]))
        >>> teacher = View(features=torch.tensor([[0.0, 0.0], [2.0, 5.0]]))
        >>> NST()(student, teacher)
        tensor(2.)
    """

    uses = ("features",)
    paper = Paper(
        "Huang, Wang",
        "Like What You Like: Knowledge Distill via Neuron Selectivity Transfer",
        "arXiv",
        2017,
        "https://arxiv.org/abs/1707.01219",
    )
    parity = ("megvii-research/mdistiller",)

    @validated
    def __init__(
        self,
        kernel: Literal["linear", "poly", "gaussian"] = "poly",
        degree: PositiveInt | None = None,
        offset: Annotated[FiniteFloat, Field(ge=0)] | None = None,
        sigma: Annotated[FiniteFloat, Field(ge=0.01)] | Literal["mean"] | None = None,
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {"degree": degree, "offset": offset, "sigma": sigma}
        given = {name: value for name, value in options.items() if value is not None}
        known = [field.name for field in fields(_KERNELS[kernel])]
        if foreign := [name for name in given if name not in known]:
            name = foreign[0]
            raise ParameterError(
                f"{name}: the {kernel} kernel has no such parameter, got {given[name]!r}; it takes "
                + (", ".join(known) or "none")
            )
        self.kernel = _KERNELS[kernel](**given)

    def forward(self, student: View, teacher: View) -> Tensor:
        """Return the mean discrepancy over samples; 0 where there are no nodes."""
        ours, theirs = paired_features(
            student.require_features("nst"), teacher.require_features("nst"), "nst"
        )
        if not len(ours):  # no samples to take a mean of: 0, with a gradient
            return ours.sum()
        sizes = sample_pointer(student.batch, teacher.batch, ours, "nst").diff().tolist()
        # Sums over nodes and channels need more digits than half precision has.
        with torch.autocast(ours.device.type, enabled=False):
            pairs = zip(torch.split(ours, sizes), torch.split(theirs, sizes), strict=True)
            return torch.stack([self._discrepancy(*pair) for pair in pairs]).mean()

    def _discrepancy(self, student: Tensor, teacher: Tensor) -> Tensor:
        return self.kernel.discrepancy(directions(student, 0), directions(teacher, 0))

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"kernel={self.kernel}"


class ChannelKernel(ABC):
    """A kernel between channels, by the discrepancy of two sets of them that it defines."""

    @abstractmethod
    def discrepancy(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Squared MMD, a scalar of at least 0, of the columns of ``[N, C]`` and ``[N, C']``."""


@dataclass(frozen=True)
class Linear(ChannelKernel):
    """``k(x, y) = xᵀy``: the squared distance of the two mean channels."""

    def discrepancy(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Squared MMD without any pair, in O(N·(C + C'))."""
        # The sums over pairs of dot products are dot products of sums: no pair is needed.
        return (student.mean(dim=1) - teacher.mean(dim=1)).square().sum()


@dataclass(frozen=True)
class Polynomial(ChannelKernel):
    """``k(x, y) = (xᵀy + offset)^degree``; with the defaults, squared Gram matrices ``SᵀT``."""

    degree: int = 2
    offset: float = 0.0

    def discrepancy(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Squared MMD from the three Gram matrices over channels."""
        return _discrepancy(
            self._similarity(student, student),
            self._similarity(teacher, teacher),
            self._similarity(student, teacher),
        )

    def _similarity(self, one: Tensor, other: Tensor) -> Tensor:
        return (one.T @ other + self.offset).pow(self.degree)


@dataclass(frozen=True)
class Gaussian(ChannelKernel):
    """``k(x, y) = exp(-‖x - y‖² / (2 sigma²))``."""

    sigma: float | Literal["mean"] = "mean"

    def discrepancy(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Squared MMD from the three matrices of distances between channels."""
        # A common shift leaves distances as they are and saves their digits of close channels.
        centre = torch.cat([student, teacher], dim=1).detach().mean(dim=1, keepdim=True)
        student, teacher = student - centre, teacher - centre
        distances = (
            _squared_distances(student, student),
            _squared_distances(teacher, teacher),
            _squared_distances(student, teacher),
        )
        variance: float | Tensor
        if self.sigma != "mean":
            variance = self.sigma**2
        else:
            # Over all ordered pairs of the C + C' channels; those across count in both orders.
            within_student, within_teacher, across = (each.detach().sum() for each in distances)
            pairs = (student.shape[1] + teacher.shape[1]) ** 2
            mean = (within_student + within_teacher + 2 * across) / pairs
            # Equal channels differ by rounding, which must not become the unit of measure.
            variance = mean.clamp_min(torch.finfo(mean.dtype).eps)
        return _discrepancy(*((distance / (-2 * variance)).exp() for distance in distances))


def _discrepancy(within_student: Tensor, within_teacher: Tensor, across: Tensor) -> Tensor:
    # Rounding can leave the difference of equal means just below zero.
    return at_least_zero(within_student.mean() + within_teacher.mean() - 2 * across.mean())


def _squared_distances(one: Tensor, other: Tensor) -> Tensor:
    # From products, [C, C'], not from differences, [N, C, C']; below 0 it is rounding.
    squares = one.square().sum(dim=0)[:, None] + other.square().sum(dim=0)[None, :]
    return at_least_zero(squares - 2 * one.T @ other)


_KERNELS: Mapping[str, type[Linear] | type[Polynomial] | type[Gaussian]] = MappingProxyType(
    {"linear": Linear, "poly": Polynomial, "gaussian": Gaussian}
)
