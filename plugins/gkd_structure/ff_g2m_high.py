"""FF-G2M, high frequencies, of Wu, Lin, Huang, Fan, Li.

Extracting Low-/High-Frequency Knowledge from Graph Neural Networks and Injecting it into MLPs: An
Effective GNN-to-MLP Distillation Framework, AAAI 2023, https://arxiv.org/abs/2305.10758.
"""

from typing import Annotated

import torch
from pydantic import Field, FiniteFloat
from torch import Tensor

from gkd import AbstractLoss, Paper, Step, Task, View
from gkd.errors import validated
from gkd.functional.logit_divergences import categorical_divergence
from gkd.functional.paired_rows import mean_over_pairs
from gkd.functional.segments import segment_sum
from gkd.functional.similarities import EdgePairs
from gkd_structure.edge_logits import EdgeLogits


class FFG2MHigh(AbstractLoss):
    r"""Divergence of how the predictions of neighbours differ, between student and teacher.

    With E' the edges that are no self-loops, and :math:`|\cdot|` taken of each class:

    .. math:: \frac{1}{|E'|} \sum_{j \to i} \mathrm{KL}\!\left(
        \mathrm{softmax}\frac{|t_i - t_j|}{\tau} \,\middle\|\,
        \mathrm{softmax}\frac{|s_i - s_j|}{\tau} \right)

    The value of a node is that of its in-edges times :math:`N / |E'|`, so that their mean is the
    loss; of a sampled batch these are the seeds and their edges. Rows of edges are made in blocks
    of bounded size, and again in the backward pass.

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
        Beside FF-G2M's part of low frequencies, which alone makes neighbours alike: this one keeps
        where they differ.

    Source:
        The paper's high-frequency distillation; τ = 1.5 in the authors' code (LirongWu/FF-G2M),
        without a factor τ².

    Example:
        >>> from gkd import Graph
        >>> graph = Graph(torch.tensor([[1], [0]]), 2)
        >>> student = View(logits=torch.tensor([[0.0, 0.0], [0.0, 0.0]]), graph=graph)
        >>> teacher = View(logits=torch.tensor([[0.0, 0.0], [3.0, 0.0]]), graph=graph)
        >>> FFG2MHigh()(student, teacher)
        tensor([0.6556, 0.0000])
    """

    uses = ("logits", "graph")
    shift_invariant = False
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
        temperature: Annotated[FiniteFloat, Field(gt=0)] = 1.5,
        task: str | Task = "single-label",
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.edge_logits = EdgeLogits("ff-g2m-high", task)

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
        # Side by side, so that one pass over the edges has the ends of both.
        both = torch.cat([part.of_nodes(ours), part.of_nodes(theirs)], dim=1) / self.temperature
        values = EdgePairs(both, part.graph).compared(_divergence)
        sums = part.to_all(segment_sum(values, part.graph.row_pointer))
        # A node differs nowhere from itself: self-loops are 0, and are not counted.
        pairs = graph.row_pointer.diff()
        pairs[graph.target[graph.self_loops]] -= 1  # each edge is there once
        seeds = None if step is None else step.seeds
        return mean_over_pairs(sums, pairs, seeds)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"temperature={self.temperature}"


def _divergence(targets: Tensor, sources: Tensor) -> Tensor:
    student, teacher = (targets - sources).abs().chunk(2, dim=1)
    return categorical_divergence(student, teacher)
