"""MuGSI: Yao, Sun, Cao, Zhang, Liang.

MuGSI: Distilling GNNs with Multi-Granularity Structural Information for Graph Classification,
WWW 2024, https://doi.org/10.1145/3589334.3645542.
"""

from typing import Annotated

import torch
from pydantic import Field, FiniteFloat, PositiveInt
from torch import Tensor, nn

from gkd import AbstractLoss, Graph, Paper, Step, View
from gkd.errors import ParameterError, validated
from gkd.functional.draws import drawn_below
from gkd.functional.edge_products import edge_dot
from gkd.functional.logit_divergences import categorical_divergence
from gkd.functional.pair_products import pair_dots
from gkd.functional.paired_rows import (
    directions,
    not_built,
    paired_features,
    require_widths,
    sample_pointer,
)
from gkd.functional.walks import random_walks
from gkd_graphs.louvain import communities

Weight = Annotated[FiniteFloat, Field(ge=0)]


class MuGSI(AbstractLoss):
    r"""What the teacher's features of a graph say as a whole, of its clusters, and along walks.

    Of each of the B graphs of a batch, with S and T the features of its nodes in both networks:

    .. math:: \frac{1}{B} \sum_b \alpha\, G_b + \beta\, C_b + \gamma\, W_b

    *The graph*: features are added up over its nodes, the student's then mapped to the teacher's
    width F' by a learned W, and compared by their directions:

    .. math:: G_b = \frac{1}{F'} \Big\| \frac{W s}{\|W s\|} - \frac{t}{\|t\|} \Big\|^2, \qquad
        s = \sum_i S_i, \quad t = \sum_i T_i

    *Its clusters*: with :math:`s_c` the sum over the nodes of a cluster, half the squared Frobenius
    norm of the difference of all cosines; graphs of one or two clusters have none.

    .. math:: C_b = \tfrac{1}{2} \sum_{c c'} (\cos(s_c, s_{c'}) - \cos(t_c, t_{c'}))^2

    *Along walks*: from the first node v of a random walk to the others, mean over walks.

    .. math:: W_b = \operatorname*{mean}_{w} \mathrm{KL}(p^t_w \,\|\, p^s_w), \qquad
        p_w = \operatorname*{softmax}_{u \in w} \, S_v \cdot S_u

    Args:
        graph: α.
        cluster: β.
        walk: γ.
        walks: drawn for each graph, anew in every step.
        length: steps of a walk.
        clusters: attribute of the batch that numbers the cluster of each node within its graph,
            int64 ``[N]``; None for the Louvain method on the edges, once for each graph.

    Shapes:
        ``student.features`` ``[N, F]``, ``teacher.features`` ``[N, F']``, a graph over the N nodes,
        ``batch`` the sample of each; a scalar results.

    Raises:
        ParameterError: in the call, views without features or graph, with different nodes, or of
            other widths than those built for; an edge between two graphs, or a batch without the
            clusters.

    Source:
        The paper's distillation of graphs, clusters and paths, as in the authors' code
        (tianyao-aka/MuGSI), where one or two clusters are too few: 20 walks of 15 steps, drawn once
        for each graph there, and weights of 0.01, 0.01 and 0.0001 beside ``kd`` at temperature 1
        with a weight of 1: a term of weight 0.01 here.

    When:
        Graphs are classified, and the student is an MLP on their nodes, or one on aggregated
        features: what the logits of a graph say of it is little.

    Example:
        >>> edges = Graph(torch.tensor([[1, 0, 2, 1], [0, 1, 1, 2]]), 3)
        >>> student, teacher = (View(features=torch.randn(3, n), graph=edges) for n in (4, 8))
        >>> loss = MuGSI()
        >>> loss.build(student, teacher)
        >>> loss(student, teacher, step=Step.of(student)).shape
        torch.Size([])
    """

    paper = Paper(
        "Yao, Sun, Cao, Zhang, Liang",
        "MuGSI: Distilling GNNs with Multi-Granularity Structural Information for Graph "
        "Classification",
        "WWW",
        2024,
        "https://doi.org/10.1145/3589334.3645542",
    )
    parity = ("tianyao-aka/MuGSI",)
    uses = ("features", "graph")
    map: nn.Linear | None

    @validated
    def __init__(
        self,
        graph: Weight = 1.0,
        cluster: Weight = 1.0,
        walk: Weight = 0.01,
        walks: PositiveInt = 20,
        length: PositiveInt = 15,
        clusters: str | None = None,
    ) -> None:
        super().__init__()
        self.graph, self.cluster, self.walk = graph, cluster, walk
        self.walks, self.length, self.clusters = walks, length, clusters
        self.map = None
        self.zero_at_equality = self.least_at_equality = graph == 0  # the map begins at random

    def build(self, student: View, teacher: View) -> None:
        """Create the map for these widths; one that exists stays."""
        if self.map is not None or not self.graph:
            return
        ours, theirs = paired_features(
            student.require_features("mugsi"), teacher.require_features("mugsi"), "mugsi"
        )
        self.map = nn.Linear(ours.shape[1], theirs.shape[1]).to(ours)

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        """Return the mean over graphs, a scalar; 0 where there are none."""
        ours, theirs = paired_features(
            student.require_features("mugsi"), teacher.require_features("mugsi"), "mugsi"
        )
        edges = student.require_graph("mugsi")
        if edges.num_nodes != len(ours):
            raise ParameterError(
                f"mugsi: {edges!r} is not over the {len(ours)} rows of the features"
            )
        pointer = sample_pointer(student.batch, teacher.batch, ours, "mugsi")
        sample = samples_of(pointer)
        if bool((sample[edges.source] != sample[edges.target]).any()):
            raise ParameterError("mugsi: an edge joins nodes of two graphs of the batch")
        value = 0 * ours.sum()
        with torch.autocast(ours.device.type, enabled=False):
            if self.graph:
                value = value + self.graph * self._of_graphs(ours, theirs, pointer)
            if self.cluster:
                numbers = self._clusters(edges, pointer, step)
                value = value + self.cluster * cluster_difference(ours, theirs, numbers, pointer)
            if self.walk:
                value = value + self.walk * self._of_walks(ours, theirs, edges, pointer, step)
        return value / max(len(pointer) - 1, 1)

    def _of_graphs(self, student: Tensor, teacher: Tensor, pointer: Tensor) -> Tensor:
        learned = self._require_built(student, teacher)
        ours, theirs = (sums(z, samples_of(pointer), len(pointer) - 1) for z in (student, teacher))
        ours = learned(ours.to(learned.weight.dtype)).to(student.dtype)
        gap = directions(ours, dim=1) - directions(theirs, dim=1)
        return gap.square().mean(dim=1).sum()

    def _of_walks(
        self, student: Tensor, teacher: Tensor, edges: Graph, pointer: Tensor, step: Step
    ) -> Tensor:
        first, size = (
            each.repeat_interleave(self.walks) for each in (pointer[:-1], pointer.diff())
        )
        starts = first + drawn_below(size, step.generator)
        if not len(student):
            return 0 * student.sum()
        others = random_walks(edges, starts, self.length, step.generator)[:, 1:]
        ours, theirs = (pair_dots(z, starts, others) for z in (student, teacher))
        return categorical_divergence(ours, theirs).sum() / self.walks

    def _clusters(self, edges: Graph, pointer: Tensor, step: Step) -> Tensor:
        """Return the number of each node's cluster, of which no two graphs have the same."""
        count = edges.num_nodes
        if self.clusters is None:
            keys = torch.arange(count, device=pointer.device) if step.keys is None else step.keys
            return communities(edges, pointer, keys)
        given = getattr(step.batch, self.clusters, None)
        if not isinstance(given, Tensor) or given.dtype != torch.int64 or len(given) != count:
            said = type(given).__name__
            if isinstance(given, Tensor):
                said = f"{given.dtype} of shape {list(given.shape)}"
            raise ParameterError(
                f"mugsi: clusters={self.clusters!r}: expected a number for each of {count} nodes "
                f"in the batch, int64, got {said}"
            )
        pairs = torch.stack([samples_of(pointer), given.flatten()])
        numbers: Tensor = torch.unique(pairs, dim=1, return_inverse=True)[1]
        return numbers

    def _require_built(self, student: Tensor, teacher: Tensor) -> nn.Linear:
        if self.map is None:
            raise not_built("mugsi", "the map does")
        require_widths("mugsi", (self.map.in_features, self.map.out_features), student, teacher)
        return self.map

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return (
            f"graph={self.graph}, cluster={self.cluster}, walk={self.walk}, walks={self.walks}, "
            f"length={self.length}, clusters={self.clusters!r}"
        )


def samples_of(pointer: Tensor) -> Tensor:
    """Sample of each row, int64 ``[N]``."""
    numbers = torch.arange(len(pointer) - 1, device=pointer.device)
    return numbers.repeat_interleave(pointer.diff())


def sums(features: Tensor, groups: Tensor, count: int) -> Tensor:
    """Sum of the features of each group, ``[count, F]``."""
    return features.new_zeros(count, features.shape[1]).index_add(0, groups, features)


def cluster_difference(
    student: Tensor, teacher: Tensor, clusters: Tensor, pointer: Tensor
) -> Tensor:
    """Half the squared difference of the cosines of all clusters of a graph, added up over graphs.

    Args:
        student: features ``[N, F]``.
        teacher: features ``[N, F']``.
        clusters: int64 ``[N]``, from 0, none of two samples.
        pointer: int64 ``[B+1]``, where the rows of each sample begin.
    """
    count = int(clusters.max()) + 1 if len(clusters) else 0
    sample = clusters.new_zeros(count).index_put((clusters,), samples_of(pointer))
    number = torch.bincount(sample, minlength=len(pointer) - 1)
    kept = (number > 2)[sample]
    # All pairs of clusters of one graph, as edges.
    order = sample.argsort(stable=True)
    order = order[kept[order]]
    size = number[sample[order]]
    first = torch.where(number > 2, number, 0).cumsum(0)[sample[order]] - size
    place = torch.arange(int(size.sum()), device=size.device)
    within = place - (size.cumsum(0) - size).repeat_interleave(size)
    pairs = Graph(
        torch.stack([order[first.repeat_interleave(size) + within], order.repeat_interleave(size)]),
        count,
    )
    ours, theirs = (
        edge_dot(unit, unit, pairs)
        for unit in (directions(sums(z, clusters, count), dim=1) for z in (student, teacher))
    )
    return (ours - theirs).square().sum() / 2
