"""neighbour_attention against a loop over nodes, and its failure paths."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import leaky_relu

from gkd.errors import ParameterError
from gkd.functional import attention_loops, compiled_loops, sparse
from gkd.functional.attention import neighbour_attention
from gkd.functional.threads import Share
from gkd.graph import Graph


@pytest.fixture(params=["compiled loops", "head by head"], autouse=True)
def way(request, monkeypatch) -> str:
    """All heads at once in compiled loops, and one after another without them."""
    if request.param == "compiled loops":
        if compiled_loops._library("attention_loops") is None:
            pytest.skip("there is no compiler of C here")
        monkeypatch.setattr(attention_loops, "_pays", lambda features: True)
    monkeypatch.setenv(compiled_loops.SWITCH, "1" if request.param == "compiled loops" else "0")
    return str(request.param)


def reference(
    features: Tensor, source: Tensor, target: Tensor, graph: Graph, slope: float, mask: Tensor
) -> Tensor:
    rows = []
    for node in range(graph.num_nodes):
        edges = (graph.target == node).nonzero()[:, 0]
        neighbours = graph.source[edges]
        weights = leaky_relu(source[neighbours] + target[node], slope).softmax(0) * mask[edges]
        rows.append((weights[:, :, None] * features[neighbours]).sum(0))
    return torch.stack(rows)


@st.composite
def problems(draw):
    nodes, heads, width = draw(st.integers(1, 7)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    node = st.integers(0, nodes - 1)
    pairs = draw(st.lists(st.tuples(node, node), max_size=20))
    edges = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).t()
    graph = Graph(edges, nodes)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scale = draw(st.sampled_from([0.1, 1.0, 30.0]))

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    mask = 2.0 * (torch.rand(graph.num_edges, heads, generator=generator) < 0.5).double()
    inputs = [
        normal(nodes, heads, width),
        scale * normal(nodes, heads),
        scale * normal(nodes, heads),
    ]
    return [tensor.requires_grad_() for tensor in inputs], graph, mask


@given(problems(), st.sampled_from([0.0, 0.2, 1.0, 20.0]), st.booleans())
def test_values_and_gradients_equal_a_loop_over_nodes(problem, slope, dropped):
    inputs, graph, mask = problem
    mask = mask if dropped else torch.ones_like(mask)
    expected = reference(*inputs, graph, slope, mask)
    actual = neighbour_attention(*inputs, graph, slope, mask if dropped else None)
    torch.testing.assert_close(actual, expected)

    cotangent = torch.randn(expected.shape, dtype=torch.float64)
    for ours, theirs in zip(
        torch.autograd.grad(actual, inputs, cotangent),
        torch.autograd.grad(expected, inputs, cotangent),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


@given(problems())
def test_the_chunked_fallback_gives_the_same(problem):
    inputs, graph, mask = problem
    with_products = neighbour_attention(*inputs, graph, 0.2, mask)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse, "has_sparse_products", lambda device_type: False)
        patch.setattr(sparse, "_CHUNK_ELEMENTS", 5)
        without = neighbour_attention(*inputs, graph, 0.2, mask)
        gradients = torch.autograd.grad(without.square().sum(), inputs)
    torch.testing.assert_close(without, with_products)
    for ours, theirs in zip(
        gradients, torch.autograd.grad(with_products.square().sum(), inputs), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@given(problems(), st.floats(-100, 100))
def test_a_constant_added_to_scores_of_one_sign_changes_nothing(problem, constant):
    (features, source, target), graph, _ = problem
    source, target = source.detach().abs() + 200, target.detach().abs()
    torch.testing.assert_close(
        neighbour_attention(features, source + constant, target, graph),
        neighbour_attention(features, source, target, graph),
    )


def test_equal_features_come_back_unchanged_however_large_the_scores():
    graph = Graph(torch.tensor([[0, 1, 2, 0], [1, 0, 0, 2]]), 3)
    features = torch.full((3, 1, 2), 5.0)
    scores = torch.tensor([[1e4], [-1e4], [3e4]], requires_grad=True)
    out = neighbour_attention(features, scores, scores, graph)
    torch.testing.assert_close(out, features)
    out.sum().backward()
    torch.testing.assert_close(scores.grad, torch.zeros(3, 1))


def test_a_node_without_in_edges_gets_zero_and_no_gradient():
    graph = Graph(torch.tensor([[0], [1]]), 3)
    features = torch.ones(3, 2, 4, requires_grad=True)
    target = torch.zeros(3, 2, requires_grad=True)
    out = neighbour_attention(features, torch.zeros(3, 2), target, graph)
    assert out[[0, 2]].eq(0).all()
    assert out[1].eq(1).all()
    out.sum().backward()
    assert features.grad[:, 0, 0].tolist() == [1, 0, 0]
    assert target.grad.eq(0).all()


def test_a_graph_without_edges_or_without_nodes():
    empty = torch.empty(2, 0, dtype=torch.int64)
    for nodes in (3, 0):
        features = torch.ones(nodes, 2, 4, requires_grad=True)
        scores = torch.ones(nodes, 2, requires_grad=True)
        out = neighbour_attention(features, scores, scores, Graph(empty, nodes))
        assert out.shape == (nodes, 2, 4)
        assert out.eq(0).all()
        out.sum().backward()
        assert features.grad.eq(0).all()
        assert scores.grad.eq(0).all()


def test_heads_may_be_views_of_shared_or_strided_memory():
    graph = Graph(torch.tensor([[0, 1, 2, 2], [1, 0, 0, 1]]), 3)
    torch.manual_seed(0)
    wide = torch.randn(3, 10, dtype=torch.float64)
    scores = torch.randn(3, 4, dtype=torch.float64)
    shared = wide[:, None, :5].expand(-1, 2, -1)
    for features in (shared, wide.unflatten(1, (2, 5)), wide.unflatten(1, (5, 2)).transpose(1, 2)):
        for tensor in (features, features.contiguous()):
            torch.testing.assert_close(
                neighbour_attention(tensor, scores[:, :2], scores[:, 2:], graph),
                reference(tensor, scores[:, :2], scores[:, 2:], graph, 0.2, torch.ones(4, 2)),
            )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    graph = Graph(torch.tensor([[0, 1, 2, 2], [1, 0, 0, 1]]), 3)
    features = torch.randn(3, 2, 4).to(dtype).requires_grad_()
    scores = torch.randn(3, 2).to(dtype)
    out = neighbour_attention(features, scores, scores, graph)
    assert out.dtype == torch.float32
    assert torch.equal(
        out, neighbour_attention(features.float(), scores.float(), scores.float(), graph)
    )
    out.sum().backward()
    assert features.grad.dtype == dtype


def many(nodes: int, heads: int, width: int, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(heads * width)
    shapes = (nodes, heads, width), (nodes, heads), (nodes, heads)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
        for shape in shapes
    ]


def star_and_others(nodes: int) -> Graph:
    """Node 0 with an edge from every node, itself included, some others, the last without any."""
    generator = torch.Generator().manual_seed(nodes)
    ends = torch.randint(nodes - 1, (2, 3 * nodes), generator=generator)
    star = torch.stack([torch.arange(nodes), torch.zeros(nodes, dtype=torch.int64)])
    return Graph(torch.cat([star, ends], dim=1), nodes)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize(
    ("heads", "width"), [(1, 1), (3, 8), (4, 9), (8, 17), (9, 2), (20, 7), (32, 8)]
)
def test_many_heads_are_as_right_as_one(heads, width, dropped, dtype):
    graph = star_and_others(150)  # more edges into a node than are taken at a time
    inputs = many(150, heads, width, dtype)
    generator = torch.Generator().manual_seed(0)
    mask = 2.0 * (torch.rand(graph.num_edges, heads, generator=generator) < 0.5).double()
    mask = mask if dropped else torch.ones_like(mask)
    cotangent = torch.randn(150, heads, width, generator=generator, dtype=torch.float64)

    out = neighbour_attention(*inputs, graph, 0.2, mask.to(dtype) if dropped else None)
    found = [out, *torch.autograd.grad(out, inputs, cotangent.to(dtype))]
    exact = [tensor.detach().double().requires_grad_() for tensor in inputs]
    out = reference(*exact, graph, 0.2, mask)
    expected = [out, *torch.autograd.grad(out, exact, cotangent)]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == dtype
        off = (ours.double() - theirs).abs().max() / theirs.abs().max()
        assert off < 30 * torch.finfo(dtype).eps


@pytest.mark.parametrize("slope", [0.0, 0.2, 3.0])
def test_its_gradients_are_those_of_finite_differences(slope):
    graph = Graph(torch.tensor([[0, 1, 2, 3, 3, 0], [1, 1, 1, 0, 3, 2]]), 5)
    inputs = many(5, 9, 2, torch.float64)
    mask = torch.rand(graph.num_edges, 9, generator=torch.Generator().manual_seed(0)).double()
    assert torch.autograd.gradcheck(
        lambda *given: neighbour_attention(*given, graph, slope, mask), inputs
    )


def test_only_what_is_asked_for_is_computed():
    graph = star_and_others(20)
    inputs = many(20, 9, 2, torch.float64)
    expected = torch.autograd.grad(neighbour_attention(*inputs, graph).sum(), inputs)[1]
    inputs[0].requires_grad_(False)
    (found,) = torch.autograd.grad(neighbour_attention(*inputs, graph).sum(), inputs[1])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("where", ["features", "source", "target", "cotangent"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_goes_the_same_ways(value, where, monkeypatch):
    def results() -> list[Tensor]:
        *inputs, cotangent = given = *many(30, 8, 2, torch.float64), torch.ones(30, 8, 2).double()
        with torch.no_grad():
            given[["features", "source", "target", "cotangent"].index(where)][3, 2] = value
        out = neighbour_attention(*inputs, star_and_others(30))
        return [out, *torch.autograd.grad(out, inputs, cotangent)]

    found = results()
    monkeypatch.setenv(compiled_loops.SWITCH, "0")
    for ours, expected in zip(found, results(), strict=True):
        assert torch.equal(ours.isfinite(), expected.isfinite())
        torch.testing.assert_close(ours[ours.isfinite()], expected[expected.isfinite()])


def test_bits_depend_on_no_number_of_threads(monkeypatch):
    graph = star_and_others(150)

    def results() -> list[Tensor]:
        inputs = many(150, 8, 5, torch.float32)
        out = neighbour_attention(*inputs, graph)
        return [out, *torch.autograd.grad(out.square().sum(), inputs)]

    expected = results()
    parts = [Share(number, 3) for number in range(3)]
    monkeypatch.setattr(attention_loops, "edge_shares", lambda *given: parts)
    assert all(torch.equal(*pair) for pair in zip(results(), expected, strict=True))


def test_a_node_with_very_many_in_edges_loses_no_digits():
    nodes = 2**17
    star = torch.stack([torch.arange(nodes), torch.zeros(nodes, dtype=torch.int64)])
    features = (torch.arange(nodes) / nodes)[:, None, None].expand(-1, 8, 1)
    scores = torch.zeros(nodes, 8, requires_grad=True)
    out = neighbour_attention(features, scores, scores, Graph(star, nodes))
    torch.testing.assert_close(out[0], torch.full((8, 1), 0.5), rtol=1e-4, atol=0)
    out[0].sum().backward()
    slopes = 0.2 * (features[:, :, 0] - 0.5) / nodes  # 0 has the slope of what is below it
    torch.testing.assert_close(scores.grad[1:], slopes[1:], rtol=1e-3, atol=1e-8)


def test_many_narrow_heads_are_taken_at_once_and_few_or_wide_ones_are_not(monkeypatch):
    monkeypatch.undo()
    for heads, width, at_once in [(32, 8, True), (8, 32, True), (1, 256, False), (4, 256, False)]:
        assert attention_loops._pays(torch.empty(1, heads, width)) == at_once


def test_an_infinite_score_shows_up_as_nan():
    graph = Graph(torch.tensor([[0], [1]]), 2)
    scores = torch.tensor([[float("inf")], [0.0]])
    assert neighbour_attention(torch.ones(2, 1, 1), scores, scores, graph)[1].isnan()


def test_nothing_of_the_size_of_the_edges_is_kept_for_the_backward_pass():
    nodes = torch.arange(30)
    graph = Graph(torch.cartesian_prod(nodes, nodes).t(), 30)
    features, scores = torch.randn(30, 2, 3, requires_grad=True), torch.randn(30, 2)
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t.numel()) or t, lambda t: t
    ):
        neighbour_attention(features, scores, scores, graph)
    assert kept
    assert max(kept) < graph.num_edges


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": torch.ones(3, 8)}, r"features of shape \[3, H, F\].*got \[3, 8\]"),
        ({"features": torch.ones(4, 2, 4)}, r"features of shape \[3, H, F\].*got \[4, 2, 4\]"),
        ({"source_scores": torch.ones(3, 1)}, r"source_scores of shape \[3, 2\], got \[3, 1\]"),
        ({"target_scores": torch.ones(3)}, r"target_scores of shape \[3, 2\], got \[3\]"),
        ({"dropout_mask": torch.ones(2, 2)}, r"dropout_mask of shape \[1, 2\], got \[2, 2\]"),
        ({"negative_slope": -0.1}, "negative_slope must be at least 0, got -0.1"),
        ({"negative_slope": float("nan")}, "negative_slope must be at least 0, got nan"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    fitting = {
        "features": torch.ones(3, 2, 4),
        "source_scores": torch.ones(3, 2),
        "target_scores": torch.ones(3, 2),
        "graph": Graph(torch.tensor([[0], [1]]), 3),
    }
    with pytest.raises(ParameterError, match=message):
        neighbour_attention(**(fitting | change))
