"""MGD: Yang et al., Masked Generative Distillation, ECCV 2022.

https://arxiv.org/abs/2205.01529.
"""

from typing import Annotated

import torch
from pydantic import Field, FiniteFloat
from torch import Tensor, nn

from gkd import Graph, Paper, Step, View
from gkd.errors import ParameterError, validated
from gkd.functional.draws import uniform_draws
from gkd.functional.edge_products import neighbour_sum
from gkd_features.learned_maps import LearnedMaps


class MGD(LearnedMaps):
    r"""Distance of the teacher's features from what is made of the student's with nodes hidden.

    The student's features are mapped linearly to the teacher's width, those of some nodes, drawn
    anew in each step, are set to 0, and a small graph neural network G has to restore the
    teacher's at all nodes:

    .. math:: \frac{1}{N} \sum_i \| G(m \odot (W s + b))_i - t_i \|_2^2

    A student's node has to hold what tells of its neighbours, not its own features alone. G has two
    layers, each a linear map of a node and another of the mean of its neighbours, with a ReLU
    between them; it learns with the student and is thrown away.

    When:
        Neighbours are alike or complete one another, and a student shall not copy node by node.

    Args:
        mask: share of the nodes that is hidden.
        per_row: return the value of each node in place of their mean.

    Shapes:
        ``student.features`` ``[N, F_s]``, ``teacher.features`` ``[N, F]``, graphs over N nodes, of
        which the union is taken; a scalar results, or ``[N]`` per row.

    Raises:
        ParameterError: in the call, views without features or graph, with different nodes, or of
            other widths than those built for.

    Source:
        The paper's method for dense features, with a mask of 0.65 as in the authors' code for
        detection (yzd-v/MGD). On images, G has convolutions of 3 × 3 pixels, and the sum over all
        pixels of B images is divided by B: N / B times this value, with a weight of 2e-5. That code
        maps the student's features only where widths differ.

    Example:
        >>> graph = Graph(torch.tensor([[0, 1, 2], [1, 2, 0]]), 3)
        >>> student = View(features=torch.randn(3, 4, requires_grad=True), graph=graph)
        >>> teacher = View(features=torch.randn(3, 8), graph=graph)
        >>> loss = MGD()
        >>> loss.build(student, teacher)
        >>> loss(student, teacher, step=Step.of(student)).backward()
        >>> student.features.grad.shape
        torch.Size([3, 4])
    """

    uses = ("features", "graph")
    name = "mgd"
    paper = Paper(
        "Yang et al.",
        "Masked Generative Distillation",
        "ECCV",
        2022,
        "https://arxiv.org/abs/2205.01529",
    )
    parity = ("yzd-v/MGD",)

    @validated
    def __init__(
        self,
        mask: Annotated[FiniteFloat, Field(ge=0, lt=1)] = 0.65,
        per_row: bool = False,
    ) -> None:
        super().__init__()
        self.mask, self.per_row = mask, per_row

    def make_maps(self, ours: int, theirs: int) -> nn.ModuleDict:
        """Return the map to the teacher's width, and the two layers that restore."""
        return nn.ModuleDict(
            {
                "align": nn.Linear(ours, theirs),
                "first": Neighbourhood(theirs),
                "second": Neighbourhood(theirs),
            }
        )

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        """Return the mean over nodes; 0 where there are none. Per row ``[N]``."""
        ours, theirs, maps = self.pair(student, teacher)
        graph = student.require_graph("mgd").union(teacher.require_graph("mgd"))
        if graph.num_nodes != len(ours):
            raise ParameterError(f"mgd: {graph!r} is not over the {len(ours)} rows of the features")
        generator = step.generator
        seed = torch.randint(2**62, (1,), generator=generator, device=generator.device)
        # By name, so that what is hidden of a node does not depend on the others of the batch.
        names = step.nodes if step.keys is None else step.keys
        shown = uniform_draws(names, 1, int(seed))[:, 0] >= self.mask
        with torch.autocast(ours.device.type, enabled=False):
            aligned = maps["align"](ours.to(next(maps.parameters()).dtype))
            hidden = maps["first"](aligned * shown[:, None], graph).relu()
            restored = maps["second"](hidden, graph)
        value: Tensor = (restored.to(theirs.dtype) - theirs).square().sum(dim=1)
        return value if self.per_row else value.sum() / max(len(value), 1)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"mask={self.mask}"


class Neighbourhood(nn.Module):
    """Linear map of each node, and another of the mean of its neighbours.

    Args:
        width: of the features, before and after.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own = nn.Linear(width, width)
        self.neighbours = nn.Linear(width, width, bias=False)

    def forward(self, features: Tensor, graph: Graph) -> Tensor:
        """Return ``[N, width]``.

        Args:
            features: ``[N, width]``.
            graph: over the N nodes.
        """
        total = neighbour_sum(features.new_ones(graph.num_edges), features, graph)
        mean = total / graph.row_pointer.diff().clamp(min=1)[:, None]
        result: Tensor = self.own(features) + self.neighbours(mean)
        return result
