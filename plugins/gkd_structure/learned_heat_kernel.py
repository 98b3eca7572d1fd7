"""PGKD, geometric knowledge distillation with a learned kernel, of Yang, Wu, Yan.

Geometric Knowledge Distillation: Topology Compression for Graph Neural Networks, NeurIPS 2022,
https://arxiv.org/abs/2210.13014.
"""

from functools import partial
from typing import Annotated

import torch
from pydantic import Field, FiniteFloat, PositiveInt
from torch import Tensor, nn

from gkd import AbstractLoss, Paper, Step, View
from gkd.errors import ParameterError, validated
from gkd.functional.paired_rows import not_built, paired_features, standard_scores
from gkd_structure.pair_differences import drawn_nodes, pair_differences


class LearnedHeatKernel(AbstractLoss):
    r"""Squared difference of learned heat kernels over the nodes.

    .. math:: \frac{1}{N^2} \sum_{ij} w_{ij} (k(z^s_i, z^s_j) - k(z^t_i, z^t_j))^2, \qquad
        k(x, y) = \tanh(\Phi^T x)^T \tanh(\Phi^T y)

    with :math:`w_{ij} = 1` for i = j and where an edge of the student's graph joins the two, and δ
    elsewhere. z are the features of the last tap. The heat kernel K of a network takes features
    back to where they came from: Φ, ``[F, s F]``, learns to rebuild those of the first tap, h, by

    .. math:: \sum_{s, t} \frac{1}{N F} \| \mathrm{BN}(K z) - \mathrm{BN}(h) \|^2

    where BN gives each feature the mean 0 and the variance 1 over the nodes. Its gradient reaches Φ
    alone, and that of the difference the student alone, so that one optimiser serves both; the
    value is the difference. Where h has another width than z, a learned linear map takes
    :math:`K z` there. Kernels are computed in float64, in blocks of nodes and again in the backward
    pass: memory is O(N·s·F), time O(N²·s·F).

    Args:
        delta: δ.
        expansion: s.
        samples: nodes drawn for each call where there are more; None takes all.

    Shapes:
        ``student.layers`` and ``teacher.layers``, at least two, the last ``[N, F]`` in both; a
        graph over the N nodes; a scalar results.

    Raises:
        ParameterError: in the call, views without layers or graph, with different nodes or widths,
            or other widths than those built for.

    When:
        As the heat kernel without parameters, where none of its kernels fits: this one is learned
        from the two networks.

    Source:
        The paper's parametric form (PGKD), as in the authors' code (chr26195/GKD): the taps are the
        output of the first linear map and the input of the last, δ = 0.1 and s = 2. It sums over
        pairs: it is N² times this.

    Example:
        >>> from gkd import Graph
        >>> graph = Graph(torch.tensor([[1], [0]]), 2)
        >>> layers = (torch.randn(2, 3), torch.randn(2, 3))
        >>> view = View(features=layers[-1], layers=layers, graph=graph)
        >>> loss = LearnedHeatKernel()
        >>> loss.build(view, view)
        >>> loss(view, view, step=Step.of(view))
        tensor(0., grad_fn=<ToCopyBackward0>)
    """

    uses = ("features", "graph", "layers")
    samples_apart = False
    linear_work = False  # all pairs of nodes
    without_gradient = ("layer 0", "layer 1")
    different_widths = False
    paper = Paper(
        "Yang, Wu, Yan",
        "Geometric Knowledge Distillation: Topology Compression for Graph Neural Networks",
        "NeurIPS",
        2022,
        "https://arxiv.org/abs/2210.13014",
    )
    parity = ("chr26195/GKD",)
    phi: nn.Parameter | None
    back: nn.ModuleDict

    @validated
    def __init__(
        self,
        delta: Annotated[FiniteFloat, Field(ge=0)] = 0.1,
        expansion: PositiveInt = 2,
        samples: Annotated[int, Field(ge=2)] | None = 1024,
    ) -> None:
        super().__init__()
        self.delta, self.expansion, self.samples = delta, expansion, samples
        self.register_parameter("phi", None)
        self.back = nn.ModuleDict()

    def build(self, student: View, teacher: View) -> None:
        """Create Φ, and maps where widths differ; those that exist stay, with what they learned."""
        if self.phi is not None:
            return
        ours, _ = self._last(student, teacher)
        width = ours.shape[1]
        self.phi = nn.Parameter(torch.randn(width, self.expansion * width).to(ours))
        for name, view in (("student", student), ("teacher", teacher)):
            first = view.require_layers("learned-heat-kernel")[0]
            if first.shape[1] != width:
                self.back[name] = nn.Linear(width, first.shape[1], bias=False).to(ours)

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        """Return the weighted mean over pairs; 0 where there are no nodes."""
        ours, theirs = self._last(student, teacher)
        graph = student.require_graph("learned-heat-kernel")
        if graph.num_nodes != len(ours):
            raise ParameterError(
                f"learned-heat-kernel: {graph!r} is not over the {len(ours)} nodes"
            )
        phi = self._phi(ours, theirs)
        if not len(ours):  # no scores of no numbers: 0, with a gradient
            return ours.sum() + 0 * sum(weights.sum() for weights in self.parameters())
        rebuilt = self._rebuilding("student", ours, student, phi)
        rebuilt = rebuilt + self._rebuilding("teacher", theirs, teacher, phi)
        s, t, graph = drawn_nodes(ours.double(), theirs.double(), graph, self.samples, step)
        s, t = (s @ phi.detach()).tanh(), (t @ phi.detach()).tanh()
        value = pair_differences(partial(_products, s), partial(_products, t), graph, self.delta)
        return (value + (rebuilt - rebuilt.detach())).to(ours.dtype)

    def _rebuilding(self, name: str, features: Tensor, view: View, phi: Tensor) -> Tensor:
        """Mean squared difference of the first layer and what the kernel makes of the last."""
        first = view.require_layers("learned-heat-kernel")[0].detach().to(phi)
        z = features.detach().to(phi)
        mapped = (z @ phi).tanh()
        rebuilt = mapped @ (mapped.T @ z)  # K z without K
        if name in self.back:
            weight: Tensor = self.back[name].get_parameter("weight")
            rebuilt = rebuilt @ weight.T.to(phi)
        return (standard_scores(rebuilt, dim=0) - standard_scores(first, dim=0)).square().mean()

    def _last(self, student: View, teacher: View) -> tuple[Tensor, Tensor]:
        layers = [view.require_layers("learned-heat-kernel") for view in (student, teacher)]
        return paired_features(layers[0][-1], layers[1][-1], "learned-heat-kernel")

    def _phi(self, student: Tensor, teacher: Tensor) -> Tensor:
        if self.phi is None:
            raise not_built("learned-heat-kernel", "Φ does")
        if not student.shape[1] == teacher.shape[1] == len(self.phi):
            raise ParameterError(
                f"learned-heat-kernel: built for features of width {len(self.phi)}, got "
                f"{student.shape[1]} from the student and {teacher.shape[1]} from the teacher"
            )
        return self.phi.double()

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"delta={self.delta}, expansion={self.expansion}, samples={self.samples}"


def _products(features: Tensor, rows: slice) -> Tensor:
    return features[rows] @ features.T
