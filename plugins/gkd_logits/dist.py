"""DIST: Huang, You, Wang, Qian, Xu, Knowledge Distillation from A Stronger Teacher, NeurIPS 2022.

https://arxiv.org/abs/2205.10536.
"""

from typing import Annotated

from pydantic import Field, FiniteFloat
from torch import Tensor

from gkd import AbstractLoss, Paper, Task, View
from gkd.errors import validated
from gkd.functional.paired_rows import standard_scores
from gkd_logits.class_logits import ClassLogits

Weight = Annotated[FiniteFloat, Field(ge=0)]


class DIST(AbstractLoss):
    r"""Correlation of the predictions, among the classes of a node and among the nodes of a class.

    With p the softmax of the logits over T, :math:`p_{i \cdot}` the probabilities of a node and
    :math:`p_{\cdot c}` those of a class, and ρ Pearson's correlation:

    .. math:: T^2 \Big( \beta \frac{1}{N} \sum_i 1 - \rho(p^s_{i \cdot}, p^t_{i \cdot}) +
        \gamma \frac{1}{C} \sum_c 1 - \rho(p^s_{\cdot c}, p^t_{\cdot c}) \Big)

    A student may be less sure than its teacher: only the relations of probabilities count. The
    nodes of a class are all of the step, whichever sample they are of. What has no spread, such as
    a class that is equally likely everywhere, has a correlation of 1 with what has none either and
    of ½ with anything else.

    When:
        The teacher is much stronger than the student, so that KD asks for too much.

    Args:
        beta: β, weight of the relations among classes.
        gamma: γ, weight of the relations among nodes.
        temperature: T, in units of the logits.
        task: says what the outputs mean; a distiller fills in its own.

    Shapes:
        ``student.logits`` and ``teacher.logits`` ``[N, C]``; a scalar results, from 0 to
        2T²(β + γ).

    Raises:
        ParameterError: outputs of the task are no classes; in the call, views without logits, or
            logits of different shapes.

    Source:
        The paper's inter-class and intra-class relations. T² as in
        yoshitomo-matsubara/torchdistill; the authors' code (hunto/DIST_KD) has T = 1.

    Example:
        >>> import torch
        >>> teacher = View(logits=torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]))
        >>> student = View(logits=torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 2.0]]))
        >>> DIST()(student, teacher)
        tensor(0.5378)
    """

    uses = ("logits",)
    samples_apart = False  # a class is compared over all rows
    paper = Paper(
        "Huang, You, Wang, Qian, Xu",
        "Knowledge Distillation from A Stronger Teacher",
        "NeurIPS",
        2022,
        "https://arxiv.org/abs/2205.10536",
    )
    likelihoods = ("softmax",)
    parity = ("hunto/DIST_KD", "yoshitomo-matsubara/torchdistill")

    @validated
    def __init__(
        self,
        beta: Weight = 1.0,
        gamma: Weight = 1.0,
        temperature: Annotated[FiniteFloat, Field(gt=0)] = 1.0,
        task: str | Task = "single-label",
    ) -> None:
        super().__init__()
        self.beta, self.gamma, self.temperature = beta, gamma, temperature
        self.class_logits = ClassLogits("dist", task)

    def forward(self, student: View, teacher: View) -> Tensor:
        """Return the value; 0 where there are no nodes."""
        pair = self.class_logits.of(student, teacher)
        if not len(pair.student):  # nothing to correlate: 0, with a gradient
            return pair.student.sum()
        ours, theirs = ((logits / self.temperature).softmax(dim=1) for logits in pair)
        among_classes, among_nodes = (_apart(ours, theirs, dim) for dim in (1, 0))
        return self.temperature**2 * (self.beta * among_classes + self.gamma * among_nodes)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"beta={self.beta}, gamma={self.gamma}, temperature={self.temperature}"


def _apart(ours: Tensor, theirs: Tensor, dim: int) -> Tensor:
    # 1 - ρ is half the mean square of the difference of standard scores: nothing cancels near 0.
    return (standard_scores(ours, dim) - standard_scores(theirs, dim)).square().mean() / 2
