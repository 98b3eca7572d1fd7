"""VQGraph: Yang, Tian, Xu, Liu, Hong, Qu, Zhang, Cui, Zhang, Leskovec.

VQGraph: Rethinking Graph Representation Space for Bridging GNNs and MLPs, ICLR 2024,
https://arxiv.org/abs/2308.02117.
"""

from typing import Annotated, Any, Literal

import torch
from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import log_softmax, normalize
from torch.utils.checkpoint import checkpoint

from gkd import AbstractLoss, Paper, View
from gkd.errors import validated
from gkd.functional.logit_divergences import categorical_divergence
from gkd.functional.paired_rows import not_built, paired_features, require_widths

_ASSIGNMENTS = 2**20  # at a time: 8 MB in float64


class VQGraph(AbstractLoss):
    r"""Divergence of the student's soft assignments to a codebook from the teacher's.

    The codebook :math:`e_1, \dots, e_K` says which kinds of local structure the teacher's features
    tell apart. A learned map takes the student's features to their width, :math:`s_i = W z_i + b`,
    and each node is assigned to the codes by its distances:

    .. math:: \tau^2 \frac{1}{N} \sum_i \mathrm{KL}(p^t_i \,\|\, p^s_i), \qquad
        p^t_i = \operatorname*{softmax}_k \frac{- \| t_i - e_k \|}{\tau}, \quad
        p^s_i = \operatorname*{softmax}_k \frac{- \| s_i - e_k \|}{\tau}

    Codes begin as means of the first batch's teacher features (Lloyd's algorithm, from rows drawn
    at random), and then follow the teacher's features in every step: a code with n of them nearest
    to it, whose mean is m, moves to their mean weighted by its own past. No gradient is involved.
    They are a buffer, ``codebook``: a teacher that has learned one brings it, with ``momentum=1``
    and ``loss.codebook.copy_(...)`` after ``build``.

    Assignments are computed in blocks of nodes and again in the backward pass: memory is
    O(N·F' + K·F').

    Args:
        codes: K.
        temperature: τ, in units of distance.
        momentum: how much of a code's past stays in a step; with 1 the codebook is fixed.
        iterations: of Lloyd's algorithm, on the first batch.
        variant: ``"paper"``, the equations above; ``"official-code"``, where the teacher's
            assignments follow from cosines :math:`\cos(t_i, e_k) / \tau` instead, and, as the
            target is taken for its logarithm, :math:`\exp(p)` weighs the log-ratio
            :math:`p - \log p^s` in place of p and :math:`\log p - \log p^s`.

    Shapes:
        ``student.features`` ``[N, F]``, ``teacher.features`` ``[N, F']``; ``[N]`` results, whose
        mean is the loss.

    Raises:
        ParameterError: in the call, views without features, with different nodes, or of other
            widths than those built for.

    Source:
        The paper's distillation of codes, and the authors' code (YangLing0818/VQGraph), where the
        teacher learns its codebook with itself, by restoring features and edges from codes; here it
        is found in the features of a teacher that is done. The labels' loss and ``kd`` at
        temperature 1 go with it.

    When:
        A student without a graph, and a teacher whose layer tells many kinds of neighbourhood
        apart that its logits do not.

    Example:
        >>> student, teacher = View(features=torch.randn(6, 4)), View(features=torch.randn(6, 8))
        >>> loss = VQGraph(codes=3)
        >>> loss.build(student, teacher)
        >>> loss(student, teacher).shape, loss.codebook.shape
        (torch.Size([6]), torch.Size([3, 8]))
    """

    paper = Paper(
        "Yang et al.",
        "VQGraph: Rethinking Graph Representation Space for Bridging GNNs and MLPs",
        "ICLR",
        2024,
        "https://arxiv.org/abs/2308.02117",
    )
    parity = ("YangLing0818/VQGraph",)
    uses = ("features",)
    zero_at_equality = False  # the map begins at random
    least_at_equality = False
    samples_apart = False
    per_row = True
    example_parameters: tuple[dict[str, Any], ...] = ({}, {"codes": 5, "variant": "official-code"})
    map: nn.Linear | None
    codebook: Tensor
    sizes: Tensor

    @validated
    def __init__(
        self,
        codes: PositiveInt = 256,
        temperature: Annotated[FiniteFloat, Field(gt=0)] = 4.0,
        momentum: Annotated[FiniteFloat, Field(ge=0, le=1)] = 0.8,
        iterations: NonNegativeInt = 10,
        variant: Literal["paper", "official-code"] = "paper",
    ) -> None:
        super().__init__()
        self.codes, self.temperature, self.momentum = codes, temperature, momentum
        self.iterations, self.variant = iterations, variant
        self.non_negative = variant == "paper"
        self.map = None
        # Of each code, where it is and how many features it has followed.
        self.register_buffer("codebook", torch.empty(codes, 0))
        self.register_buffer("sizes", torch.ones(codes))

    def build(self, student: View, teacher: View) -> None:
        """Create the map for these widths, and find the codes; those that exist stay."""
        if self.map is not None:
            return
        ours, theirs = paired_features(
            student.require_features("vqgraph"), teacher.require_features("vqgraph"), "vqgraph"
        )
        self.map = nn.Linear(ours.shape[1], theirs.shape[1]).to(ours)
        self.codebook = theirs.new_zeros(self.codes, theirs.shape[1])
        self.sizes = theirs.new_ones(self.codes)
        if len(theirs):
            # Where there are fewer rows than codes, some codes share a place.
            order = torch.randperm(len(theirs)).to(theirs.device)
            self.codebook = theirs[
                order[torch.arange(self.codes, device=order.device) % len(order)]
            ]
        for _ in range(self.iterations):
            self._follow(theirs, momentum=0.0)

    def forward(self, student: View, teacher: View) -> Tensor:
        """Return the value of each node, ``[N]``."""
        ours, theirs = paired_features(
            student.require_features("vqgraph"), teacher.require_features("vqgraph"), "vqgraph"
        )
        to_codes = self._require_built(ours, theirs)
        # Distances that nearly agree lose their digits in half precision.
        with torch.autocast(ours.device.type, enabled=False):
            mapped = to_codes(ours.to(to_codes.weight.dtype)).to(ours.dtype)
            codebook = self.codebook.to(ours.dtype)
            size = max(1, _ASSIGNMENTS // self.codes)
            blocks = zip(torch.split(mapped, size), torch.split(theirs, size), strict=True)
            parts = [
                checkpoint(self._values, *block, codebook, use_reentrant=False) for block in blocks
            ]
            value = torch.cat(parts) if parts else mapped.sum(dim=1)
            if self.training and torch.is_grad_enabled() and self.momentum < 1:
                self._follow(theirs, self.momentum)
        return self.temperature**2 * value

    def _values(self, student: Tensor, teacher: Tensor, codebook: Tensor) -> Tensor:
        """Divergence of each row's assignments, ``[n]``."""
        ours = -distances(student, codebook) / self.temperature
        if self.variant == "official-code":
            cosines = normalize(teacher, dim=1) @ normalize(codebook, dim=1).T
            target = (cosines / self.temperature).softmax(dim=1)
            return (target.exp() * (target - log_softmax(ours, dim=1))).sum(dim=1)
        return categorical_divergence(ours, -distances(teacher, codebook) / self.temperature)

    @torch.no_grad()
    def _follow(self, teacher: Tensor, momentum: float) -> None:
        """Move each code towards the mean of the features that it is nearest to."""
        codebook = self.codebook.to(teacher.dtype)
        blocks = torch.split(teacher, max(1, _ASSIGNMENTS // self.codes))
        nearest = torch.cat([distances(block, codebook).argmin(dim=1) for block in blocks])
        counts = torch.zeros_like(codebook[:, 0]).index_add(
            0, nearest, teacher.new_ones(len(teacher))
        )
        sums = torch.zeros_like(codebook).index_add(0, nearest, teacher)
        past = momentum * self.sizes.to(teacher.dtype)
        sizes = past + (1 - momentum) * counts
        moved = (past[:, None] * codebook + (1 - momentum) * sums) / sizes[:, None].clamp_min(1e-12)
        # A code that is nearest to nothing stays where it is.
        self.codebook = torch.where(counts[:, None] > 0, moved, codebook).to(self.codebook.dtype)
        self.sizes = torch.where(sizes > 0, sizes, self.sizes.to(sizes)).to(self.sizes.dtype)

    def _require_built(self, student: Tensor, teacher: Tensor) -> nn.Linear:
        if self.map is None:
            raise not_built("vqgraph", "the map and the codes do")
        require_widths("vqgraph", (self.map.in_features, self.map.out_features), student, teacher)
        return self.map

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return (
            f"codes={self.codes}, temperature={self.temperature}, momentum={self.momentum}, "
            f"variant={self.variant!r}"
        )


def distances(rows: Tensor, codebook: Tensor) -> Tensor:
    """Euclidean distances, ``[n, K]``; the gradient of a distance of 0 is taken as 0.

    >>> distances(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2))
    tensor([[5.]])
    """
    # By products, in double precision: the difference of large squares leaves no digits of what is
    # near in single, and differences themselves take features for every pair.
    x, e = rows.double(), codebook.double()
    squares = torch.addmm(e.square().sum(dim=1), x, e.T, alpha=-2)
    squares = squares + x.square().sum(dim=1, keepdim=True)
    apart = squares > 0
    roots = torch.where(apart, squares, 1).sqrt()
    return torch.where(apart, roots, 0).to(rows.dtype)
