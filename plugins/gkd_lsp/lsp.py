"""Local structure preserving loss.

Yang, Qiu, Song, Tao, Wang: Distilling Knowledge from Graph Convolutional Networks, CVPR 2020,
section 3, equations 3 to 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from math import log
from typing import Any, Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

import gkd
from gkd import AbstractKernel, AbstractLoss, Graph, Paper, ParameterError, View
from gkd.eager import eagerly
from gkd.errors import validated
from gkd.functional.divergences import structure_divergence
from gkd.functional.segments import segment_log_softmax
from gkd_lsp.neighbourhoods import within_hops

Direction = Literal["student-teacher", "teacher-student"]
Reduction = Literal["node-mean", "edge-mean"]


@dataclass(frozen=True, slots=True)
class Variant:
    """What one publication means by the loss.

    Args:
        kernel: name of the kernel it uses unless told otherwise.
        direction: which structure comes first in KL(first ‖ second).
        reduction: what the sum over all neighbours of all nodes is divided by.
        kernels: its own definition, (name, parameters), of kernel names it reads differently.
    """

    kernel: str
    direction: Direction
    reduction: Reduction
    kernels: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)


VARIANTS: Mapping[str, Variant] = {
    "paper": Variant("rbf", "student-teacher", "node-mean"),
    "official-code": Variant("laplacian", "teacher-student", "node-mean"),
    "joshi": Variant(
        "rbf",
        "teacher-student",
        "edge-mean",
        {"poly": ("cosine", {"power": 2}), "l2": ("l2", {"squared": False})},
    ),
}

_OWN = (
    "kernel",
    "variant",
    "direction",
    "reduction",
    "hops",
    "teacher_structure",
    "learn_scale",
    "per_row",
)


class LSP(AbstractLoss):
    r"""Make every node of the student relate to its neighbours as the teacher's does.

    .. math::
        LS_{ij} = \operatorname*{softmax}_{j \in N(i)} \mathrm{SIM}(z_i, z_j) \qquad
        L = \frac{1}{N} \sum_i \mathrm{KL}(LS^{student}_i \,\|\, LS^{teacher}_i)

    A node without in-edges contributes 0 and counts in N. Where student and teacher carry
    different graphs, both structures are taken on the union of their edges. The widths of the
    features need not agree.

    Args:
        kernel: similarity, by name or as an object; None takes the variant's own ("rbf", or
            "laplacian" for the authors' code).
        variant: ``"paper"`` as printed; ``"official-code"`` with KL(teacher ‖ student);
            ``"joshi"`` with KL(teacher ‖ student), averaged over edges, whose poly is the squared
            cosine and whose l2 is not squared.
        direction: overrides which structure comes first in the divergence.
        reduction: overrides what the sum is divided by, the nodes or the edges.
        hops: N(i) has the nodes that reach i in so many steps at most.
        teacher_structure: ``"kernel"``, or ``"attention"``: the teacher's features are scores of
            attention, ``[N, 2 H]``, and its structure is the attention that they make: the tap
            ``layers.0.scores`` of a GAT. Heads are averaged.
        learn_scale: multiply the student's features by a number that is learned with it, from 1 on:
            a learned bandwidth, for the kernel rbf, of σ over this number. The teacher keeps its
            own.
        per_row: return the divergence of each node in place of their mean; N / E times that where
            the sum is divided by the edges.
        **parameters: of the kernel, when it is given by name: ``sigma=1.0``.

    Shapes:
        ``student.features`` ``[N, F]``, ``teacher.features`` ``[N, F']``; a scalar results, or
        ``[N]`` per row, in float32 when the student's features are in half precision.

    Raises:
        ParameterError: parameters beside a kernel object, a scale to be learned with a kernel that
            takes its own from the data; in the call, views over different numbers of nodes, or
            scores of attention with an odd number of columns.
        UnknownNameError: no kernel has that name.

    When:
        The student is a GNN, too, and narrower: it is asked for nothing but who is near whom among
        neighbours.

    Source: CVPR 2020, equations 3 to 6; Joshi et al., TNNLS 2022; ihollywhy/DistillGCN.PyTorch.

    >>> graph = Graph(torch.tensor([[1, 2], [0, 0]]), num_nodes=3)
    >>> student = View(features=torch.tensor([[0.0], [1.0], [2.0]]), graph=graph)
    >>> teacher = View(features=torch.tensor([[0.0], [1.0], [1.0]]), graph=graph)
    >>> loss = LSP(kernel="rbf", sigma=1.0)
    >>> loss(student, teacher)
    tensor(0.0090)
    >>> loss(student, student)
    tensor(0.)
    """

    uses = ("features", "graph")
    paper = Paper(
        "Yang, Qiu, Song, Tao, Wang",
        "Distilling Knowledge from Graph Convolutional Networks",
        "CVPR",
        2020,
        "https://arxiv.org/abs/2003.10477",
    )
    parity = ("chaitjo/efficient-gnns", "ihollywhy/DistillGCN.PyTorch")

    @validated
    def __init__(
        self,
        kernel: str | AbstractKernel | None = None,
        variant: Literal["paper", "official-code", "joshi"] = "paper",
        direction: Direction | None = None,
        reduction: Reduction | None = None,
        hops: PositiveInt = 1,
        teacher_structure: Literal["kernel", "attention"] = "kernel",
        learn_scale: bool = False,
        per_row: bool = False,
        **parameters: Any,
    ) -> None:
        super().__init__()
        self.per_row = per_row
        published = VARIANTS[variant]
        self.variant = variant
        self.direction = direction or published.direction
        self.reduction = reduction or published.reduction
        self.kernel = _kernel(kernel or published.kernel, published, parameters)
        self.hops, self.teacher_structure = hops, teacher_structure
        if learn_scale and not self.kernel.pairwise:
            raise ParameterError(
                "lsp: a scale cannot be learned for a kernel that takes its own from the data; set "
                "the bandwidth as a number, as in sigma=1.0"
            )
        self.log_scale = nn.Parameter(torch.zeros(())) if learn_scale else None
        self.zero_at_equality = self.least_at_equality = teacher_structure == "kernel"
        self.target_per_sample = hops == 1 and self.kernel.pairwise
        self.samples_apart = self.kernel.pairwise

    @eagerly
    def forward(self, student: View, teacher: View, *, rows: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar (per row ``[N]``) without gradient to the teacher.

        Args:
            student: features and graph.
            teacher: features and graph, or what :meth:`target` made of them.
            rows: that count, int64 ``[M]``, ascending; None for all. Per row, those of the others
                may be 0, and edges into them cost nothing.
        """
        return self.compare(student, teacher, rows=rows)

    def compare(
        self,
        student: View,
        teacher: View,
        log_weights: Tensor | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """Return the loss where edges may have weights beside the kernel's.

        Args:
            student: features and graph.
            teacher: features and graph, or what :meth:`target` made of them.
            log_weights: added to the similarities of both networks, ``[E]``, in the order of the
                edges of the one graph that both have.
            rows: as of the loss.
        """
        features, graph = student.require_features("lsp"), student.require_graph("lsp")
        known = teacher.edge_values
        if known is None:
            # On dynamic graphs (section 3.5) each network has neighbours of its own. A structure
            # on one of the two graphs would not see whom the other network holds near.
            graph = graph.union(teacher.require_graph("lsp"))
            graph = within_hops(graph, self.hops, self.suffices(rows))
        elif graph != teacher.graph:
            # A softmax over other neighbours is another softmax: nothing can be looked up.
            raise ParameterError(
                f"lsp: a precomputed structure on {teacher.graph} serves that graph only, got "
                f"{graph}; pass the teacher's features, then both are compared on the union"
            )
        # A kernel that takes a scale from the data takes it from all edges.
        part = graph.in_edges(rows if self.per_row and self.kernel.pairwise else None)
        weights = None if log_weights is None else part.of_edges(log_weights)
        if known is None:
            theirs = part.of_nodes(teacher.require_features("lsp"))
            log_teacher = self._log_teacher(theirs, part.graph, weights)
        else:
            log_teacher = part.of_edges(known)
        # The student's logits only: the divergence takes the softmax itself, in log space, and has
        # its gradient ready when the value is.
        ours = part.of_nodes(features)
        logits = self.kernel(
            ours if self.log_scale is None else ours * self.log_scale.exp(), part.graph
        )
        if weights is not None:
            logits = logits + weights
        divergence = structure_divergence(
            logits,
            log_teacher,
            part.graph.row_pointer,
            first="logits" if self.direction == "student-teacher" else "other",
        )
        # Nodes without in-edges count, too: the weight of a term must not depend on how many
        # there are.
        count = graph.num_nodes if self.reduction == "node-mean" else graph.num_edges
        if self.per_row:
            value = part.to_all(divergence) * (graph.num_nodes / max(count, 1))
        else:
            value = divergence.sum() / max(count, 1)
        return value.to(torch.promote_types(features.dtype, torch.float32))

    def target(self, teacher: View) -> View:
        """Return the teacher's local structure, log of ``LS_ij`` ``[E]`` in place of its features.

        It serves students on the teacher's own graph only. Those of samples, side by side, are
        that of a batch, unless the kernel looks beyond the pair (``sigma="median"``). Of more hops
        than one, the target is the teacher.

        >>> graph = Graph(torch.tensor([[1, 2], [0, 0]]), num_nodes=3)
        >>> view = View(features=torch.tensor([[0.0], [1.0], [2.0]]), graph=graph)
        >>> LSP().target(view).edge_values.exp()
        tensor([0.6157, 0.3843])
        """
        features, graph = teacher.require_features("lsp"), teacher.require_graph("lsp")
        if self.hops > 1:  # its structure is on other edges than the batch's, which a cache keeps
            return teacher
        return View(graph=graph, edge_values=self._log_teacher(features, graph))

    @torch.no_grad()  # a teacher that learns from its student is no teacher
    def _log_teacher(
        self, features: Tensor, graph: Graph, log_weights: Tensor | None = None
    ) -> Tensor:
        # The logarithm and not the probability, which underflows where logits differ by hundreds.
        by_attention = self.teacher_structure == "attention"
        logits = (log_attention if by_attention else self.kernel)(features, graph)
        if log_weights is not None:
            logits = logits + log_weights
        return segment_log_softmax(logits, graph.row_pointer)

    def suffices(self, rows: Tensor | None) -> Tensor | None:
        """Return the rows without whose edges there is no value of ``rows``; None for all."""
        # A mean over edges counts all of them, and a scale from the data is that of all.
        alone = self.per_row and self.kernel.pairwise and self.reduction == "node-mean"
        return rows if alone else None

    def extra_repr(self) -> str:
        """Return the settings for ``print(loss)``."""
        kernel = type(self.kernel).__name__
        return f"{kernel}, variant={self.variant}, {self.direction}, {self.reduction}"


def log_attention(scores: Tensor, graph: Graph) -> Tensor:
    r"""Log of the attention on each edge, the mean of H heads, ``[E]``.

    .. math:: \alpha_{ij} = \frac{1}{H} \sum_h \operatorname*{softmax}_{j \in N(i)}
        \mathrm{LeakyReLU}(s_j^h + t_i^h)

    Args:
        scores: ``[N, 2 H]``, s of all heads, then t, as the layers of GAT make them.
        graph: E edges over the N nodes.

    Raises:
        ParameterError: an odd number of columns.

    >>> graph = Graph(torch.tensor([[1, 2], [0, 0]]), num_nodes=3)
    >>> log_attention(torch.tensor([[0.0, 1.0], [2.0, 0.0], [0.0, 0.0]]), graph).exp()
    tensor([0.8808, 0.1192])
    """
    if scores.shape[1] % 2:
        raise ParameterError(
            "lsp: scores of attention are of the sources and of the targets of each head, but the "
            f"teacher's tap has {scores.shape[1]} columns; tap the scores of a layer of attention"
        )
    dtype = torch.promote_types(scores.dtype, torch.float32)
    heads = zip(*(half.to(dtype).unbind(1) for half in scores.chunk(2, dim=1)), strict=True)
    logs = [
        segment_log_softmax(
            leaky_relu(source[graph.source] + target[graph.target], 0.2), graph.row_pointer
        )
        for source, target in heads
    ]
    return torch.stack(logs).logsumexp(dim=0) - log(len(logs))


def _kernel(
    kernel: str | AbstractKernel, published: Variant, parameters: Mapping[str, Any]
) -> AbstractKernel:
    if isinstance(kernel, AbstractKernel):
        if parameters:
            given = ", ".join(sorted(parameters))
            raise ParameterError(f"lsp: {given} given beside a kernel object; set it there")
        return kernel
    # A publication may mean another kernel by the name: joshi's poly is the squared cosine.
    name, own = published.kernels.get(kernel, (kernel, {}))
    try:
        created: AbstractKernel = gkd.create("kernel", name, **{**own, **parameters})
    except ParameterError as error:
        for parameter in parameters:  # all that are not its own are the kernel's
            for near in get_close_matches(parameter, _OWN, n=1, cutoff=0.7):
                raise ParameterError(
                    f"lsp: no parameter is called {parameter!r}; did you mean {near!r}?"
                ) from error
        raise
    return created
