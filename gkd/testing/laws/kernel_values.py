"""Laws of kernels: values."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from torch import Tensor

from gkd.graph import Graph
from gkd.kernel import AbstractKernel
from gkd.testing.law import law, require, unless_declared
from gkd.testing.laws.cases import Relabelled, Reordered, edge_orders
from gkd.testing.laws.comparison import require_close, require_finite, require_unmodified
from gkd.testing.laws.raw_pairs import RawPairs
from gkd.testing.random_states import seeded
from gkd.testing.strategies.graphs import relabellings
from gkd.testing.strategies.kernel_problems import KernelProblem, kernel_problems
from gkd.testing.subject import Subject


def similarities(kernel: AbstractKernel, features: Tensor, graph: Graph, seed: int = 0) -> Tensor:
    """Return what the kernel says of every edge; everything random in it comes from ``seed``."""
    with seeded(seed):
        return kernel(features, graph)


@law("kernel", problems=lambda subject: kernel_problems())
def finite_and_one_per_edge(subject: Subject, problem: KernelProblem) -> None:
    """A softmax over neighbours needs one finite number for each."""
    values = similarities(subject.create(), problem.features, problem.graph)
    _require_one_per_edge(values, problem.graph)


def _require_one_per_edge(values: object, graph: Graph) -> None:
    if not isinstance(values, Tensor):
        raise AssertionError(f"it returns {type(values).__name__}, not a tensor")
    require(
        values.shape == (graph.num_edges,),
        f"the shape is {list(values.shape)} for {graph.num_edges} edges",
    )
    require_finite(values, "the similarity")


@law(
    "kernel",
    problems=lambda subject: kernel_problems(both_directions=True),
    exemption=unless_declared("symmetric"),
)
def symmetric(subject: Subject, problem: KernelProblem) -> None:
    """How alike two nodes are does not depend on who asks."""
    graph = problem.graph
    values = similarities(subject.create(), problem.features, graph)
    # Sorted by source, the n-th edge is the reverse of the n-th by target: all have their reverse.
    reverse = values[graph.transpose.permutation]
    require_close(reverse, values, "the reverse edges")


@dataclass(frozen=True)
class Shifted:
    """A problem in float32, far from the origin.

    Attributes:
        problem: features on a graph.
        offset: added to all of them.
    """

    problem: KernelProblem
    offset: float

    @property
    def features(self) -> Tensor:
        """The features that the kernel gets, in float32."""
        return (self.problem.features + self.offset).float()


@st.composite
def _shifted(draw: st.DrawFn, subject: Subject) -> Shifted:
    return Shifted(draw(kernel_problems()), draw(st.sampled_from([0.0, 10.1, -100.3])))


@law("kernel", problems=_shifted)
def statistics_agree_with_raw_pairs(subject: Subject, case: Shifted) -> None:
    """Fast statistics of pairs must tell what the pairs themselves do, digit by digit."""
    kernel, graph = subject.create(), case.problem.graph
    fast = similarities(kernel, case.features, graph)
    with seeded(0):
        slow = kernel.similarity(RawPairs(case.features.double(), graph))
    require_close(
        fast.double(), slow.double(), "float32 statistics beside raw pairs", rtol=1e-4, atol=1e-3
    )


def _with_edges(subject: Subject) -> SearchStrategy[KernelProblem]:
    return kernel_problems().filter(lambda problem: problem.graph.num_edges > 0)


@law("kernel", problems=_with_edges, exemption=unless_declared("pairwise"), share=0.5)
def depends_on_the_pair_alone(subject: Subject, problem: KernelProblem) -> None:
    """A value that is kept for a sample must not depend on the batch that it was computed in."""
    kernel = subject.create()
    values = similarities(kernel, problem.features, problem.graph)
    for place, ends in enumerate(problem.graph.edge_index.t()):
        nodes, edge = ends.unique(return_inverse=True)
        alone = similarities(kernel, problem.features[nodes], Graph(edge[:, None], len(nodes)))
        what = f"the edge {int(ends[0])}→{int(ends[1])} without the others"
        require_close(alone, values[place : place + 1], what)


@law("kernel", problems=lambda subject: kernel_problems(), share=0.5)
def isolated_nodes_and_empty_edges(subject: Subject, problem: KernelProblem) -> None:
    """Batches contain nodes, and whole graphs, without any edge."""
    graph = Graph(problem.graph.edge_index[:, :0], problem.graph.num_nodes)
    features = problem.features.clone().requires_grad_()
    values = similarities(subject.create(), features, graph)
    _require_one_per_edge(values, graph)
    if values.requires_grad:
        torch.autograd.backward(values.sum())
        if features.grad is not None:
            require_finite(features.grad, "the gradient without edges")


@st.composite
def _reordered(draw: st.DrawFn, subject: Subject) -> Reordered[KernelProblem]:
    problem = draw(kernel_problems())
    return Reordered(problem, draw(edge_orders(problem.graph.edge_index)))


@law("kernel", problems=_reordered)
def invariant_to_edge_order(subject: Subject, case: Reordered[KernelProblem]) -> None:
    """The order in which edges are listed, and listing one twice, means nothing."""
    problem, kernel = case.problem, subject.create()
    expected = similarities(kernel, problem.features, problem.graph)
    graph = Graph(case.edge_index, problem.graph.num_nodes)
    require_close(similarities(kernel, problem.features, graph), expected, "other order of edges")


@st.composite
def _relabelled(draw: st.DrawFn, subject: Subject) -> Relabelled[KernelProblem]:
    problem = draw(kernel_problems())
    return Relabelled(problem, draw(relabellings(problem.graph.num_nodes)))


@law("kernel", problems=_relabelled)
def equivariant_to_node_relabelling(subject: Subject, case: Relabelled[KernelProblem]) -> None:
    """Numbers of nodes are names: they carry no meaning."""
    problem, order, kernel = case.problem, case.order, subject.create()
    edges = order.argsort()[problem.graph.edge_index]
    graph = Graph(edges, problem.graph.num_nodes)
    values = similarities(kernel, problem.features[order], graph)
    expected = similarities(kernel, problem.features, problem.graph)
    place = _dense(edges, expected, problem.graph.num_nodes)
    require_close(values, place[graph.target, graph.source], "other order of nodes")


def _dense(edges: Tensor, values: Tensor, num_nodes: int) -> Tensor:
    """Values by target and source, ``[N, N]``."""
    table = torch.zeros(num_nodes, num_nodes, dtype=values.dtype)
    table[edges[1], edges[0]] = values
    return table


@law("kernel", problems=lambda subject: kernel_problems())
def inputs_unmodified(subject: Subject, problem: KernelProblem) -> None:
    """Other terms, and the backward pass, read the same tensors."""
    tensors = {"features": problem.features, "edge_index": problem.graph.edge_index}
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    similarities(subject.create(), problem.features, problem.graph)
    require_unmodified(before, tensors)
