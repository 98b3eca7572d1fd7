"""The laws of kernels."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from gkd.functional.similarities import EdgePairs
from gkd.graph import Graph
from gkd.kernel import AbstractKernel
from gkd.testing.law import law, unless_declared
from gkd.testing.laws.cases import (
    FULLS,
    HALVES,
    SCALES,
    InPrecision,
    Relabelled,
    Reordered,
    edge_reorderings,
    in_precision,
    node_relabellings,
)
from gkd.testing.laws.declarations import declarations_are_known
from gkd.testing.laws.global_state import require_left_alone, require_nothing_drawn
from gkd.testing.laws.requirements import (
    EDGES,
    FEW_EDGES,
    NODES,
    WIDTH,
    random_graph,
    require,
    require_bounded,
    require_close,
    require_finite,
    require_linear,
    require_right_gradient,
    require_unmodified,
    work_graph,
)
from gkd.testing.memory_watch import MemoryWatch
from gkd.testing.other_process import call_elsewhere
from gkd.testing.placement_watch import PlacementWatch, accelerator
from gkd.testing.strategies.kernel_problems import KernelProblem, kernel_problems
from gkd.testing.subject import Subject, fixed_seed
from gkd.testing.work_watch import WorkWatch


def similarities(kernel: AbstractKernel, features: Tensor, graph: Graph, seed: int = 0) -> Tensor:
    """Return what the kernel says of every edge; everything random in it comes from ``seed``."""
    with fixed_seed(seed):
        return kernel(features, graph)


def problems(subject: Subject, **options: Any) -> st.SearchStrategy[KernelProblem]:
    """Return what kernels are called with."""
    return subject.problems(kernel_problems, **options)


@law("kernel", problems=problems, premise=True)
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
    problems=lambda subject: problems(subject, both_directions=True),
    exemption=unless_declared("symmetric"),
)
def symmetric(subject: Subject, problem: KernelProblem) -> None:
    """How alike two nodes are does not depend on who asks."""
    graph = problem.graph
    values = similarities(subject.create(), problem.features, graph)
    # Sorted by source, the n-th edge is the reverse of the n-th by target: all have their reverse.
    reverse = values[graph.transpose.permutation]
    require_close(reverse, values, "the reverse edges")


class RawPairs(EdgePairs):
    """What kernels ask of pairs, computed from both gathered ends, one pair after another.

    It takes the memory that :class:`~gkd.functional.similarities.EdgePairs` saves, and none of its
    shortcuts: a kernel that depends on how its pairs are computed tells the two apart.
    """

    def dot(self, tolerance: float = 0.0) -> Tensor:
        """Dot products, ``[E]``."""
        return self.compared(lambda targets, sources: (targets * sources).sum(1))

    def squared_distance(self, tolerance: float = 0.0, relative: float = 0.0) -> Tensor:
        """Squared distances, ``[E]``."""
        return self.compared(lambda targets, sources: (targets - sources).square().sum(1))

    def l1_distance(self) -> Tensor:
        """Sums of absolute differences, ``[E]``."""
        return self.compared(lambda targets, sources: (targets - sources).abs().sum(1))

    def cosine(self) -> Tensor:
        """Cosines, ``[E]``; 0 where an end is zero."""

        def cosine(targets: Tensor, sources: Tensor) -> Tensor:
            scale = targets.norm(dim=1) * sources.norm(dim=1)
            cosines: Tensor = (targets * sources).sum(1) / scale.masked_fill(scale == 0, 1)
            return cosines

        return self.compared(cosine)

    def compared(self, comparison: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Values of ``comparison``, ``[E]``, each from a block of one pair."""
        values = [
            comparison(self.features[target : target + 1], self.features[source : source + 1])
            for source, target in self.graph.edge_index.t().tolist()
        ]
        return torch.cat(values) if values else self.features.new_zeros(0)


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


@law(
    "kernel",
    problems=lambda subject: st.builds(
        Shifted, problems(subject), st.sampled_from([0.0, 10.1, -100.3])
    ),
)
def statistics_agree_with_raw_pairs(subject: Subject, case: Shifted) -> None:
    """Fast statistics of pairs must tell what the pairs themselves do, digit by digit."""
    kernel, graph = subject.create(), case.problem.graph
    fast = similarities(kernel, case.features, graph)
    # In float64, where the pairs themselves carry no error that matters.
    with fixed_seed(0):
        slow = kernel.similarity(RawPairs(case.features.double(), graph))
    require_close(
        fast.double(), slow.double(), "float32 statistics beside raw pairs", rtol=1e-4, atol=1e-3
    )


@law(
    "kernel",
    problems=lambda subject: problems(subject.afresh).filter(
        lambda problem: problem.graph.num_edges > 0
    ),
    exemption=unless_declared("pairwise"),
    share=0.5,
)
def depends_on_the_pair_alone(subject: Subject, problem: KernelProblem) -> None:
    """A value that is kept for a sample must not depend on the batch that it was computed in."""
    kernel = subject.create()
    values = similarities(kernel, problem.features, problem.graph)
    for place, ends in enumerate(problem.graph.edge_index.t()):
        nodes, edge = ends.unique(return_inverse=True)
        alone = similarities(kernel, problem.features[nodes], Graph(edge[:, None], len(nodes)))
        what = f"the edge {int(ends[0])}→{int(ends[1])} without the others"
        require_close(alone, values[place : place + 1], what)


@law("kernel", problems=problems, share=0.5)
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


@law(
    "kernel",
    problems=lambda subject: edge_reorderings(
        problems(subject), lambda problem: problem.graph.edge_index
    ),
)
def invariant_to_edge_order(subject: Subject, case: Reordered[KernelProblem]) -> None:
    """The order in which edges are listed, and listing one twice, means nothing."""
    problem, kernel = case.problem, subject.create()
    expected = similarities(kernel, problem.features, problem.graph)
    graph = Graph(case.edge_index, problem.graph.num_nodes)
    require_close(similarities(kernel, problem.features, graph), expected, "other order of edges")


@law(
    "kernel",
    problems=lambda subject: node_relabellings(
        problems(subject), lambda problem: (problem.graph.num_nodes, None)
    ),
)
def equivariant_to_node_relabelling(subject: Subject, case: Relabelled[KernelProblem]) -> None:
    """Numbers of nodes are names: they carry no meaning."""
    problem, order, kernel = case.problem, case.order, subject.create()
    nodes = problem.graph.num_nodes
    source, target = order.argsort()[problem.graph.edge_index]
    graph = Graph(torch.stack([source, target]), nodes)
    values = similarities(kernel, problem.features[order], graph)
    expected = similarities(kernel, problem.features, problem.graph)
    # The other graph sorts its edges anew: values are compared where they meet in a table.
    table = expected.new_zeros(nodes, nodes)
    table[target, source] = expected
    require_close(values, table[graph.target, graph.source], "other order of nodes")


@law("kernel", problems=lambda subject: problems(subject))
def inputs_unmodified(subject: Subject, problem: KernelProblem) -> None:
    """Other terms, and the backward pass, read the same tensors."""
    tensors = {"features": problem.features, "edge_index": problem.graph.edge_index}
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    similarities(subject.create(), problem.features, problem.graph)
    require_unmodified(before, tensors)


@law("kernel", problems=lambda subject: problems(subject))
def gradient_reaches_the_features(subject: Subject, problem: KernelProblem) -> None:
    """What a kernel does not send back to the features, the student cannot learn."""
    features = problem.features.clone().requires_grad_()
    values = similarities(subject.create(), features, problem.graph)
    require(values.requires_grad, "the similarity has no gradient")
    torch.autograd.backward(values.sum())
    require(features.grad is not None, "the features get no gradient")
    require_finite(features.grad, "the gradient of the features")


@law("kernel", problems=lambda subject: problems(subject, smooth=True), share=0.4)
def gradcheck_in_float64(subject: Subject, problem: KernelProblem) -> None:
    """A gradient that is not the slope trains towards something else."""
    kernel = subject.create()
    require_right_gradient(lambda z: similarities(kernel, z, problem.graph), [problem.features])


@law(
    "kernel",
    problems=lambda subject: in_precision(problems(subject), HALVES, SCALES),
)
def half_precision_under_autocast(subject: Subject, case: InPrecision[KernelProblem]) -> None:
    """Networks train in mixed precision, where squares of ordinary features overflow."""
    features = case.cast(case.problem.features).requires_grad_()
    with torch.autocast("cpu", case.dtype):
        values = similarities(subject.create(), features, case.problem.graph)
    require_finite(values, f"the similarity in {case.dtype}")
    # Gradients of large half-precision features may overflow; scalers of gradients skip these.
    if case.scale < 1 and values.requires_grad:
        torch.autograd.backward(values.sum())
        require_finite(features.grad, f"the gradient in {case.dtype}")


@law(
    "kernel",
    problems=lambda subject: in_precision(problems(subject), FULLS),
    share=0.5,
)
def dtype_preserved(subject: Subject, case: InPrecision[KernelProblem]) -> None:
    """Who asks for float64 needs its digits; more of them than asked for do no harm."""
    values = similarities(subject.create(), case.cast(case.problem.features), case.problem.graph)
    require(
        values.is_floating_point()
        and torch.promote_types(values.dtype, case.dtype) == values.dtype,
        f"features in {case.dtype} give similarities in {values.dtype}",
    )


@law("kernel", problems=problems, share=0.5)
def device_preserved(subject: Subject, problem: KernelProblem) -> None:
    """On an accelerator, a tensor left behind on the CPU ends the training."""
    features = problem.features.clone().requires_grad_()
    with PlacementWatch() as watch:
        values = similarities(subject.create(), features, problem.graph)
        require(not watch.is_stray(values), "the values are made without device=")
        if values.requires_grad:
            torch.autograd.backward(values.sum())
    device = accelerator()
    if device is not None:
        there = problem.features.float().to(device)
        values = similarities(subject.create(), there, problem.graph.to(device))
        require(values.device.type == device.type, f"features on {device} give {values.device}")
        require_finite(values, f"the similarity on {device}")


@law("kernel")
def global_state_left_alone(subject: Subject) -> None:
    """What a kernel draws, seeds or sets for the whole process, the training goes on with."""
    graph = FEW_EDGES
    features = torch.randn(graph.num_nodes, 3, generator=torch.Generator().manual_seed(1))
    require_left_alone(lambda: subject.make(**subject.params), "making it")
    kernel = subject.create()
    require_nothing_drawn(lambda: kernel(features, graph), "a call")


@law("kernel", exemption=unless_declared("bounded_memory"))
def bounded_memory(subject: Subject) -> None:
    """Graphs have many more edges than nodes: features gathered for each do not fit."""
    random = torch.Generator().manual_seed(1)
    features = torch.randn(NODES, WIDTH, generator=random).requires_grad_()
    kernel = subject.create()
    with MemoryWatch() as watch:
        values = similarities(kernel, features, random_graph())
        if values.requires_grad:
            torch.autograd.backward(values.sum())
    require_bounded(watch, f"with {NODES} nodes, {EDGES} edges and features of width {WIDTH}")


@law("kernel", exemption=unless_declared("linear_work"))
def work_grows_with_the_graph(subject: Subject) -> None:
    """Four times the graph must not take sixteen times the time."""

    def work(nodes: int) -> WorkWatch:
        random = torch.Generator().manual_seed(1)
        features = torch.randn(nodes, 4, generator=random)
        kernel, watch = subject.create(), WorkWatch()
        with watch:
            similarities(kernel, features, work_graph(nodes))
        return watch

    require_linear(work)


@law("kernel", problems=problems, share=0.5)
def deterministic_under_a_seed(subject: Subject, problem: KernelProblem) -> None:
    """A run can be repeated only if everything random comes from its seed."""
    first, second = (
        similarities(subject.create(), problem.features, problem.graph, seed=1) for _ in range(2)
    )
    require(torch.equal(first, second), f"the same seed gives {first.tolist()}, {second.tolist()}")


def _generic_problem() -> KernelProblem:
    random = torch.Generator().manual_seed(7)
    features = torch.randn(12, 4, generator=random, dtype=torch.float64)
    return KernelProblem(features, random_graph(12, 36))


@law("kernel")
def pickles(subject: Subject) -> None:
    """Losses hold kernels, and launchers and checkpoints send losses by pickle."""
    kernel, problem = subject.create(), _generic_problem()
    copy = pickle.loads(pickle.dumps(kernel))
    expected = similarities(kernel, problem.features, problem.graph)
    values = similarities(copy, problem.features, problem.graph)
    require_close(values, expected, "after pickling")


@law("kernel")
def works_in_two_processes(subject: Subject) -> None:
    """Several processes train together, and none sees the others' memory."""
    kernel, problem = subject.create(), _generic_problem()
    there = call_elsewhere(similarities, kernel, problem.features, problem.graph)
    expected = similarities(kernel, problem.features, problem.graph)
    require_close(there, expected, "in another process")


declarations = law("kernel")(declarations_are_known)
