"""ReviewKD: Chen, Liu, Zhao, Jia, Distilling Knowledge via Knowledge Review, CVPR 2021.

https://arxiv.org/abs/2104.09044.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from gkd import AbstractLoss, Graph, Paper, View
from gkd.errors import ParameterError, validated
from gkd.functional.edge_products import neighbour_sum
from gkd.functional.paired_rows import not_built, sample_pointer
from gkd.functional.segments import segment_sum
from gkd_layers.paired_layers import paired_layers

_WIDEST = 512  # the authors': of the space that layers are fused in


class ReviewKD(AbstractLoss):
    r"""Distance of the teacher's layers from the student's, in which deeper ones are fused.

    From the deepest layer to the first, a layer is mapped to a common width and fused with what
    came from the deeper ones, by an attention that is learned; a second map brings it to the width
    of the teacher's layer. With BN batch normalisation and σ the sigmoid:

    .. math:: x_l = \mathrm{BN}(U_l z^s_l), \quad (a, b) = \sigma(A_l [x_l, f_{l+1}]), \quad
        f_l = a \, x_l + b \, f_{l+1}, \quad o_l = \mathrm{BN}(V_l f_l)

    Each layer is compared at several scales k, weighted by halves: by node, averaged over
    neighbourhoods once and more often, averaged over a sample (P is that average):

    .. math:: \sum_l \frac{\sum_k 2^{-k} \, \mathrm{MSE}(P_k o_l, P_k z^t_l)}{\sum_k 2^{-k}}

    The layers' maps are learned with the student: :meth:`build` creates them from the first batch.

    When:
        Both networks have several layers worth comparing, and memory for maps of each.

    Args:
        hops: scales between node and sample: averages over a node and its neighbours, of these
            again, and so on.
        width: of the common space; None for the last layer's of the student, at most 512.

    Shapes:
        As many ``layers`` of the student as of the teacher, ``[N, F_l]`` and ``[N, F'_l]``; a
        scalar results.

    Raises:
        ParameterError: in the call, views without layers, with different nodes, or of other widths
            than those built for; a view without a graph, where hops are asked for.

    Source:
        Section 3. On images, layers have different sizes, and what comes from a deeper one is
        enlarged first: here each layer has all nodes. The second maps are convolutions there, of
        3 × 3 pixels, and the scales averages over 4 × 4, 2 × 2 and 1 × 1 regions
        (megvii-research/mdistiller); the last of them, over the whole, is the same here.

    Example:
        >>> import torch
        >>> def view(*widths):
        ...     layers = tuple(torch.randn(6, width) for width in widths)
        ...     edges = torch.tensor([[0, 1, 2], [1, 2, 0]])
        ...     return View(features=layers[-1], layers=layers, graph=Graph(edges, 6))
        >>> student, teacher = view(4, 3), view(16, 8)
        >>> loss = ReviewKD()
        >>> loss.build(student, teacher)
        >>> loss(student, teacher).shape
        torch.Size([])
    """

    uses: tuple[str, ...] = ("features", "layers", "graph")
    paper = Paper(
        "Chen, Liu, Zhao, Jia",
        "Distilling Knowledge via Knowledge Review",
        "CVPR",
        2021,
        "https://arxiv.org/abs/2104.09044",
    )
    parity = ("megvii-research/mdistiller",)
    zero_at_equality = False  # the maps do not begin as the identity
    least_at_equality = False
    samples_apart = False  # they normalise over the batch
    example_parameters: tuple[Mapping[str, Any], ...] = ({}, {"hops": 0, "width": 4})
    stages: nn.ModuleList | None

    @validated
    def __init__(
        self, hops: Annotated[int, Field(ge=0)] = 1, width: PositiveInt | None = None
    ) -> None:
        super().__init__()
        self.hops, self.width = hops, width
        self.stages = None
        if hops == 0:
            self.uses = ("features", "layers")

    def build(self, student: View, teacher: View) -> None:
        """Create the maps for these widths; those that exist are kept, with what they learned."""
        if self.stages is not None:
            return
        layers = paired_layers(student, teacher, "reviewkd")
        last = layers[-1][0]
        width = self.width or min(_WIDEST, last.shape[1])
        self.stages = nn.ModuleList(
            Stage(ours.shape[1], width, theirs.shape[1], fuses=number < len(layers) - 1)
            for number, (ours, theirs) in enumerate(layers)
        ).to(last)

    def forward(self, student: View, teacher: View) -> Tensor:
        """Return the sum over layers; 0 where there are fewer than two nodes."""
        layers = paired_layers(student, teacher, "reviewkd")
        stages, rows = self._stages_for(layers), layers[0][0]
        graph = None
        if self.hops:
            graph = student.require_graph("reviewkd").union(teacher.require_graph("reviewkd"))
        if len(rows) < 2:  # batch normalisation would refuse
            learned = [*stages.parameters(), *(ours for ours, _ in layers)]
            return 0 * torch.stack([tensor.sum() for tensor in learned]).sum()
        pointer = sample_pointer(student.batch, teacher.batch, rows, "reviewkd")
        fused: Tensor | None = None
        distances = []
        with torch.autocast(rows.device.type, enabled=False):
            for stage, (ours, theirs) in zip(stages[::-1], layers[::-1], strict=True):
                result, fused = stage(ours, fused)
                distances.append(self._distance(result.to(theirs.dtype) - theirs, graph, pointer))
        return torch.stack(distances).sum()

    def _distance(self, gap: Tensor, graph: Graph | None, pointer: Tensor) -> Tensor:
        # Averages are linear: that of the difference is the difference of those of both.
        squares = [gap.square().mean()]
        by_sample = segment_sum(gap, pointer) / pointer.diff()[:, None]
        for _ in range(self.hops):
            assert graph is not None
            gap = neighbourhood_mean(gap, graph)
            squares.append(gap.square().mean())
        squares.append(by_sample.square().mean())
        weights = [0.5**scale for scale in range(len(squares))]
        total = sum(weight * square for weight, square in zip(weights, squares, strict=True))
        return total / sum(weights)  # type: ignore[return-value]  # a sum of tensors is one

    def _stages_for(self, layers: list[tuple[Tensor, Tensor]]) -> nn.ModuleList:
        if self.stages is None:
            raise not_built("reviewkd", "the maps do")
        built = [stage.widths for stage in self.stages]
        got = [(ours.shape[1], theirs.shape[1]) for ours, theirs in layers]
        if built != got:
            raise ParameterError(
                f"reviewkd: built for layers of widths {built} (student, teacher), got {got}"
            )
        return self.stages

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"hops={self.hops}, width={self.width}"


class Stage(nn.Module):
    """What is learned for one layer: two maps, and the attention between it and deeper ones.

    Args:
        width: of the student's layer.
        common: width that layers are fused in.
        out: width of the teacher's layer.
        fuses: whether there is a deeper layer.
    """

    def __init__(self, width: int, common: int, out: int, fuses: bool) -> None:
        super().__init__()
        self.enter, self.enter_norm = nn.Linear(width, common, bias=False), nn.BatchNorm1d(common)
        self.leave, self.leave_norm = nn.Linear(common, out, bias=False), nn.BatchNorm1d(out)
        self.attention = nn.Linear(2 * common, 2) if fuses else None
        for linear in (self.enter, self.leave):
            nn.init.kaiming_uniform_(linear.weight, a=1)

    @property
    def widths(self) -> tuple[int, int]:
        """Of the student's layer and of the teacher's."""
        return self.enter.in_features, self.leave.out_features

    def forward(self, layer: Tensor, deeper: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the layer in the teacher's width, and fused in the common one.

        Args:
            layer: of the student.
            deeper: what the deeper layers have been fused to; None for the deepest.
        """
        fused = self.enter_norm(self.enter(layer.to(self.enter.weight.dtype)))
        if self.attention is not None:
            assert deeper is not None
            own, other = self.attention(torch.cat([fused, deeper], dim=1)).sigmoid().split(1, dim=1)
            fused = own * fused + other * deeper
        return self.leave_norm(self.leave(fused)), fused


def neighbourhood_mean(values: Tensor, graph: Graph) -> Tensor:
    """Mean over each node and its neighbours, ``[N, F]``.

    >>> neighbourhood_mean(torch.tensor([[1.0], [3.0]]), Graph(torch.tensor([[1], [0]]), 2))
    tensor([[2.],
            [3.]])
    """
    edges = values.new_ones(graph.num_edges)
    counts = graph.row_pointer.diff()[:, None] + 1
    return (values + neighbour_sum(edges, values, graph)) / counts
