"""CC: Peng et al., Correlation Congruence for Knowledge Distillation, ICCV 2019.

https://arxiv.org/abs/1904.01802.
"""

from math import exp
from typing import Annotated, Literal

import torch
from pydantic import Field, FiniteFloat, PositiveInt
from torch import Tensor, nn

from gkd import Paper, Step, View
from gkd.errors import validated
from gkd.functional.node_pairs import over_pairs
from gkd.functional.paired_rows import at_least_zero, directions, drawn_rows
from gkd_features.learned_maps import LearnedMaps


class CC(LearnedMaps):
    r"""Distance of the correlations of all pairs of nodes, by a Gaussian kernel in P terms.

    Of vectors x and y of unit length the kernel is a function of their product alone, which its
    Taylor series makes a polynomial, so that similar pairs count more than others:

    .. math:: \frac{1}{N^2} \sum_{ij} \big( k(s_i, s_j) - k(t_i, t_j) \big)^2, \qquad
        k(x, y) = e^{-2\gamma} \sum_{p=0}^P \frac{(2\gamma)^p}{p!} (x \cdot y)^p
        \approx e^{-\gamma \|x - y\|^2}

    The code that the authors shared (HobbitLong/RepDistiller) is another loss: learned linear maps
    take both to one space, where distances :math:`d_i = |u_i - v_i|` of consecutive rows of a
    shuffled batch are multiplied. Here it is the mean over all orders of the batch, as the order of
    nodes means nothing:

    .. math:: \frac{1}{N (N - 1)} \sum_{i \ne j} d_i \cdot d_j

    Similarities are computed in float64, in blocks of nodes and again in the backward pass: memory
    is O(N·(F + F')), time O(N²·(F + F')). The code's needs no pairs.

    When:
        The classes are many and alike, and it is which nodes are near one another that tells them.

    Args:
        variant: ``"paper"``, or ``"official-code"``.
        gamma: γ of the paper.
        order: P of the paper.
        squared: the squared distance of the paper; False for its root, divided by N².
        width: of the code's space.
        samples: nodes drawn for each call where there are more; None takes all. The code takes all
            at any rate.

    Shapes:
        ``student.features`` ``[N, F]``, ``teacher.features`` ``[N, F']``; a scalar results.

    Raises:
        ParameterError: in the call, views without features, with different nodes, or, of the code,
            of other widths than those built for.

    Source:
        The paper's loss with its Gaussian kernel, γ = 0.4 and P = 2.
        ``squared=False`` is what yoshitomo-matsubara/torchdistill has, which leaves it to the
        network that vectors are of unit length.

    Example:
        >>> student = View(features=torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        >>> teacher = View(features=torch.tensor([[2.0], [3.0]]))
        >>> CC()(student, teacher, step=Step.of(student))
        tensor(0.1266)
    """

    samples_apart = False
    linear_work = False  # all pairs of rows
    name = "cc"
    paper = Paper(
        "Peng et al.",
        "Correlation Congruence for Knowledge Distillation",
        "ICCV",
        2019,
        "https://arxiv.org/abs/1904.01802",
    )
    parity = ("HobbitLong/RepDistiller", "yoshitomo-matsubara/torchdistill")

    @validated
    def __init__(
        self,
        variant: Literal["paper", "official-code"] = "paper",
        gamma: Annotated[FiniteFloat, Field(gt=0)] = 0.4,
        order: PositiveInt = 2,
        squared: bool = True,
        width: PositiveInt = 128,
        samples: Annotated[int, Field(ge=2)] | None = 1024,
    ) -> None:
        super().__init__()
        self.variant, self.gamma, self.order = variant, gamma, order
        self.squared, self.width, self.samples = squared, width, samples
        self.zero_at_equality = self.least_at_equality = variant == "paper"

    def make_maps(self, ours: int, theirs: int) -> nn.ModuleDict:
        """Return the maps of student and teacher to one space; the paper has none."""
        if self.variant == "paper":
            return nn.ModuleDict()
        return nn.ModuleDict(
            {"student": nn.Linear(ours, self.width), "teacher": nn.Linear(theirs, self.width)}
        )

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        """Return the mean over pairs; 0 where there are none."""
        if self.variant == "official-code":
            ours, theirs, maps = self.pair(student, teacher)
            dtype = next(maps.parameters()).dtype
            with torch.autocast(ours.device.type, enabled=False):
                u, v = maps["student"](ours.to(dtype)), maps["teacher"](theirs.to(dtype))
            return _mean_product((u - v).to(ours.dtype).abs())
        ours, theirs = self.features(student, teacher)
        # Similarities that nearly agree need more digits than products leave them.
        s, t = drawn_rows(ours.double(), theirs.double(), self.samples, step.generator)
        s, t = directions(s, dim=1), directions(t, dim=1)

        def differences(rows: slice) -> Tensor:
            return (self._kernel(s[rows] @ s.T) - self._kernel(t[rows] @ t.T)).square().sum(dim=1)

        total = over_pairs(differences, len(s)).sum()
        if not self.squared:  # a root has no slope at 0
            total = torch.where(total > 0, torch.where(total > 0, total, 1).sqrt(), 0)
        return (total / max(len(s), 1) ** 2).to(ours.dtype)

    def _kernel(self, products: Tensor) -> Tensor:
        # Horner's scheme of the series.
        terms = torch.ones_like(products)
        for power in range(self.order, 0, -1):
            terms = 1 + terms * products * (2 * self.gamma / power)
        return exp(-2 * self.gamma) * terms

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"variant={self.variant!r}, gamma={self.gamma}, order={self.order}"


def _mean_product(distances: Tensor) -> Tensor:
    """Mean inner product of two different rows of ``[N, F]``; 0 where there are no two."""
    others = distances.sum(dim=0) - distances
    pairs = max(len(distances) * (len(distances) - 1), 1)
    return at_least_zero((distances * others).sum() / pairs)
