"""LSP where edges have weights."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gkd import AbstractLoss, Graph, ParameterError, Step, View
from gkd.errors import validated
from gkd_lsp.lsp import LSP


class LSPWeighted(AbstractLoss):
    r"""Make every node of the student relate to its neighbours as the teacher's does, by weight.

    .. math:: LS_{ij} = \frac{w_{ij} \exp \mathrm{SIM}(z_i, z_j)}
        {\sum_{k \in N(i)} w_{ik} \exp \mathrm{SIM}(z_i, z_k)} \qquad
        L_i = \mathrm{KL}(LS^{student}_i \,\|\, LS^{teacher}_i)

    The weights are the batch's, one for each of its edges; those of a repeated edge are added up,
    and an edge of weight 0 is none. Equal weights are LSP. The value of a node is returned; their
    mean is the loss.

    Args:
        edge_weight: attribute of the batch with the weights, ``[E]`` or ``[E, 1]``, at least 0.
        edge_index: attribute of the batch with their edges, ``[2, E]``.
        **parameters: of :class:`LSP`: variant, kernel and the others.

    Shapes:
        As LSP; ``[N]`` results, whose mean is the loss.

    Raises:
        ParameterError: as LSP; in the call, no such weights or edges in the batch, a negative
            weight, or a graph with edges that have none.

    When:
        Edges are not equally sure or strong: a neighbour that hardly counts for the networks, as in
        a GCN with weights, should hardly count here.

    Source:
        Yang et al., CVPR 2020, equations 3 to 6, with weights before the exponentials.

    Example:
        >>> edges = torch.tensor([[1, 2], [0, 0]])
        >>> graph = Graph(edges, num_nodes=3)
        >>> student = View(features=torch.tensor([[0.0], [1.0], [2.0]]), graph=graph)
        >>> teacher = View(features=torch.tensor([[0.0], [1.0], [1.0]]), graph=graph)
        >>> inputs = {"edge_index": edges, "edge_weight": torch.tensor([3.0, 1.0])}
        >>> LSPWeighted()(student, teacher, step=Step.of(student, inputs=inputs))
        tensor([0.0175, 0.0000, 0.0000])
    """

    uses = ("features", "graph")
    per_row = True
    paper = LSP.paper

    @validated
    def __init__(
        self,
        edge_weight: str = "edge_weight",
        edge_index: str = "edge_index",
        **parameters: Any,
    ) -> None:
        super().__init__()
        self.edge_weight, self.edge_index = edge_weight, edge_index
        self.lsp = LSP(**parameters, per_row=True)
        self.zero_at_equality = self.lsp.zero_at_equality
        self.least_at_equality = self.lsp.least_at_equality
        self.samples_apart = self.lsp.samples_apart
        if self.lsp.hops > 1:
            raise ParameterError(f"lsp-weighted: hops={self.lsp.hops}, but weights are of edges")

    def forward(
        self, student: View, teacher: View, *, step: Step, rows: Tensor | None = None
    ) -> Tensor:
        """Return the value of each node, ``[N]``, without gradient to the teacher."""
        graph = student.require_graph("lsp-weighted").union(teacher.require_graph("lsp-weighted"))
        weights = self._weights(step, graph)
        # Not minus infinity: of two of them there is no difference.
        there = (weights > 0).nonzero().squeeze(1)
        if len(there) < len(weights):
            graph = Graph(graph.edge_index[:, there], graph.num_nodes)
        student, teacher = replace(student, graph=graph), replace(teacher, graph=graph)
        return self.lsp.compare(student, teacher, weights[there].log(), rows)

    def _weights(self, step: Step, graph: Graph) -> Tensor:
        """Weights of the edges of the graph, ``[E]``."""
        edges, weights = (
            getattr(step.batch, name, None) for name in (self.edge_index, self.edge_weight)
        )
        if not isinstance(edges, Tensor) or edges.ndim != 2 or len(edges) != 2:
            raise ParameterError(
                f"lsp-weighted: the batch has no edges [2, E] in {self.edge_index!r}"
            )
        if not isinstance(weights, Tensor) or weights.numel() != edges.shape[1]:
            raise ParameterError(
                f"lsp-weighted: expected a weight for each of {edges.shape[1]} edges in "
                f"{self.edge_weight!r} of the batch, got "
                + (f"{list(weights.shape)}" if isinstance(weights, Tensor) else f"{weights}")
            )
        weights, count = weights.detach().flatten().double(), graph.num_nodes
        if bool((weights < 0).any()) or not bool(weights.isfinite().all()):
            raise ParameterError(
                f"lsp-weighted: {self.edge_weight!r} has a negative weight, or NaN"
            )
        known, given = (ends[1] * count + ends[0] for ends in (graph.edge_index, edges))
        given = torch.where((edges < count).all(dim=0), given, -1)
        place = torch.searchsorted(known, given).clamp_(max=max(len(known) - 1, 0))
        mine = (known[place] == given).nonzero().squeeze(1) if len(known) else place[:0]
        found = torch.zeros_like(known, dtype=torch.bool).index_fill(0, place[mine], True)
        if not bool(found.all()):
            source, target = graph.edge_index[:, (~found).nonzero()[0, 0]].tolist()
            raise ParameterError(
                f"lsp-weighted: the graph has the edge from {source} to {target}, which has no "
                f"weight, as {self.edge_index!r} of the batch lacks it"
            )
        return weights.new_zeros(len(known)).index_add(0, place[mine], weights[mine])

    def extra_repr(self) -> str:
        """Return the settings for ``print(loss)``."""
        return f"edge_weight={self.edge_weight!r}, edge_index={self.edge_index!r}"
