"""Homophily: rows count as much as their neighbours are of their class."""

from torch import Tensor

from gkd import AbstractWeigher, Step, View
from gkd.errors import ParameterError, validated
from gkd.functional.segments import segment_sum


class Homophily(AbstractWeigher):
    r"""Share of a node's neighbours for which the teacher predicts the node's own class.

    .. math:: w_i = \frac{1}{d_i} \sum_{j \in N(i)} [\arg\max t_j = \arg\max t_i]

    A node without neighbours has weight 1. The graph is the student's view's, the teacher's where
    that has none. Labels play no part: those of nodes to test on must not.

    Args:
        low: weigh by one minus the share, so that nodes among others count most.

    Raises:
        ParameterError: in the call, neither view has a graph, or the teacher has no classes.

    Example:
        >>> import torch, gkd
        >>> graph = gkd.Graph(torch.tensor([[1, 2], [0, 0]]), num_nodes=3)
        >>> view = View(logits=torch.eye(2)[[0, 0, 1]], graph=graph)
        >>> Homophily()(view, view, None)
        tensor([0.5000, 1.0000, 1.0000])
    """

    uses = ("graph",)

    @validated
    def __init__(self, low: bool = False) -> None:
        super().__init__()
        self.low = low

    def forward(self, student: View, teacher: View, step: Step | None) -> Tensor:
        """Return ``[N]``."""
        graph = (teacher if student.graph is None else student).require_graph("homophily")
        logits = teacher.require_logits("homophily")
        if logits.ndim != 2 or logits.shape[1] < 2 or len(logits) != graph.num_nodes:
            raise ParameterError(
                f"homophily: expected logits of at least two classes for each of "
                f"{graph.num_nodes} nodes, got {list(logits.shape)}"
            )
        classes = logits.argmax(1)
        alike = (classes[graph.source] == classes[graph.target]).to(logits.dtype)
        degree = graph.row_pointer.diff()
        share = segment_sum(alike, graph.row_pointer) / degree.clamp_min(1)
        share = 1 - share if self.low else share
        return share.where(degree > 0, 1.0)
