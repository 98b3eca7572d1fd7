"""The strategies make what they say, edge cases included, with the answers they promise."""

import pytest
import torch
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

import gkd
from gkd import ParameterError
from gkd.testing import strategies


def exists(strategy, condition) -> bool:
    quick = settings(max_examples=500, database=None, derandomize=True)
    return find(strategy, condition, settings=quick) is not None


@pytest.mark.parametrize(
    "condition",
    [
        lambda graph: graph.num_edges == 0,
        lambda graph: graph.num_edges > 0 and bool((graph.row_pointer.diff() == 0).any()),
        lambda graph: bool((graph.source == graph.target).any()),
    ],
    ids=["no edges", "an isolated node among others", "a self-loop"],
)
def test_graphs_have_edge_cases(condition):
    assert exists(strategies.graphs(), condition)


def test_edges_repeat_and_stay_within_their_sample():
    def repeats(edges):
        return edges.unique(dim=1).shape != edges.shape

    assert exists(strategies.edge_indices([3, 2]), repeats)


@given(strategies.structures())
def test_edges_stay_within_their_sample(structure):
    if structure.batch is not None:
        ends = structure.batch[structure.edge_index]
        assert torch.equal(ends[0], ends[1])
    assert structure.graph.num_nodes == structure.num_nodes


@given(strategies.loss_problems())
def test_views_of_a_problem_are_of_the_same_nodes(problem):
    student, teacher = problem.student, problem.teacher
    assert len(student.features) == len(teacher.features) == student.graph.num_nodes
    assert student.logits.shape == teacher.logits.shape
    assert student.graph == teacher.graph


@given(strategies.loss_problems(agreeing=True))
def test_an_agreeing_teacher_is_a_copy(problem):
    assert torch.equal(problem.student.features, problem.teacher.features)
    assert problem.student.features is not problem.teacher.features


def test_problems_have_different_widths_and_equal_rows():
    problems = strategies.loss_problems()
    assert exists(problems, lambda p: p.student.features.shape != p.teacher.features.shape)
    twins = strategies.features(3)
    assert exists(twins, lambda z: torch.equal(z[0], z[1]) and bool(z[0].any()))
    assert exists(twins, lambda z: not z[1].any() and bool(z[0].any()))


def test_a_view_has_the_parts_that_are_asked_for():
    view = find(strategies.views(("logits",)), lambda view: True)
    assert view.logits is not None
    assert view.features is None
    assert view.graph is None
    with pytest.raises((ParameterError, InvalidArgument), match="did you mean 'logits'"):
        find(strategies.views(("logit",)), lambda view: True)


@given(strategies.kernel_problems())
def test_answers_of_kernel_problems_are_what_shipped_kernels_give(problem):
    answers = {
        "linear": problem.dot,
        "l2": problem.squared_distance,
        "cosine": problem.cosine,
        "rbf": (-problem.squared_distance / 2).exp(),
        "laplacian": (-problem.l1_distance / 100).exp(),
    }
    for name, answer in answers.items():
        values = gkd.create("kernel", name)(problem.features, problem.graph)
        assert torch.allclose(values.double(), answer, atol=1e-9), name


@given(strategies.known_neighbours())
def test_answers_of_neighbour_problems_are_what_the_shipped_builder_gives(problem):
    for backend in ("torch", "torch-cluster"):
        builder = gkd.create("graph", "knn", k=problem.k, backend=backend)
        assert builder(problem.features, problem.batch) == problem.graph


@given(strategies.clouds(distinct=True))
def test_points_of_a_distinct_cloud_have_no_equal_distances(cloud):
    squares = (cloud.features[:, None] - cloud.features).square().sum(2)
    for row in squares:
        assert len(row.unique()) == len(row)


def test_points_coincide_unless_they_are_to_be_distinct():
    def coincide(cloud):
        return len(cloud.features.unique(dim=0)) < len(cloud.features)

    assert exists(strategies.clouds(), coincide)


@given(data=st.data())
def test_relabellings_permute_within_samples(data):
    batch = torch.tensor([0, 0, 0, 1, 1])
    order = data.draw(strategies.relabellings(5, batch))
    assert sorted(order.tolist()) == list(range(5))
    assert torch.equal(batch[order], batch)


@given(strategies.batches(min_samples=2, in_channels=2))
def test_batches_hold_what_models_read(batch):
    assert batch.num_graphs >= 2
    assert batch.x.shape == batch.pos.shape == (batch.num_nodes, 2)
    assert batch.edge_index.shape[0] == 2
