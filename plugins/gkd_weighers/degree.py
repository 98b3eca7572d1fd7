"""Degree: rows count by the number of their neighbours."""

from pydantic import FiniteFloat
from torch import Tensor

from gkd import AbstractWeigher, Step, View
from gkd.errors import validated


class Degree(AbstractWeigher):
    r"""Number of in-edges plus one, raised to a power, in units of the mean.

    .. math:: w_i = \frac{(1 + d_i)^{a}}{\frac{1}{N} \sum_j (1 + d_j)^{a}}

    The mean is that of all N rows, of a sampled batch that of its seeds, as other nodes have lost
    their edges. The graph is the student's view's, the teacher's where that has none.

    Args:
        power: a; below 0, nodes of few neighbours count most.

    Raises:
        ParameterError: the power is not finite; in the call, neither view has a graph.

    Example:
        >>> import torch, gkd
        >>> graph = gkd.Graph(torch.tensor([[1, 2, 0], [0, 0, 1]]), num_nodes=3)
        >>> view = View(logits=torch.zeros(3, 2), graph=graph)
        >>> Degree()(view, view, None)
        tensor([1.5000, 1.0000, 0.5000])
    """

    uses = ("graph",)

    @validated
    def __init__(self, power: FiniteFloat = 1.0) -> None:
        super().__init__()
        self.power = power

    def forward(self, student: View, teacher: View, step: Step | None) -> Tensor:
        """Return ``[N]``."""
        view = teacher if student.graph is None else student
        degree = view.require_graph("degree").row_pointer.diff()
        weights = (1.0 + degree) ** self.power
        counted = weights if step is None or step.seeds is None else weights[step.seeds]
        return weights / counted.mean() if len(counted) else weights
