"""SKD: Jeong, Lee, Choi, Streamlined Knowledge Distillation, CVPR 2026."""

from typing import Annotated

import torch
from pydantic import Field, FiniteFloat
from torch import Tensor

from gkd import AbstractLoss, Paper, Task, View
from gkd.errors import validated
from gkd.functional.logit_divergences import categorical_divergence
from gkd.functional.paired_rows import directions
from gkd_logits.class_logits import ClassLogits

Positive = Annotated[FiniteFloat, Field(gt=0)]


class SKD(AbstractLoss):
    r"""Divergence of the predictions, and distance of the directions of the logits of all pairs.

    With S and T the logits of all nodes, each row scaled to unit length, the cosines of all pairs
    are compared. A row :math:`d_i` of their difference is measured by what rows usually vary by,
    their covariance Σ:

    .. math:: \frac{1}{N} \sum_i \mathrm{KL}(\mathrm{softmax}(t_i / \tau) \,\|\,
        \mathrm{softmax}(s_i / \tau)) + w \frac{1}{N} \sum_i
        \sqrt{d_i^T (\Sigma + \lambda I)^{-1} d_i}, \qquad D = S S^T - T T^T

    The N × N matrices are never made: D has no more than 2C independent columns, and all is a
    matter of 2C × 2C matrices. Time is O(N·C²), memory O(N·C).

    When:
        Which nodes the teacher holds alike is worth as much as its predictions, and labels are many
        enough that logits have directions.

    Args:
        temperature: τ, in units of the logits.
        direction: w, weight of the second part.
        tikhonov: λ, in units of the covariance of cosines.
        task: says what the outputs mean; a distiller fills in its own.

    Shapes:
        ``student.logits`` and ``teacher.logits`` ``[N, C]``; a scalar results.

    Raises:
        ParameterError: outputs of the task are no classes; in the call, views without logits, or
            logits of different shapes.

    Source:
        The instance-wise and the direction-wise loss, as in yoshitomo-matsubara/torchdistill: no
        factor τ². The authors' code (HyunJunSik/StreamLined) divides the cosines by C, which is
        λC² in place of λ, and multiplies the divergence by τ².

    Example:
        >>> teacher = View(logits=torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]))
        >>> student = View(logits=torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 2.0]]))
        >>> SKD()(student, teacher)
        tensor(1.1357)
    """

    uses = ("logits",)
    samples_apart = False
    shift_invariant = False
    paper = Paper(
        "Jeong, Lee, Choi",
        "Streamlined Knowledge Distillation",
        "CVPR",
        2026,
        "https://openaccess.thecvf.com/content/CVPR2026/papers/"
        "Jeong_Streamlined_Knowledge_Distillation_CVPR_2026_paper.pdf",
    )
    likelihoods = ("softmax",)
    parity = ("yoshitomo-matsubara/torchdistill",)

    @validated
    def __init__(
        self,
        temperature: Positive = 4.0,
        direction: Annotated[FiniteFloat, Field(ge=0)] = 1.0,
        tikhonov: Positive = 0.1,
        task: str | Task = "single-label",
    ) -> None:
        super().__init__()
        self.temperature, self.direction, self.tikhonov = temperature, direction, tikhonov
        self.class_logits = ClassLogits("skd", task)

    def forward(self, student: View, teacher: View) -> Tensor:
        """Return the sum of both parts; 0 where there are no nodes."""
        ours, theirs = self.class_logits.of(student, teacher)
        if not len(ours):  # nothing to take a mean of: 0, with a gradient
            return ours.sum()
        divergence = categorical_divergence(ours / self.temperature, theirs / self.temperature)
        # Of many nodes the matrices have too wide a range for float32.
        s, t = (directions(logits.double(), dim=1) for logits in (ours, theirs))
        squares = _squared_distances(s, t, self.tikhonov)
        # A root has no slope at 0, where rows agree.
        apart = squares > 0
        distance = torch.where(apart, torch.where(apart, squares, 1).sqrt(), 0)
        return divergence.mean() + self.direction * distance.mean().to(divergence.dtype)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return (
            f"temperature={self.temperature}, direction={self.direction}, tikhonov={self.tikhonov}"
        )


def _squared_distances(student: Tensor, teacher: Tensor, tikhonov: float) -> Tensor:
    """Squared Mahalanobis length of each row of SSᵀ - TTᵀ, ``[N]``; 0 where rounding hides it."""
    # With U = [S + T, S - T] it is D = U M Uᵀ, where M swaps the halves and divides by 2: what is
    # small where the two agree is small in U. Rows of D are U M u_i, so their covariance is
    # U A Uᵀ with A = M cov(u) M, and Uᵀ (U A Uᵀ + λI)⁻¹ U = (UᵀU A + λI)⁻¹ UᵀU.
    total, gap = student + teacher, student - teacher
    u, swapped = torch.cat([total, gap], dim=1), torch.cat([gap, total], dim=1) / 2
    gram = u.T @ u
    centred = swapped - swapped.mean(dim=0)
    covariance = centred.T @ centred / max(len(u) - 1, 1)
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    inverse = torch.linalg.solve(gram @ covariance + tikhonov * identity, gram)
    squares: Tensor = (swapped @ inverse * swapped).sum(dim=1)
    # Rows that agree, as that of a single node does, are at 0 but for rounding, whose root would
    # be far above rounding.
    with torch.no_grad():
        sizes, own = inverse.abs(), swapped.abs()
        rounding = len(gram) * torch.finfo(gram.dtype).eps * (own @ sizes * own).sum(dim=1)
    return squares.masked_fill(squares <= rounding, 0)
