"""LSP: golden values of every variant, the independent reference, parameters, failures."""

import math

import lsp_reference
import pytest
import torch
from torch import Tensor

import gkd
import gkd_lsp
from gkd import Graph, ParameterError, UnknownNameError, View
from gkd_lsp.kernels import L2, RBF, Linear
from gkd_lsp.lsp import LSP

# 0 has the neighbours 1, 2, 3 (1 twice), 1 has 0 and 2, 2 has itself and 3, 3 has none.
EDGES = torch.tensor([[3, 1, 2, 1, 0, 2, 2, 3], [0, 0, 0, 0, 1, 1, 2, 2]])
STUDENT = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0], [3.0, 1.0]])
TEACHER = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 2.0]])

# Computed from the equations with nothing but Python's math module.
GOLDEN = {
    ("paper", "rbf"): 0.028737635630273067,
    ("paper", "l2"): 0.273066241119373,
    ("paper", "linear"): 0.05990339972222139,
    ("paper", "poly"): 0.24373481573610117,
    ("paper", "cosine"): 0.021270544786556225,
    ("paper", "laplacian"): 3.096882333289994e-05,
    ("official-code", None): 3.0997851185588106e-05,
    ("official-code", "rbf"): 0.029430398117981968,
    ("joshi", None): 0.016817370353132553,
    ("joshi", "rbf"): 0.016817370353132553,
    ("joshi", "l2"): 0.05241919109570857,
    ("joshi", "linear"): 0.033461218739087875,
    ("joshi", "poly"): 0.008324213607047281,
    ("joshi", "cosine"): 0.012383812196259572,
}
GOLDEN_PARAMETERS = [
    ({"kernel": "rbf", "sigma": "median"}, 0.014364513405880757),
    ({"kernel": "poly", "c": 1.0, "degree": 3}, 3.0941823264835837),
    ({"kernel": "l2", "squared": False}, 0.08251297566598967),
    ({"kernel": "cosine", "power": 2}, 0.0145447219397195),
    ({"kernel": "laplacian", "scale": 2.0}, 0.015881722845807723),
    ({"kernel": "rbf", "direction": "teacher-student"}, 0.029430398117981968),
    ({"kernel": "rbf", "reduction": "edge-mean"}, 0.028737635630273067 * 4 / 7),
    ({"variant": "joshi", "direction": "student-teacher"}, 0.028737635630273067 * 4 / 7),
]


@pytest.fixture(scope="module")
def host() -> gkd.Host:
    """Only this plugin, so that a broken neighbour cannot hide or cause a failure."""
    host = gkd.create_host(discover=False)
    host.register(gkd_lsp)
    return host


def views(dtype: torch.dtype = torch.float64) -> tuple[View, View]:
    graph = Graph(EDGES, 4)
    return (
        View(features=STUDENT.to(dtype), graph=graph),
        View(features=TEACHER.to(dtype), graph=graph),
    )


@pytest.mark.parametrize(("variant", "kernel"), GOLDEN)
def test_every_variant_has_its_golden_value(host, variant, kernel):
    loss = host.create("loss", "lsp", kernel=kernel, variant=variant)
    assert loss(*views()).item() == pytest.approx(GOLDEN[variant, kernel], rel=1e-12)


@pytest.mark.parametrize(("parameters", "expected"), GOLDEN_PARAMETERS)
def test_parameters_have_their_golden_values(host, parameters, expected):
    loss = host.create("loss", "lsp", **parameters)
    assert loss(*views()).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("paper", (0.75 * math.log(1.5) + 0.25 * math.log(0.5)) / 3),
        ("official-code", (0.5 * math.log(2 / 3) + 0.5 * math.log(2)) / 3),
        ("joshi", (0.5 * math.log(2 / 3) + 0.5 * math.log(2)) / 2),
    ],
)
def test_structure_three_quarters_against_one_half_by_hand(variant, expected):
    # Node 0 sees nodes 1 and 2 with the logits ln 3 and 0: its structure is (3/4, 1/4).
    graph = Graph(torch.tensor([[1, 2], [0, 0]]), 3)
    features = [[[1.0], [math.log(3)], [0.0]], [[1.0], [7.0], [7.0]]]
    student, teacher = torch.tensor(features, dtype=torch.float64)
    loss = LSP(kernel=Linear(), variant=variant)
    value = loss(View(features=student, graph=graph), View(features=teacher, graph=graph))
    assert value.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kernel", lsp_reference.SIMILARITIES)
@pytest.mark.parametrize("teacher_first", [False, True])
@pytest.mark.parametrize("over_edges", [False, True])
def test_value_and_gradient_equal_the_reference(host, kernel, teacher_first, over_edges):
    generator = torch.Generator().manual_seed(1)
    edges = torch.randint(7, (2, 25), generator=generator)
    edges = edges[:, edges[1] != 4]  # node 4 has no in-edge
    student = torch.randn(7, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    loss = host.create(
        "loss",
        "lsp",
        **lsp_reference.KERNEL_PARAMETERS[kernel],
        direction="teacher-student" if teacher_first else "student-teacher",
        reduction="edge-mean" if over_edges else "node-mean",
    )
    graph = Graph(edges, 7)
    value = loss(View(features=student, graph=graph), View(features=teacher, graph=graph))
    expected = lsp_reference.lsp(
        student, teacher, edges, lsp_reference.SIMILARITIES[kernel], teacher_first, over_edges
    )
    torch.testing.assert_close(value, expected, rtol=1e-11, atol=0)
    torch.testing.assert_close(
        *(torch.autograd.grad(v, student)[0] for v in (value, expected)), rtol=1e-9, atol=1e-13
    )


def test_different_graphs_are_compared_on_their_union(host):
    loss = host.create("loss", "lsp")
    student, teacher = views()
    first, second = Graph(EDGES[:, :5], 4), Graph(EDGES[:, 3:], 4)
    split = loss(
        View(features=student.features, graph=first), View(features=teacher.features, graph=second)
    )
    assert split == loss(student, teacher)


@pytest.mark.parametrize("variant", ["paper", "official-code", "joshi"])
def test_a_precomputed_target_gives_the_same_value_and_gradient(host, variant):
    loss = host.create("loss", "lsp", variant=variant)
    student, teacher = views(torch.float32)
    student.features.requires_grad_()
    target = loss.target(teacher)
    assert target.features is None
    whole, cached = loss(student, teacher), loss(student, target)
    assert whole == cached
    first, second = (torch.autograd.grad(v, student.features)[0] for v in (whole, cached))
    assert torch.equal(first, second)


def test_a_precomputed_target_serves_its_own_graph_only(host):
    loss = host.create("loss", "lsp")
    student, teacher = views()
    other = View(features=student.features, graph=Graph(EDGES[:, :4], 4))
    with pytest.raises(ParameterError, match="serves that graph only"):
        loss(other, loss.target(teacher))


@pytest.mark.parametrize(
    ("nodes", "edges"),
    [(0, []), (1, []), (1, [(0, 0)]), (3, []), (2, [(0, 0), (1, 1)])],
    ids=["no node", "one node", "one self-loop", "no edge", "self-loops"],
)
@pytest.mark.parametrize("kernel", list(lsp_reference.KERNEL_PARAMETERS.values()), ids=str)
@pytest.mark.parametrize("reduction", ["node-mean", "edge-mean"])
def test_graphs_without_structure_give_a_differentiable_zero(host, nodes, edges, kernel, reduction):
    graph = Graph(torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).t(), nodes)
    student = torch.ones(nodes, 2, requires_grad=True)
    loss = host.create("loss", "lsp", reduction=reduction, **kernel)
    value = loss(
        View(features=student, graph=graph), View(features=torch.ones(nodes, 3), graph=graph)
    )
    value.backward()
    assert value.item() == 0
    assert torch.equal(student.grad, torch.zeros(nodes, 2))


@pytest.mark.parametrize("kernel", list(lsp_reference.KERNEL_PARAMETERS.values()), ids=str)
def test_coinciding_neighbours_have_finite_gradients(host, kernel):
    graph = Graph(torch.tensor([[1, 2, 2], [0, 0, 1]]), 3)
    student = torch.tensor([[1.0, 2.0], [1.0, 2.0], [2.0, 3.0]], requires_grad=True)
    loss = host.create("loss", "lsp", **kernel)
    loss(
        View(features=student, graph=graph),
        View(features=torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 1.0]]), graph=graph),
    ).backward()
    assert student.grad.isfinite().all()
    assert student.grad.any()


def test_self_loops_do_not_move_the_median_bandwidth():
    graph = Graph(torch.tensor([[1, 2], [0, 0]]), 3)
    features = torch.tensor([[0.0], [2.0], [3.0]])
    assert RBF("median")(features, graph).tolist() == pytest.approx(
        [math.exp(-1 / 2), math.exp(-9 / 8)]
    )
    with_loops = RBF("median")(features, graph.with_self_loops())
    assert with_loops.tolist() == pytest.approx([1, math.exp(-1 / 2), math.exp(-9 / 8), 1, 1])


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ([[1.0], [1.0], [1.0], [1.0]], [1, 1, 1]),
        ([[0.0], [0.0], [0.0], [3.0]], [1, 1, math.exp(-9 / (2 * 3))]),
    ],
    ids=["all coincide", "most coincide"],
)
def test_median_bandwidth_of_coinciding_nodes_is_finite(features, expected):
    graph = Graph(torch.tensor([[1, 2, 3], [0, 0, 0]]), 4)
    assert RBF("median")(torch.tensor(features), graph).tolist() == pytest.approx(expected)


def rotated(features: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    square = torch.randn(*2 * features.shape[1:], generator=generator, dtype=features.dtype)
    return features @ torch.linalg.qr(square).Q


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("shift", [0.0, 1e3])
@pytest.mark.parametrize(("kernel", "value"), [(RBF("median"), 1), (L2(squared=False), 0)])
def test_no_kernel_sees_what_rounding_makes_of_equal_rows(kernel, value, dtype, scale, shift):
    graph = Graph(torch.tensor([[1, 2, 3, 0], [0, 0, 0, 1]]), 5)
    generator = torch.Generator().manual_seed(0)
    row = torch.randn(1, 16, generator=generator, dtype=dtype)
    # Node 4, which has no edge, keeps the mean away from the others.
    features = torch.cat([row.repeat(4, 1), -row]) + shift
    for _ in range(20):
        last_digit = torch.randint(-1, 2, features.shape, generator=generator)
        noisy = features * (1 + torch.finfo(dtype).eps * last_digit)
        leaf = (noisy * scale).requires_grad_()
        similarities = kernel(leaf, graph)
        assert similarities.tolist() == [value] * 4
        (gradient,) = torch.autograd.grad(similarities.sum(), leaf)
        assert not gradient.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_median_bandwidth_of_half_equal_rows_is_the_mean_however_they_are_rotated(dtype, scale):
    graph = Graph(torch.tensor([[1, 2, 3], [0, 0, 0]]), 4)
    row = torch.randn(16, generator=torch.Generator().manual_seed(0), dtype=dtype)
    features = torch.stack([row, row, row, -row])
    for seed in range(20):
        similarities = RBF("median")(rotated(features, seed) * scale, graph).tolist()
        assert similarities == pytest.approx([1, 1, math.exp(-3 / 2)], rel=1e-6)


def test_median_bandwidth_of_close_rows_far_from_the_origin_is_their_distance():
    graph = Graph(torch.tensor([[1, 2], [0, 0]]), 3)
    features = 1e4 + torch.tensor([[0.0], [1e-3], [3e-3]], dtype=torch.float64)
    expected = [math.exp(-1 / 2), math.exp(-9 / 2)]
    assert RBF("median")(features, graph).tolist() == pytest.approx(expected, rel=1e-6)


def test_median_bandwidth_makes_the_structure_independent_of_the_scale(host):
    loss = host.create("loss", "lsp", kernel="rbf", sigma="median")
    student, teacher = views()
    scaled = View(features=student.features * 1e-3, graph=student.graph)
    assert loss(scaled, teacher).item() == pytest.approx(loss(student, teacher).item(), rel=1e-9)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"variant": "papr"}, ParameterError, "'variant' must be .*; did you mean 'paper'"),
        ({"direction": "forwards"}, ParameterError, "direction"),
        ({"reduction": "sum"}, ParameterError, "reduction"),
        ({"kernel": "rfb"}, UnknownNameError, "did you mean 'rbf'"),
        (
            {"kernl": "rbf"},
            ParameterError,
            "lsp: no parameter is called 'kernl'; did you mean",
        ),
        ({"sigm": 1.0}, ParameterError, "kernel 'rbf': unknown parameter 'sigm'"),
        ({"kernel": "rbf", "sgima": 2.0}, ParameterError, "did you mean 'sigma'"),
        ({"kernel": "linear", "sigma": 2.0}, ParameterError, "sigma"),
        ({"kernel": "rbf", "sigma": 0.0}, ParameterError, r"finite float > 0 \| 'median', got 0.0"),
        ({"kernel": "rbf", "sigma": math.inf}, ParameterError, "'sigma' must be .*, got inf"),
        ({"kernel": "rbf", "sigma": "mean"}, ParameterError, "got 'mean'; available: median"),
        ({"kernel": "poly", "degree": 0}, ParameterError, "'degree' must be int > 0, got 0"),
        ({"kernel": "poly", "c": math.nan}, ParameterError, "'c' must be finite float, got nan"),
        ({"kernel": "cosine", "power": 0}, ParameterError, "'power' must be int > 0, got 0"),
        ({"kernel": "laplacian", "scale": -1.0}, ParameterError, "'scale' must be .*> 0, got -1.0"),
        ({"kernel": RBF(), "sigma": 2.0}, ParameterError, "sigma given beside a kernel object"),
    ],
)
def test_wrong_parameters_are_named(host, parameters, error, message):
    with pytest.raises(error, match=message):
        host.create("loss", "lsp", **parameters)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": None}, "without features"),
        ({"graph": None}, "without a graph"),
        ({"features": torch.zeros(5, 2)}, "5 rows"),
        ({"features": torch.zeros(4, 2, 3)}, r"\[N, F\]"),
        ({"features": torch.zeros(4, 2, dtype=torch.int64)}, "floating-point"),
        ({"graph": Graph(EDGES, 5)}, "same nodes"),
    ],
)
@pytest.mark.parametrize("role", ["student", "teacher"])
def test_unfit_views_are_explained(host, role, change, message):
    good = dict(zip(("student", "teacher"), views(), strict=True))
    bad = good[role]
    good[role] = View(**{"features": bad.features, "graph": bad.graph, **change})
    with pytest.raises(ParameterError, match=message):
        host.create("loss", "lsp")(**good)


def test_a_kernel_object_equals_the_kernel_by_name(host):
    named = host.create("loss", "lsp", kernel="l2", squared=False)
    assert LSP(kernel=L2(squared=False))(*views()) == named(*views())


def test_settings_are_shown(host):
    assert repr(host.create("loss", "lsp", variant="joshi")) == (
        "LSP(RBF, variant=joshi, teacher-student, edge-mean)"
    )
