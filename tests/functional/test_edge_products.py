"""The products of a graph with features against dense matrices."""

import pytest
import torch
from torch import Tensor

from gkd import Graph, ParameterError
from gkd.functional import compiled_loops, edge_l1_distances, edge_loops, row_blocks, sparse
from gkd.functional.edge_distances import edge_squared_distance
from gkd.functional.edge_l1_distances import edge_l1_distance
from gkd.functional.edge_products import both_ways, edge_dot, neighbour_sum
from gkd.functional.threads import Share

GRAPHS = {
    "general": Graph(torch.tensor([[1, 2, 0, 3, 3, 2], [0, 0, 1, 2, 3, 1]]), 5),
    "symmetric": Graph(torch.tensor([[1, 0, 2, 1, 3, 4], [0, 1, 1, 2, 3, 4]]), 5),
    "without edges": Graph(torch.zeros(2, 0, dtype=torch.int64), 5),
    "without nodes": Graph(torch.zeros(2, 0, dtype=torch.int64), 0),
}
EVERY_GRAPH = pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
HEADS = pytest.mark.parametrize("heads", [(), (2,)], ids=["one", "heads"])


@pytest.fixture(params=["compiled loops", "sparse products", "chunks"], autouse=True)
def way(request, monkeypatch) -> str:
    """Products in compiled loops, by those of torch, and in chunks where torch has none."""
    if request.param == "compiled loops" and compiled_loops._library("edge_loops") is None:
        pytest.skip("there is no compiler of C here")
    monkeypatch.setenv(compiled_loops.SWITCH, "1" if request.param == "compiled loops" else "0")
    if request.param == "chunks":
        monkeypatch.setattr(sparse, "has_sparse_products", lambda device_type: False)
        monkeypatch.setattr(sparse, "_CHUNK_ELEMENTS", 7)
    return str(request.param)


def normal(*shape: int, seed: int = 0, dtype=torch.float64) -> Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values.to(dtype).requires_grad_()


@EVERY_GRAPH
@HEADS
def test_edge_dot_and_its_gradients(graph, heads):
    a, b = (normal(graph.num_nodes, *heads, 3, seed=seed) for seed in (0, 1))
    expected = (a[graph.target] * b[graph.source]).sum(-1)
    torch.testing.assert_close(edge_dot(a, b, graph), expected)
    assert torch.autograd.gradcheck(lambda a, b: edge_dot(a, b, graph), (a, b))


@EVERY_GRAPH
@HEADS
def test_edge_dot_of_features_with_themselves(graph, heads):
    x = normal(graph.num_nodes, *heads, 3)
    expected = (x[graph.target] * x[graph.source]).sum(-1)
    torch.testing.assert_close(edge_dot(x, x, graph), expected)
    assert torch.autograd.gradcheck(lambda x: edge_dot(x, x, graph), (x,))


def test_neighbour_sum_keeps_features_only_for_weights_that_learn():
    graph, x = GRAPHS["general"], normal(5, 3)
    kept: list[Tensor] = []
    for weights in (torch.ones(graph.num_edges, dtype=x.dtype), normal(graph.num_edges)):
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda _: None):
            neighbour_sum(weights, x, graph)
        assert any(tensor is x for tensor in kept) == weights.requires_grad


@EVERY_GRAPH
@HEADS
def test_neighbour_sum_and_its_gradients(graph, heads):
    weights, x = normal(graph.num_edges, *heads), normal(graph.num_nodes, *heads, 3, seed=1)
    messages = weights[..., None] * x[graph.source]
    expected = torch.zeros_like(x).index_add(0, graph.target, messages)
    torch.testing.assert_close(neighbour_sum(weights, x, graph), expected)
    assert torch.autograd.gradcheck(lambda w, x: neighbour_sum(w, x, graph), (weights, x))


@EVERY_GRAPH
@pytest.mark.parametrize("width", [3, 300])
def test_wide_features_share_the_work_of_both_directions(graph, width):
    x = normal(graph.num_nodes, width)
    ends = x[graph.target], x[graph.source]
    torch.testing.assert_close(edge_dot(x, x, graph), (ends[0] * ends[1]).sum(-1))
    result = edge_squared_distance(x, graph)
    expected = (ends[0] - ends[1]).square().sum(-1)
    torch.testing.assert_close(result, expected)
    weights = normal(graph.num_edges).detach()
    gradients = (torch.autograd.grad(value @ weights, x)[0] for value in (result, expected))
    torch.testing.assert_close(*gradients)


@EVERY_GRAPH
def test_squared_distance_and_its_gradient(graph):
    x = normal(graph.num_nodes, 3)
    expected = (x[graph.target] - x[graph.source]).square().sum(-1)
    result = edge_squared_distance(x, graph)
    torch.testing.assert_close(result, expected)
    assert (result[graph.self_loops] == 0).all()
    assert torch.autograd.gradcheck(lambda x: edge_squared_distance(x, graph), (x,))


@EVERY_GRAPH
@pytest.mark.parametrize("threads", [1, 3])
def test_l1_distance_and_its_gradient(graph, threads, monkeypatch):
    in_small_chunks(monkeypatch, threads)
    x = normal(graph.num_nodes, 3)
    expected = (x[graph.target] - x[graph.source]).abs().sum(-1)
    torch.testing.assert_close(edge_l1_distance(x, graph), expected)
    assert torch.autograd.gradcheck(lambda x: edge_l1_distance(x, graph), (x,))


@EVERY_GRAPH
@pytest.mark.parametrize("width", [3, 40])
def test_l1_distance_in_float32_equals_that_of_float64(graph, width, monkeypatch):
    in_small_chunks(monkeypatch, threads=2)
    x = normal(graph.num_nodes, width, dtype=torch.float32)
    weights = normal(graph.num_edges, seed=1).detach()
    exact = x.detach().double().requires_grad_()
    expected = (exact[graph.target] - exact[graph.source]).abs().sum(-1)
    result = edge_l1_distance(x, graph)
    eps = torch.finfo(torch.float32).eps  # for each number that is added up
    torch.testing.assert_close(result.double(), expected, rtol=width * eps, atol=width * eps)
    gradients = [
        torch.autograd.grad(value.double() @ weights, leaf)[0]
        for value, leaf in ((result, x), (expected, exact))
    ]
    rounding = graph.num_edges * eps
    torch.testing.assert_close(gradients[0].double(), gradients[1], rtol=rounding, atol=rounding)


def in_small_chunks(monkeypatch, threads: int) -> None:
    """Let the chunks of L1 distances be smaller than a row of the graph."""
    monkeypatch.setattr(edge_l1_distances, "_CPU_ELEMENTS", 7)
    parts = [Share(number, threads) for number in range(threads)]
    monkeypatch.setattr(edge_loops, "shares", lambda *given: parts)


def test_equal_features_give_l1_distances_no_slope():
    x = torch.ones(5, 3, requires_grad=True)
    edge_l1_distance(x, GRAPHS["general"]).sum().backward()
    assert x.grad.tolist() == [[0.0] * 3] * 5


def test_l1_distances_of_strided_and_of_undefined_features():
    graph = GRAPHS["general"]
    wide = torch.randn(graph.num_nodes, 12, generator=torch.Generator().manual_seed(0))
    strided = wide[:, ::2].requires_grad_()
    dense = wide[:, ::2].contiguous().requires_grad_()
    values = [edge_l1_distance(x, graph) for x in (strided, dense)]
    assert torch.equal(*values)
    assert torch.equal(
        *(torch.autograd.grad(v.sum(), x)[0] for v, x in zip(values, (strided, dense), strict=True))
    )
    undefined = torch.full((graph.num_nodes, 3), torch.nan)
    assert edge_l1_distance(undefined, graph).isnan().all()


@pytest.mark.parametrize("width", [16, 40])
@EVERY_GRAPH
def test_float32_products_equal_those_of_float64(graph, width):
    weights = normal(graph.num_edges, dtype=torch.float32)
    x = normal(graph.num_nodes, width, seed=1, dtype=torch.float32)
    expected = neighbour_sum(weights.double(), x.double(), graph)
    torch.testing.assert_close(neighbour_sum(weights, x, graph), expected.float())
    # Columns of a wider tensor, as the heads of attention are.
    wide = torch.cat([x, x + 1], dim=1).detach()
    torch.testing.assert_close(
        neighbour_sum(weights, wide[:, width:], graph),
        neighbour_sum(weights.double(), wide[:, width:].double(), graph).float(),
    )


def test_blocks_of_rows_change_nothing(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    graph = Graph(torch.randint(40, (2, 300), generator=generator), 40)
    x = normal(40, 17, dtype=torch.float32)
    weights = normal(graph.num_edges, seed=1, dtype=torch.float32).detach()

    def results():
        values = edge_squared_distance(x, graph)
        (gradient,) = torch.autograd.grad(values @ weights, x)
        return values.detach(), gradient, neighbour_sum(weights, x, graph).detach()

    expected = results()
    monkeypatch.setattr(row_blocks, "_BLOCK", 20)
    for found, whole in zip(results(), expected, strict=True):
        torch.testing.assert_close(found, whole)


def test_round_off_makes_no_distance_negative():
    features = normal(100, 33, dtype=torch.float32).detach().repeat(2, 1)
    twins = Graph(torch.stack([torch.arange(100), torch.arange(100) + 100]), 200)
    distances = edge_squared_distance(features, twins)
    assert (distances >= 0).all()
    assert (distances < 1e-4).all()


def test_round_off_parts_no_node_from_itself():
    nodes = torch.arange(100)
    features = normal(100, 33, dtype=torch.float32)
    distances = edge_squared_distance(features, Graph(torch.stack([nodes, nodes]), 100))
    assert (distances == 0).all()
    (distances @ normal(100, dtype=torch.float32)).backward()
    assert (features.grad == 0).all()


def test_a_self_loop_has_no_gradient_whatever_is_made_of_its_distance():
    graph, features = GRAPHS["symmetric"], normal(5, 3)
    distances = edge_squared_distance(features, graph)
    others = distances[distances > 0].sqrt().sum()
    (expected,) = torch.autograd.grad(others, features, retain_graph=True)
    (found,) = torch.autograd.grad(distances.sqrt().sum(), features)  # its slope is infinite at 0
    torch.testing.assert_close(found, expected)


def test_a_symmetric_graph_takes_one_product_where_others_take_two():
    matrices = {name: both_ways(torch.ones(g.num_edges), g) for name, g in GRAPHS.items()}
    assert len(matrices["symmetric"]) == 1
    assert len(matrices["general"]) == 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dtypes_are_kept_and_half_precision_is_summed_in_float32(dtype):
    graph = Graph(torch.stack([torch.arange(1, 4097), torch.zeros(4096, dtype=torch.int64)]), 4097)
    ones = torch.ones(4097, 3, dtype=dtype, requires_grad=True)
    weights = torch.ones(4096, dtype=dtype, requires_grad=True)
    total = neighbour_sum(weights, ones, graph)
    assert total[0].tolist() == [4096.0] * 3  # float16 would stop at 2048, bfloat16 at 256
    dots = edge_dot(ones, ones * 1, graph)
    distances = edge_squared_distance(ones, graph)
    assert {t.dtype for t in (total, dots, distances)} == {dtype}
    (total.sum() + dots.sum() + distances.sum()).backward()
    assert ones.grad.dtype == weights.grad.dtype == dtype


def test_autocast_changes_nothing():
    graph = GRAPHS["general"]
    x = normal(5, 3, dtype=torch.float32)
    expected = edge_dot(x, x, graph), neighbour_sum(torch.ones(graph.num_edges), x, graph)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = edge_dot(x, x, graph), neighbour_sum(torch.ones(graph.num_edges), x, graph)
    assert all(torch.equal(r, e) for r, e in zip(result, expected, strict=True))


def test_shapes_that_do_not_fit_are_explained():
    graph = GRAPHS["general"]
    with pytest.raises(ParameterError, match=r"\[5, F\] or \[5, H, F\]"):
        edge_dot(torch.zeros(4, 2), torch.zeros(4, 2), graph)
    with pytest.raises(ParameterError, match="one shape"):
        edge_dot(torch.zeros(5, 2), torch.zeros(5, 3), graph)
    with pytest.raises(ParameterError, match=r"weights of shape \[6, 2\], got \[6\]"):
        neighbour_sum(torch.zeros(6), torch.zeros(5, 2, 3), graph)
    with pytest.raises(ParameterError, match="needs features"):
        edge_squared_distance(torch.zeros(5), graph)
