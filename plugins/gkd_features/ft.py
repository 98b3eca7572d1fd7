"""FT: Kim, Park, Kwak, Paraphrasing Complex Network: Network Compression via Factor Transfer.

NeurIPS 2018, https://arxiv.org/abs/1802.04977.
"""

from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field, FiniteFloat
from torch import Tensor, nn

from gkd import Paper, View
from gkd.errors import validated
from gkd.functional.paired_rows import directions
from gkd_features.learned_maps import LearnedMaps


class FT(LearnedMaps):
    r"""Distance of factors: what an autoencoder of the teacher's features makes of them.

    The paraphraser P, with its decoder D, learns to rebuild the teacher's features from few
    factors; the translator R learns with the student to give the same, up to their length:

    .. math:: \frac{1}{NK} \sum_i \Big\| \frac{R(s_i)}{\| R(s_i) \|_2} -
        \frac{P(t_i)}{\| P(t_i) \|_2} \Big\|_1 +
        \frac{1}{NF} \sum_i \| D(P(t_i)) - t_i \|_2^2

    No gradient of the first part reaches the paraphraser, none of the second the student. The paper
    has the paraphraser learn first, by itself: here both learn at once, each by its own part, and
    the factors settle as it does.

    When:
        The teacher's layer is wide and redundant: its factors leave out what it does not need.

    Args:
        rate: K / F, factors for each of the teacher's channels.
        variant: ``"paper"``; ``"official-code"`` has the absolute error of what is
            rebuilt, not the square.
        per_row: return the value of each node in place of their mean.

    Shapes:
        ``student.features`` ``[N, F_s]``, ``teacher.features`` ``[N, F]``; a scalar results, or
        ``[N]`` per row.

    Raises:
        ParameterError: in the call, views without features, with different nodes, or of other
            widths than those built for.

    Source:
        The paper's factor transfer, with p = 1, k = 0.5, and networks of three layers, with a slope
        of 0.1 below 0, and means in place of sums, as in the authors' code
        (Jangho-Kim/Factor-Transfer-pytorch), where the weight is 500. Its layers are convolutions
        of 3 × 3 pixels, and a factor is scaled over all of an image: here a node is what an image
        is there, of one pixel.

    Example:
        >>> student = View(features=torch.randn(5, 3, requires_grad=True))
        >>> teacher = View(features=torch.randn(5, 8))
        >>> loss = FT()
        >>> loss.build(student, teacher)
        >>> loss(student, teacher).backward()
        >>> student.features.grad.shape
        torch.Size([5, 3])
    """

    name = "ft"
    paper = Paper(
        "Kim, Park, Kwak",
        "Paraphrasing Complex Network: Network Compression via Factor Transfer",
        "NeurIPS",
        2018,
        "https://arxiv.org/abs/1802.04977",
    )
    parity = ("Jangho-Kim/Factor-Transfer-pytorch",)

    @validated
    def __init__(
        self,
        rate: Annotated[FiniteFloat, Field(gt=0)] = 0.5,
        variant: Literal["paper", "official-code"] = "paper",
        per_row: bool = False,
    ) -> None:
        super().__init__()
        self.rate, self.variant, self.per_row = rate, variant, per_row

    def make_maps(self, ours: int, theirs: int) -> nn.ModuleDict:
        """Return translator, paraphraser and its decoder."""
        factors = max(1, round(self.rate * theirs))
        return nn.ModuleDict(
            {
                "translator": _layers(ours, ours, factors, factors),
                "paraphraser": _layers(theirs, theirs, factors, factors),
                "decoder": _layers(factors, factors, theirs, theirs),
            }
        )

    def forward(self, student: View, teacher: View) -> Tensor:
        """Return the mean over nodes; 0 where there are none. Per row ``[N]``."""
        ours, theirs, maps = self.pair(student, teacher)
        dtype = next(maps.parameters()).dtype
        with torch.autocast(ours.device.type, enabled=False):
            given, aim = maps["translator"](ours.to(dtype)), maps["paraphraser"](theirs.to(dtype))
            rebuilt = maps["decoder"](aim)
        given, aim, rebuilt = (z.to(theirs.dtype) for z in (given, aim.detach(), rebuilt))
        gap = directions(given, dim=1) - directions(aim, dim=1)
        error = rebuilt - theirs
        error = error.square() if self.variant == "paper" else error.abs()
        value: Tensor = gap.abs().mean(dim=1) + error.mean(dim=1)
        return value if self.per_row else value.sum() / max(len(value), 1)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"rate={self.rate}, variant={self.variant!r}"


def _layers(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width, following in pairwise(widths):
        layers += [nn.Linear(width, following), nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers)
