"""NOSMOG: Tian, Zhang, Guo, Zhang, Chawla, Learning MLPs on Graphs.

A Unified View of Effectiveness, Robustness, and Efficiency, ICLR 2023,
https://arxiv.org/abs/2208.10010.
"""

from typing import Annotated, Any

import torch
from pydantic import Field, FiniteFloat, PositiveInt
from torch import Tensor, nn

from gkd import AbstractLoss, Paper, Step, Task, View, create
from gkd.errors import ParameterError, validated
from gkd.functional.paired_rows import (
    at_least_zero,
    not_built,
    paired_features,
    paired_logits,
    require_widths,
)

Weight = Annotated[FiniteFloat, Field(ge=0)]
Positive = Annotated[FiniteFloat, Field(gt=0)]


class NOSMOG(AbstractLoss):
    r"""Similarities of all nodes as the teacher has them, and predictions that no noise changes.

    What the method adds to ``glnn``. A learned map takes the student's features to the teacher's
    width, :math:`S = \mathrm{relu}(Z W + b)`; T are the teacher's features. With p the softmax of
    the logits, and :math:`p^s_i(x)` the student's prediction on inputs x:

    .. math:: \mu \frac{1}{N^2} \| S S^T - T T^T \|_F^2 + \eta \frac{1}{N} \sum_i
        \max_{\| \delta_i \|_\infty \le \epsilon}
        \mathrm{KL}(p^t_i \,\|\, p^s_i(x_i + \delta_i))

    The maximum is sought by projected gradient ascent: from a δ drawn evenly, steps of ε/4 along
    the sign of the gradient, kept within ±ε. Each takes one more pass of the student forwards and
    back. Returned by node: the similarities of node i with all others, and its own divergence.

    Of more nodes than features no matrix of nodes by nodes is made: the norm follows from products
    of features by features, of the sum of S and T and of their difference, which loses no digits
    where they nearly agree.

    Args:
        similarity: μ, of the similarities.
        adversarial: η, of the predictions on changed inputs; 0 does without the passes.
        epsilon: ε, in units of the inputs.
        iterations: of the ascent.
        inputs: attribute of the batch that δ is added to.
        task: says what the outputs mean, and how they diverge; a distiller fills in its own.

    Shapes:
        ``student.features`` ``[N, F]``, ``teacher.features`` ``[N, F']``, ``teacher.logits``
        ``[N, C]``, inputs with a row per node; ``[N]`` results, whose mean is the loss.

    Raises:
        ParameterError: in the call, views without features or logits, of other widths than those
            built for, or inputs that nothing can be added to.

    Source:
        The paper's representational similarity distillation and adversarial features, with η = 0.1
        and the ascent of the authors' code (meettyj/NOSMOG), where ε (0.001 to 0.1) and μ (1e-9 to
        0.9) depend on the data set and both terms are there beside the labels' loss, too. There the
        learned map has the student's dropout. Its positions of nodes (DeepWalk's vectors, inputs of
        the student) are an option of the data set: ``nodes`` has ``positions``.

    When:
        A student without a graph whose inputs are noisy, or where ``glnn`` leaves a gap to the
        teacher that similar nodes could close. With η > 0 a step takes about six times as long.

    Example:
        >>> student = View(features=torch.randn(5, 4), logits=torch.randn(5, 3))
        >>> teacher = View(features=torch.randn(5, 8), logits=torch.randn(5, 3))
        >>> loss = NOSMOG(adversarial=0.0)
        >>> loss.build(student, teacher)
        >>> loss(student, teacher, step=Step.of(student)).shape
        torch.Size([5])
    """

    paper = Paper(
        "Tian, Zhang, Guo, Zhang, Chawla",
        "Learning MLPs on Graphs: A Unified View of Effectiveness, Robustness, and Efficiency",
        "ICLR",
        2023,
        "https://arxiv.org/abs/2208.10010",
    )
    likelihoods = ("softmax", "sigmoid", "gaussian")
    parity = ("meettyj/NOSMOG",)
    uses: tuple[str, ...] = ("logits", "features")
    zero_at_equality = False
    least_at_equality = False
    samples_apart = False  # similarities of all rows
    per_row = True
    example_parameters: tuple[dict[str, Any], ...] = ({}, {"adversarial": 0.0})
    encoder: nn.Linear | None

    @validated
    def __init__(
        self,
        similarity: Weight = 1.0,
        adversarial: Weight = 0.1,
        epsilon: Positive = 0.05,
        iterations: PositiveInt = 5,
        inputs: str = "x",
        task: str | Task = "single-label",
    ) -> None:
        super().__init__()
        self.similarity, self.adversarial = similarity, adversarial
        self.epsilon, self.iterations, self.inputs = epsilon, iterations, inputs
        self.divergence = create("loss", "kd", temperature=1.0, task=task, per_row=True)
        self.encoder = None
        if not adversarial:
            self.uses = ("features",)

    def build(self, student: View, teacher: View) -> None:
        """Create the map for these widths; one that exists stays."""
        if self.encoder is not None:
            return
        ours, theirs = paired_features(
            student.require_features("nosmog"), teacher.require_features("nosmog"), "nosmog"
        )
        self.encoder = nn.Linear(ours.shape[1], theirs.shape[1]).to(ours)

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        """Return the value of each node, ``[N]``."""
        ours, theirs = paired_features(
            student.require_features("nosmog"), teacher.require_features("nosmog"), "nosmog"
        )
        encoder = self._require_built(ours, theirs)
        # Fourth powers of features have no digits left in half precision.
        with torch.autocast(ours.device.type, enabled=False):
            encoded = encoder(ours.to(encoder.weight.dtype)).relu()
            value = self.similarity * gram_differences(encoded.to(ours.dtype), theirs)
        if not self.adversarial:
            return value
        soft = paired_logits(
            student.require_logits("nosmog"), teacher.require_logits("nosmog"), "nosmog"
        )[1]
        worst = self._divergence(self._perturbed(soft, step), soft, step)
        return value + self.adversarial * worst.to(value.dtype)

    def _divergence(self, inputs: Tensor, teacher: Tensor, step: Step) -> Tensor:
        """Divergence of each node's prediction on other inputs, ``[N]``."""
        again = step.logits(step.student, **{self.inputs: inputs})
        logits = paired_logits(again, teacher, "nosmog")
        value: Tensor = self.divergence(View(logits=logits[0]), View(logits=teacher))
        return value

    @torch.enable_grad()
    def _perturbed(self, teacher: Tensor, step: Step) -> Tensor:
        """Return inputs within ±ε whose predictions are far from the teacher's."""
        clean = getattr(step.batch, self.inputs, None)
        if not isinstance(clean, Tensor) or not clean.is_floating_point() or not clean.ndim:
            raise ParameterError(
                f"nosmog: changes are added to inputs={self.inputs!r}, but the batch's is no "
                f"tensor of floating point: {type(clean).__name__}"
            )
        draws = torch.rand(
            clean.shape, generator=step.generator, device=clean.device, dtype=clean.dtype
        )
        delta = self.epsilon * (2 * draws - 1)
        for _ in range(self.iterations):
            delta.requires_grad_()
            value = self._divergence(clean.detach() + delta, teacher, step).sum()
            (slope,) = torch.autograd.grad(value, delta, allow_unused=True)
            if slope is None:
                raise ParameterError(
                    f"nosmog: the student's predictions do not follow from inputs={self.inputs!r}"
                )
            delta = delta.detach() + self.epsilon / 4 * slope.sign()
            delta = delta.clamp(-self.epsilon, self.epsilon)
        return clean.detach() + delta

    def _require_built(self, student: Tensor, teacher: Tensor) -> nn.Linear:
        if self.encoder is None:
            raise not_built("nosmog", "the map does")
        require_widths(
            "nosmog", (self.encoder.in_features, self.encoder.out_features), student, teacher
        )
        return self.encoder

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return (
            f"similarity={self.similarity}, adversarial={self.adversarial}, "
            f"epsilon={self.epsilon}, iterations={self.iterations}"
        )


def gram_differences(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Mean squared difference of the inner products of each row with all rows, ``[N]``.

    .. math:: \frac{1}{N} \sum_j (s_i \cdot s_j - t_i \cdot t_j)^2

    In O(N·F·min(N, F)) time and O(N·F) memory.

    Args:
        student: ``[N, F]``.
        teacher: of the same shape.

    >>> gram_differences(torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [0.0]]))
    tensor([ 2., 10.])
    """
    # Twice the difference of the matrices is A Bᵀ + B Aᵀ for A = S − T and B = S + T. Beside A
    # nothing cancels: near agreement the result is as exact as A is.
    gap, total = student - teacher, student + teacher
    if len(gap) <= gap.shape[1]:  # the matrix is no larger than the features
        half = gap @ total.T
        return ((half + half.T) / 2).square().mean(dim=1) if len(gap) else gap.sum(dim=1)
    # The norms of its rows take products of features by features alone.
    rows: list[Any] = [
        torch.linalg.vecdot(gap @ (total.T @ total), gap),
        torch.linalg.vecdot(total @ (gap.T @ gap), total),
        2 * torch.linalg.vecdot(gap @ (total.T @ gap), total),
    ]
    return at_least_zero(sum(rows) / (4 * len(gap)))
