"""LSP over the neighbourhoods of random walks."""

from dataclasses import replace
from typing import Any

from pydantic import PositiveInt
from torch import Tensor

from gkd import AbstractLoss, Step, View
from gkd.errors import validated
from gkd_lsp.lsp import LSP
from gkd_lsp.neighbourhoods import met_on_walks


class LSPWalks(AbstractLoss):
    r"""Make every node of the student relate to nodes met on random walks as the teacher's does.

    .. math:: L = \frac{1}{N} \sum_i \mathrm{KL}(LS^{student}_i \,\|\, LS^{teacher}_i), \qquad
        LS_{ij} = \operatorname*{softmax}_{j \in W(i)} \mathrm{SIM}(z_i, z_j)

    W(i) are the nodes that walks from i meet, each step to one of the nodes that edges come from,
    drawn anew in every step of training. At most ``walks`` times ``length`` nodes are met, however
    large a node's neighbourhood is: memory is O(N·(walks·length + F)).

    Args:
        walks: from each node.
        length: of a walk, in steps.
        **parameters: of :class:`LSP`: variant, kernel and the others.

    Shapes:
        As LSP; its graph is the one that is walked on.

    Raises:
        ParameterError: as LSP.

    When:
        Neighbourhoods are too large for LSP, as around hubs, or too small to tell anything, as in
        sparse graphs, where walks of several steps see farther.

    Source:
        Yang et al., CVPR 2020, equations 3 to 6, on neighbourhoods as Perozzi et al. (DeepWalk, KDD
        2014) take them. Walks of one step draw from LSP's own.

    Example:
        >>> import torch
        >>> from gkd import Graph
        >>> graph = Graph(torch.tensor([[1, 2], [0, 0]]), num_nodes=3)
        >>> student = View(features=torch.tensor([[0.0], [1.0], [2.0]]), graph=graph)
        >>> teacher = View(features=torch.tensor([[0.0], [1.0], [1.0]]), graph=graph)
        >>> LSPWalks(walks=20)(student, teacher, step=Step.of(student))
        tensor(0.0090)
    """

    uses = ("features", "graph")
    paper = LSP.paper

    @validated
    def __init__(self, walks: PositiveInt = 4, length: PositiveInt = 2, **parameters: Any) -> None:
        super().__init__()
        self.walks, self.length = walks, length
        self.lsp = LSP(**parameters)
        self.per_row, self.zero_at_equality = self.lsp.per_row, self.lsp.zero_at_equality
        self.least_at_equality = self.lsp.least_at_equality
        self.samples_apart = self.lsp.samples_apart

    def forward(
        self, student: View, teacher: View, *, step: Step, rows: Tensor | None = None
    ) -> Tensor:
        """Return the loss, a scalar (per row ``[N]``) without gradient to the teacher."""
        graph = student.require_graph("lsp-walks").union(teacher.require_graph("lsp-walks"))
        needed = self.lsp.suffices(rows)
        met = met_on_walks(graph, self.walks, self.length, step.generator, needed)
        views = (replace(view, graph=met) for view in (student, teacher))
        value: Tensor = self.lsp(*views, rows=rows)
        return value

    def extra_repr(self) -> str:
        """Return the settings for ``print(loss)``."""
        return f"walks={self.walks}, length={self.length}"
