"""FF-G2M, low frequencies, of Wu, Lin, Huang, Fan, Li.

Extracting Low-/High-Frequency Knowledge from Graph Neural Networks and Injecting it into MLPs: An
Effective GNN-to-MLP Distillation Framework, AAAI 2023, https://arxiv.org/abs/2305.10758.
"""

from typing import Annotated

from pydantic import Field, FiniteFloat
from torch import Tensor

from gkd import AbstractLoss, Paper, Step, Task, View
from gkd.errors import validated
from gkd.functional.neighbour_divergence import neighbour_divergence
from gkd.functional.paired_rows import mean_over_pairs
from gkd_structure.edge_logits import EdgeLogits


class FFG2MLow(AbstractLoss):
    r"""Divergence of a node's prediction from the teacher's, of itself and of its neighbours.

    With E' the edges and a self-loop of each node:

    .. math:: \frac{1}{|E'|} \sum_i \sum_{j \in N(i) \cup \{i\}}
        \mathrm{KL}(\mathrm{softmax}(t_j / \tau) \,\|\, \mathrm{softmax}(s_i / \tau))

    The value of a node is its part of the sum times :math:`N / |E'|`, so that their mean is the
    loss; of a sampled batch these are the seeds and their edges. Memory is O(E + N·C).

    Args:
        temperature: τ, in units of the logits.
        task: says what the outputs mean; a distiller fills in its own.

    Shapes:
        ``student.logits`` and ``teacher.logits`` ``[N, C]``, a graph over the N nodes; ``[N]``
        results, whose mean is the loss.

    Raises:
        ParameterError: outputs of the task are no classes; in the call, views without logits or
            graph, or shapes that do not fit.

    When:
        The student sees no edges, as an MLP, and neighbours mostly are of one class: it learns
        what they have in common. Beside FF-G2M's other part, of high frequencies.

    Source:
        The paper's low-frequency distillation. The authors' code (LirongWu/FF-G2M) has no
        temperature here: τ = 1.

    Example:
        >>> import torch
        >>> from gkd import Graph
        >>> graph = Graph(torch.tensor([[1], [0]]), 2)
        >>> student = View(logits=torch.tensor([[0.0, 0.0], [0.0, 0.0]]), graph=graph)
        >>> teacher = View(logits=torch.tensor([[0.0, 0.0], [2.0, 0.0]]), graph=graph)
        >>> FFG2MLow()(student, teacher)
        tensor([0.2185, 0.2185])
    """

    uses = ("logits", "graph")
    zero_at_equality = False  # a node differs from its neighbours
    least_at_equality = False
    fades_with_temperature = True
    per_row = True
    paper = Paper(
        "Wu, Lin, Huang, Fan, Li",
        "Extracting Low-/High-Frequency Knowledge from Graph Neural Networks and Injecting it "
        "into MLPs: An Effective GNN-to-MLP Distillation Framework",
        "AAAI",
        2023,
        "https://arxiv.org/abs/2305.10758",
    )
    likelihoods = ("softmax",)
    parity = ("LirongWu/FF-G2M",)

    @validated
    def __init__(
        self,
        temperature: Annotated[FiniteFloat, Field(gt=0)] = 1.0,
        task: str | Task = "single-label",
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.edge_logits = EdgeLogits("ff-g2m-low", task)

    def forward(
        self,
        student: View,
        teacher: View,
        *,
        step: Step | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """Return the value of each node, ``[N]``."""
        ours, theirs, graph = self.edge_logits.of(student, teacher)
        part = graph.in_edges(rows)
        looped = part.graph.with_self_loops()
        s, t = (part.of_nodes(z) / self.temperature for z in (ours, theirs))
        sums = part.to_all(neighbour_divergence(s, t, ours.new_ones(looped.num_edges), looped))
        pairs = graph.row_pointer.diff() + 1
        pairs[graph.target[graph.self_loops]] -= 1  # an edge from itself is that pair
        return mean_over_pairs(sums, pairs, None if step is None else step.seeds)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"temperature={self.temperature}"
