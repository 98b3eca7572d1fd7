"""Laws of the local structure preserving loss, for every kernel."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import features, graphs, permutations, rotations
from torch import Tensor

from gkd import AbstractKernel, Graph, View
from gkd_lsp.kernels import L2, RBF, Cosine, Laplacian, Linear, Polynomial
from gkd_lsp.lsp import LSP

KERNELS: dict[str, AbstractKernel] = {
    "linear": Linear(),
    "poly": Polynomial(),
    "l2": L2(),
    "l2 unsquared": L2(squared=False),
    "rbf": RBF(),
    "rbf median": RBF("median"),
    "cosine": Cosine(),
    "laplacian": Laplacian(),
}
# A median bandwidth is one for the whole batch: other nodes change it.
PER_NODE = st.sampled_from(sorted(KERNELS.keys() - {"rbf median"}))
PAPER = ["linear", "poly", "l2", "rbf"]
KERNEL_NAMES = st.sampled_from(sorted(KERNELS))
DIRECTIONS = st.sampled_from(["student-teacher", "teacher-student"])
REDUCTIONS = st.sampled_from(["node-mean", "edge-mean"])
Problem = tuple[Graph, Tensor, Tensor]


@st.composite
def problems(draw: st.DrawFn, min_nodes: int = 0) -> Problem:
    """A graph with the features of a student and of a teacher of another width."""
    graph = draw(graphs(min_nodes=min_nodes))
    return graph, draw(features(graph.num_nodes)), draw(features(graph.num_nodes))


def value(loss: LSP, graph: Graph, student: Tensor, teacher: Tensor) -> float:
    return loss(View(features=student, graph=graph), View(features=teacher, graph=graph)).item()


def close(expected: float, rel: float = 1e-9, kernel: str = "") -> object:
    # A distance that is not squared is the root of one that is: of equal rows, that of rounding.
    return pytest.approx(expected, rel=rel, abs=1e-6 if kernel == "l2 unsquared" else 1e-12)


@given(kernel=KERNEL_NAMES, problem=problems(), direction=DIRECTIONS, reduction=REDUCTIONS)
def test_it_is_never_negative_and_finite(kernel, problem, direction, reduction):
    result = value(LSP(KERNELS[kernel], direction=direction, reduction=reduction), *problem)
    assert 0 <= result < math.inf


@given(kernel=KERNEL_NAMES, problem=problems(), direction=DIRECTIONS)
def test_it_is_exactly_zero_when_the_structures_agree(kernel, problem, direction):
    graph, student, _ = problem
    assert value(LSP(KERNELS[kernel], direction=direction), graph, student, student.clone()) == 0


@given(kernel=KERNEL_NAMES, problem=problems(min_nodes=2), direction=DIRECTIONS)
def test_it_is_zero_only_when_the_structures_agree(kernel, problem, direction):
    graph, student, teacher = problem
    loss = LSP(KERNELS[kernel], direction=direction)
    first, second = (
        loss.target(View(features=z, graph=graph)).edge_values for z in (student, teacher)
    )
    apart = (first.exp() - second.exp()).abs().max().item() if graph.num_edges else 0.0
    # Pinsker: a node's divergence is at least half the square of its total variation.
    bound = 0.5 * apart**2 / graph.num_nodes
    assert value(loss, graph, student, teacher) >= bound * (1 - 1e-6) - 1e-24


@given(kernel=KERNEL_NAMES, problem=problems(min_nodes=1), data=st.data())
def test_order_of_the_edges_does_not_matter(kernel, problem, data):
    graph, student, teacher = problem
    order = data.draw(permutations(graph.num_edges))
    shuffled = Graph(graph.edge_index[:, order], graph.num_nodes)
    loss = LSP(KERNELS[kernel])
    assert value(loss, shuffled, student, teacher) == value(loss, graph, student, teacher)


@given(kernel=KERNEL_NAMES, problem=problems(min_nodes=1), data=st.data())
def test_relabelling_the_nodes_does_not_matter(kernel, problem, data):
    graph, student, teacher = problem
    order = data.draw(permutations(graph.num_nodes))  # new node n was order[n]
    relabelled = Graph(order.argsort()[graph.edge_index], graph.num_nodes)
    loss = LSP(KERNELS[kernel])
    expected = value(loss, graph, student, teacher)
    assert value(loss, relabelled, student[order], teacher[order]) == close(expected)


@given(
    kernel=st.sampled_from(["l2", "rbf", "rbf median", "laplacian"]),
    problem=problems(min_nodes=1),
    shift=st.sampled_from([-1e4, -3.0, 0.5, 1e4]),
)
def test_adding_a_constant_to_all_features_does_not_matter(kernel, problem, shift):
    graph, student, teacher = problem
    loss = LSP(KERNELS[kernel])
    expected = value(loss, graph, student, teacher)
    assert value(loss, graph, student + shift, teacher - shift) == close(expected, rel=1e-5)


@given(
    kernel=st.sampled_from([*PAPER, "l2 unsquared", "rbf median", "cosine"]),
    problem=problems(min_nodes=1),
    data=st.data(),
)
def test_rotating_all_features_does_not_matter(kernel, problem, data):
    graph, student, teacher = problem
    loss = LSP(KERNELS[kernel])
    rotated = (z @ data.draw(rotations(z.shape[1])) for z in (student, teacher))
    expected = value(loss, graph, student, teacher)
    assert value(loss, graph, *rotated) == close(expected, rel=1e-6, kernel=kernel)


@given(kernel=PER_NODE, first=problems(min_nodes=1), second=problems(min_nodes=1), data=st.data())
def test_a_batch_is_the_mean_of_its_graphs_weighted_by_nodes(kernel, first, second, data):
    widths = [first[1].shape[1], first[2].shape[1]]
    count = second[0].num_nodes
    second = (second[0], *(data.draw(features(count, width=width)) for width in widths))
    offset = first[0].num_nodes
    edges = torch.cat([first[0].edge_index, second[0].edge_index + offset], dim=1)
    batch = Graph(edges, offset + count)
    loss = LSP(KERNELS[kernel])
    together = value(loss, batch, *(torch.cat(z) for z in zip(first[1:], second[1:], strict=True)))
    apart = offset * value(loss, *first) + count * value(loss, *second)
    assert together == close(apart / (offset + count), kernel=kernel)


@given(kernel=KERNEL_NAMES, problem=problems(), direction=DIRECTIONS)
def test_gradients_reach_the_student_and_never_the_teacher(kernel, problem, direction):
    graph, student, teacher = problem
    student.requires_grad_()
    teacher.requires_grad_()
    loss = LSP(KERNELS[kernel], direction=direction)
    loss(View(features=student, graph=graph), View(features=teacher, graph=graph)).backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()
    assert teacher.grad is None


@given(kernel=PER_NODE, problem=problems(min_nodes=1), data=st.data())
def test_nodes_without_in_edges_contribute_nothing_and_count(kernel, problem, data):
    graph, student, teacher = problem
    extra = data.draw(st.integers(1, 3))
    larger = Graph(graph.edge_index, graph.num_nodes + extra)
    padded = (torch.cat([z, z.new_ones(extra, z.shape[1])]) for z in (student, teacher))
    loss = LSP(KERNELS[kernel])
    expected = value(loss, graph, student, teacher) * graph.num_nodes / larger.num_nodes
    assert value(loss, larger, *padded) == close(expected)
