"""GKD, geometric knowledge distillation, of Yang, Wu, Yan.

Geometric Knowledge Distillation: Topology Compression for Graph Neural Networks, NeurIPS 2022,
https://arxiv.org/abs/2210.13014.
"""

from functools import partial
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, FiniteFloat, PositiveInt
from torch import Tensor

from gkd import AbstractLoss, Paper, Step, View
from gkd.errors import ParameterError, validated
from gkd.functional.node_pairs import distances
from gkd.functional.paired_rows import paired_features, standard_scores
from gkd_structure.pair_differences import drawn_nodes, pair_differences

Positive = Annotated[FiniteFloat, Field(gt=0)]


class HeatKernel(AbstractLoss):
    r"""Squared difference of the heat kernels over the nodes, which describe the geometry of each.

    .. math:: \frac{1}{N^2} \sum_{ij} w_{ij} (k(z^s_i, z^s_j) - k(z^t_i, z^t_j))^2

    with :math:`w_{ij} = 1` for i = j and where an edge of the student's graph joins the two, and δ
    elsewhere. A network's neural heat kernel says how much its layers let pass from j to i; it is
    modelled by

    * ``"tanh"``: :math:`k(x, y) = \tanh(x^T y)`;
    * ``"gaussian"``: :math:`k(x, y) = \exp(-\|x - y\| / \tau)`;
    * ``"random"``: :math:`k(x, y) = \sum_{a=1}^m e_a \tanh(W_a^T x)^T \tanh(W_a^T y)`, for
      normally distributed numbers :math:`e_a` and matrices :math:`W_a`, ``[F, s F]``, drawn anew in
      every step: of one expectation over all kernels, not of one kernel.

    The teacher may have seen more edges than the student, or other ones. Kernels are computed in
    float64, in blocks of nodes and again in the backward pass: memory is O(N·(F + F')), and
    O(N·m·s·F) for ``"random"``; time is that times N.

    Args:
        kernel: k.
        delta: δ.
        scale: τ of the Gaussian kernel.
        maps: m of the random kernel.
        expansion: s of the random kernel.
        standardise: give each feature the mean 0 and the variance 1 over the nodes first.
        samples: nodes drawn for each call where there are more; None takes all.

    Shapes:
        ``student.features`` ``[N, F]``, ``teacher.features`` ``[N, F']`` with F' = F for the random
        kernel, a graph over the N nodes; a scalar results.

    Raises:
        ParameterError: in the call, views without features or graph, with different nodes, or of
            different widths for the random kernel.

    When:
        The teacher knows edges that the student will not have: it passes on what they did to the
        features. One term for each pair of layers, of a weight of 1 / layers each.

    Source:
        The paper's non-parametric form, as in the authors' code (chr26195/GKD), which calls tanh
        sigmoid and sums over pairs: it is N² times this. Features are those before the activation,
        after the batch normalisation that ``standardise`` is; δ = 0.1, τ = 1, m = 1, s = 2.

    Example:
        >>> from gkd import Graph
        >>> graph = Graph(torch.tensor([[1], [0]]), 2)
        >>> student = View(features=torch.tensor([[1.0], [0.0]]), graph=graph)
        >>> teacher = View(features=torch.tensor([[1.0], [1.0]]), graph=graph)
        >>> HeatKernel("gaussian", standardise=False)(student, teacher, step=Step.of(student))
        tensor(0.1099)
    """

    uses = ("features", "graph")
    samples_apart = False
    linear_work = False  # all pairs of nodes
    paper = Paper(
        "Yang, Wu, Yan",
        "Geometric Knowledge Distillation: Topology Compression for Graph Neural Networks",
        "NeurIPS",
        2022,
        "https://arxiv.org/abs/2210.13014",
    )
    parity = ("chr26195/GKD",)
    example_parameters: tuple[dict[str, Any], ...] = ({}, {"kernel": "random"})

    @validated
    def __init__(
        self,
        kernel: Literal["tanh", "gaussian", "random"] = "tanh",
        delta: Annotated[FiniteFloat, Field(ge=0)] = 0.1,
        scale: Positive = 1.0,
        maps: PositiveInt = 1,
        expansion: PositiveInt = 2,
        standardise: bool = True,
        samples: Annotated[int, Field(ge=2)] | None = 1024,
    ) -> None:
        super().__init__()
        self.kernel, self.delta, self.scale = kernel, delta, scale
        self.maps, self.expansion = maps, expansion
        self.standardise, self.samples = standardise, samples
        self.different_widths = kernel != "random"

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        """Return the weighted mean over pairs; 0 where there are no nodes."""
        ours, theirs = paired_features(
            student.require_features("heat-kernel"),
            teacher.require_features("heat-kernel"),
            "heat-kernel",
        )
        graph = student.require_graph("heat-kernel")
        if graph.num_nodes != len(ours):
            raise ParameterError(f"heat-kernel: {graph!r} is not over the {len(ours)} nodes")
        if not len(ours):  # no scores of no numbers: 0, with a gradient
            return ours.sum()
        s, t = ours.double(), theirs.double()
        if self.standardise:
            s, t = standard_scores(s, dim=0), standard_scores(t, dim=0)
        s, t, graph = drawn_nodes(s, t, graph, self.samples, step)
        if self.kernel == "random":
            s, t, signs = self._random_features(s, t, step.generator)
            kernel = partial(_weighted, signs)
        else:
            kernel = partial(_KERNELS[self.kernel], self.scale)
        value = pair_differences(partial(kernel, s), partial(kernel, t), graph, self.delta)
        return value.to(ours.dtype)

    def _random_features(
        self, student: Tensor, teacher: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Map both to ``[N, m s F]``, and draw the sign and size of each column, ``[m s F]``."""
        width = student.shape[1]
        if width != teacher.shape[1]:
            raise ParameterError(
                f"heat-kernel: the random kernel maps features of one width, got {width} from the "
                f"student and {teacher.shape[1]} from the teacher"
            )

        def drawn(*shape: int) -> Tensor:
            device = generator.device
            return torch.randn(shape, generator=generator, device=device, dtype=student.dtype)

        columns = self.expansion * width
        maps = drawn(self.maps, width, columns).to(student.device).movedim(0, 1).flatten(1)
        factors = drawn(self.maps).to(student.device)
        return (student @ maps).tanh(), (teacher @ maps).tanh(), factors.repeat_interleave(columns)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return (
            f"kernel={self.kernel}, delta={self.delta}, standardise={self.standardise}, "
            f"samples={self.samples}"
        )


def _tanh(scale: float, features: Tensor, rows: slice) -> Tensor:
    return (features[rows] @ features.T).tanh()


def _gaussian(scale: float, features: Tensor, rows: slice) -> Tensor:
    return (distances(features, rows) / -scale).exp()


def _weighted(weights: Tensor, features: Tensor, rows: slice) -> Tensor:
    return (features[rows] * weights) @ features.T


_KERNELS = {"tanh": _tanh, "gaussian": _gaussian}
