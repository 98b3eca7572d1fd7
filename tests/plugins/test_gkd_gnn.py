"""MLP, GCN, SAGE and GIN: dense references, options, taps, memory and failure paths."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import gkd
import gkd_gnn
from gkd.errors import DataError, ParameterError
from gkd.functional import edge_products
from gkd.graph import Graph
from gkd.hosting.host import create_host
from gkd_gnn.gcn import GCN
from gkd_gnn.gcn_layer import GCNLayer
from gkd_gnn.gin import GIN
from gkd_gnn.gin_layer import GINLayer
from gkd_gnn.layer_stack import Residual
from gkd_gnn.linear_sum import linear_sum
from gkd_gnn.mlp import MLP
from gkd_gnn.pooling import pool_graphs
from gkd_gnn.sage import SAGE

EDGES = torch.tensor([[0, 1, 2, 3, 3, 0], [1, 0, 1, 3, 2, 1]])  # a loop, a repeated edge; 4 alone
BATCH = torch.tensor([0, 0, 0, 1, 1])
ALL = pytest.mark.parametrize("kind", [MLP, GCN, SAGE, GIN])
ON_GRAPHS = pytest.mark.parametrize("kind", [GCN, SAGE, GIN])


def small(kind, **options) -> nn.Module:
    torch.manual_seed(0)
    return kind(3, 2, **({"hidden_channels": 4} | options)).double()


def features(nodes: int = 5) -> Tensor:
    return torch.randn(nodes, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def call(network: nn.Module, x: Tensor, edges: Tensor = EDGES, **more) -> Tensor:
    return network(x, **more) if isinstance(network, MLP) else network(x, edges, **more)


def adjacency(edges: Tensor, nodes: int = 5) -> Tensor:
    """``A[target, source]``: 1 for every edge, however often it is named."""
    dense = torch.zeros(nodes, nodes, dtype=torch.float64)
    dense[edges[1], edges[0]] = 1
    return dense


def dense_layer(network: nn.Module, index: int, x: Tensor, edges: Tensor, weights=None) -> Tensor:
    """The layer's output by its formula, from dense matrices."""
    layer = network.layers[index]
    if isinstance(network, MLP):
        return x @ layer.weight.T + layer.bias
    a = adjacency(edges, len(x))
    if isinstance(network, GCN):
        if weights is not None:
            a[edges[1], edges[0]] = weights
        loops = torch.eye(len(x), dtype=a.dtype)
        a = a + loops * (a.diagonal() == 0) if network.self_loops else a
        root = torch.stack([d**-0.5 if d else d for d in a.sum(1)])
        return (root[:, None] * a * root) @ x @ layer.lin.weight.T + layer.bias
    if isinstance(network, SAGE):
        a = (a + torch.eye(len(x), dtype=a.dtype)).clamp(max=1) if network.self_loops else a
        mean = a @ x / a.sum(1, keepdim=True).clamp(min=1)
        out = mean @ layer.lin_l.weight.T + layer.lin_l.bias
        out = out if layer.lin_r is None else out + x @ layer.lin_r.weight.T
        return out / out.norm(dim=1, keepdim=True) if layer.normalise else out
    total = (1 + layer.eps) * x + a @ x
    hidden = layer.norm(total @ layer.lin_1.weight.T + layer.lin_1.bias).relu()
    return hidden @ layer.lin_2.weight.T + layer.lin_2.bias


def dense_network(network: nn.Module, x: Tensor, edges: Tensor, weights=None) -> Tensor:
    outputs = []
    for index in range(len(network.layers)):
        x = dense_layer(network, index, x, edges, weights)
        if index < len(network.norms):
            x = network.norms[index](x).relu()
            outputs.append(x)
    match network.jumping_knowledge:
        case "cat":
            x = torch.cat(outputs, 1)
        case "max":
            x = torch.stack(outputs).max(0).values
    return x if network.head is None else x @ network.head.weight.T + network.head.bias


@ALL
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("jumping_knowledge", ["none", "last", "cat", "max"])
@pytest.mark.parametrize("hidden", [2, 7])
def test_values_equal_dense_matrices(kind, norm, jumping_knowledge, hidden):
    options = {"norm": norm, "jumping_knowledge": jumping_knowledge, "num_layers": 3}
    network, x = small(kind, hidden_channels=hidden, **options), features()
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    torch.testing.assert_close(call(network, x), dense_network(network, x, EDGES))


@pytest.mark.parametrize("hidden", [2, 7])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (GCN, {"self_loops": False}),
        (SAGE, {"self_loops": True, "root_weight": False}),
        (SAGE, {"normalise": True}),
        (GIN, {"eps": 0.5, "train_eps": True}),
    ],
)
def test_options_of_one_kind_equal_dense_matrices(kind, options, hidden):
    network, x = small(kind, hidden_channels=hidden, **options), features()
    for name, parameter in network.named_parameters():
        if not name.endswith("eps"):
            nn.init.normal_(parameter)
    torch.testing.assert_close(call(network, x), dense_network(network, x, EDGES))


@pytest.mark.parametrize("self_loops", [True, False])
def test_edge_weights_of_a_gcn_and_their_gradient(self_loops):
    edges = EDGES[:, :5].flip(1)  # not in the order of a graph
    weights = torch.tensor([0.5, 2.0, 3.0, 0.25, 1.5], dtype=torch.float64, requires_grad=True)
    network, x = small(GCN, self_loops=self_loops), features()
    ours = network(x, edges, weights)
    expected = dense_network(network, x, edges, weights)
    torch.testing.assert_close(ours, expected)
    cotangent = torch.randn_like(ours)
    (gradient,) = torch.autograd.grad(ours, weights, cotangent)
    (expected_gradient,) = torch.autograd.grad(expected, weights, cotangent)
    torch.testing.assert_close(gradient, expected_gradient)
    assert gradient.abs().min() > 0


def test_equal_edge_weights_are_no_weights_without_self_loops():
    network, x, edges = small(GCN, self_loops=False), features(), EDGES[:, :5]
    expected = network(x, edges)
    torch.testing.assert_close(network(x, edges, torch.full((5,), 3.0)), expected)


def test_both_orders_of_map_and_sum_are_equal():
    graph, x = Graph(EDGES, 5), features()
    weights = torch.rand(graph.num_edges, dtype=x.dtype)
    matrix = torch.randn(4, 3, dtype=x.dtype)
    wide = linear_sum(x, matrix, weights, graph)
    narrow = torch.cat([linear_sum(x, row[None], weights, graph) for row in matrix], 1)
    torch.testing.assert_close(wide, narrow)


@ON_GRAPHS
@pytest.mark.parametrize("hidden", [2, 7])
def test_a_layer_is_one_sparse_product_of_the_narrower_features(monkeypatch, kind, hidden):
    network, x = small(kind, hidden_channels=hidden, num_layers=2), features()
    products = []
    product = edge_products.sparse_product

    def counted(*arguments, **more):
        products.append(arguments[3].shape[1])
        return product(*arguments, **more)

    monkeypatch.setattr(edge_products, "sparse_product", counted)
    network(x, EDGES)
    assert products == [min(3, hidden), min(hidden, 2)]


@ON_GRAPHS
def test_structure_is_read_once_per_graph(monkeypatch, kind):
    network, x, edges = small(kind), features(), EDGES.clone()
    expected = network(x, edges)
    monkeypatch.setattr(torch, "segment_reduce", None)
    monkeypatch.setattr(Tensor, "reciprocal", None)
    monkeypatch.setattr(torch, "ones", None)
    assert torch.equal(network(x, edges), expected)


@ON_GRAPHS
def test_weights_made_in_inference_mode_serve_training(kind):
    network, x, edges = small(kind), features(), EDGES.clone()
    with torch.inference_mode():
        expected = network(x, edges)
    out = network(x, edges)
    assert torch.equal(out, expected)
    out.sum().backward()


@ALL
def test_layers_output_values_before_normalisation_and_activation(kind):
    network, x = small(kind, norm="batch", num_layers=3).eval(), features()
    tapped = {}
    for index, layer in enumerate(network.layers):
        layer.register_forward_hook(lambda _, inputs, out, index=index: tapped.update({index: out}))
    out = call(network, x)
    assert [tapped[index].shape[1] for index in range(3)] == [4, 4, 2]
    assert tapped[2] is out
    for index in (0, 1):
        inner = network.norms[index](tapped[index]).relu()
        torch.testing.assert_close(dense_layer(network, index + 1, inner, EDGES), tapped[index + 1])


@ALL
def test_residuals_add_the_input_or_a_map_of_it(kind):
    network, x = small(kind, residual=True, num_layers=3), features()
    assert [type(layer.res) for layer in network.layers] == [nn.Linear, nn.Identity, nn.Linear]
    for layer in network.layers:
        assert isinstance(layer, Residual)
    plain = copy.deepcopy(network)
    plain.layers = nn.ModuleList(layer.layer for layer in network.layers)
    h = x
    for index, layer in enumerate(network.layers):
        h = dense_layer(plain, index, h.relu() if index else h, EDGES) + layer.res(
            h.relu() if index else h
        )
    torch.testing.assert_close(call(network, x), h)


@ALL
@pytest.mark.parametrize("pool", ["mean", "sum", "max"])
def test_pooled_logits_of_whole_graphs(kind, pool):
    network, x = small(kind, pool=pool), features()
    nodes = copy.deepcopy(network)
    nodes.pool, nodes.head = "none", None
    nodes = call(nodes, x)
    reduce = {"mean": lambda t: t.mean(0), "sum": lambda t: t.sum(0), "max": lambda t: t.amax(0)}
    pooled = torch.stack([reduce[pool](nodes[graph == BATCH]) for graph in (0, 1)])
    torch.testing.assert_close(call(network, x, batch=BATCH), network.head(pooled))
    torch.testing.assert_close(call(network, x), network.head(reduce[pool](nodes)[None]))
    assert network.inputs == (*kind.inputs, "batch")
    assert small(kind).inputs == kind.inputs


@pytest.mark.parametrize("pool", ["mean", "sum", "max"])
def test_gradients_of_pooling(pool):
    x = features().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: pool_graphs(x, BATCH, pool), x)


@pytest.mark.parametrize("pool", ["mean", "sum", "max"])
def test_pooling_in_half_precision_sums_in_full(pool):
    x = torch.full((4096, 1), 0.1, dtype=torch.bfloat16)
    x[1] = 1.0
    expected = pool_graphs(x.double(), None, pool)
    ours = pool_graphs(x, None, pool)
    assert ours.dtype == torch.bfloat16
    torch.testing.assert_close(ours.double(), expected, rtol=0.01, atol=0)


@ALL
@pytest.mark.parametrize("act", ["relu", "elu", "leaky_relu", "gelu", "silu", "tanh"])
def test_the_activation_is_the_one_of_that_name(kind, act):
    x = features()
    network = small(kind, act=act, jumping_knowledge="last", num_layers=1)
    hidden = []
    network.layers[0].register_forward_hook(lambda _, inputs, out: hidden.append(out))
    out = call(network, x)
    function = getattr(torch, act, None) or getattr(functional, act)
    torch.testing.assert_close(out, network.head(function(hidden[0])))


@ALL
def test_dropout_acts_in_training_only(kind):
    network, x = small(kind, dropout=0.5, hidden_channels=50), features()
    assert not torch.equal(call(network, x), call(network, x))
    expected = call(small(kind, hidden_channels=50), x)
    assert torch.equal(call(network.eval(), x), expected)


@ALL
def test_reset_copy_and_state_dict(kind):
    network, x = small(kind, norm="batch", residual=True, jumping_knowledge="cat"), features()
    call(network, x)
    assert network.norms[0].num_batches_tracked == 1
    twin = copy.deepcopy(network)
    twin.reset_parameters()
    assert twin.norms[0].num_batches_tracked == 0
    assert not torch.equal(call(network.eval(), x), call(twin.eval(), x))
    twin.load_state_dict(network.state_dict())
    assert torch.equal(call(network, x), call(twin, x))


def test_resetting_draws_as_making_does():
    torch.manual_seed(0)
    layer = GCNLayer(100, 60)
    bound = math.sqrt(6 / 160)
    network = GCN(100, 60, num_layers=1)
    network.reset_parameters()
    for drawn in (layer.lin.weight, network.layers[0].lin.weight):
        assert 0.97 * bound < drawn.abs().max() <= bound
    assert layer.bias.eq(0).all()
    gin = GINLayer(3, 4, eps=0.25, train_eps=True)
    nn.init.ones_(gin.eps)
    gin.reset_parameters()
    assert gin.eps.tolist() == [0.25]


@ALL
def test_without_bias(kind):
    network = small(kind, bias=False, jumping_knowledge="last", norm="layer")
    names = {name for name, _ in network.named_parameters() if not name.startswith("norms")}
    assert not [name for name in names if name.endswith("bias") and ".norm." not in name]
    assert call(network, features()).shape == (5, 2)


@ALL
@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_autocast_is_finite_and_close(kind, training):
    network, x = small(kind, norm="layer").float().train(training), features().float()
    with torch.autocast("cpu", torch.bfloat16):
        half = call(network, x)
    full = call(network, x)
    assert half.isfinite().all()
    assert (half.float() - full).norm() < 0.05 * full.norm()


@ALL
def test_networks_in_half_precision(kind):
    network, x = small(kind), features()
    full, half = call(network, x), call(network.bfloat16(), x.bfloat16())
    assert half.dtype == torch.bfloat16
    assert (half.double() - full).norm() < 0.05 * full.norm()


@ALL
def test_a_graph_without_edges_or_nodes(kind):
    empty = torch.empty(2, 0, dtype=torch.int64)
    for nodes in (0, 3):
        network = small(kind)
        out = call(network, features(nodes), empty)
        assert out.shape == (nodes, 2)
        out.sum().backward()
        assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_the_host_creates_them_by_name():
    host = create_host(discover=False)
    host.register(gkd_gnn, distribution="gkd", name="gnn")
    for name, kind in {"mlp": MLP, "gcn": GCN, "sage": SAGE, "gin": GIN}.items():
        network = host.create("model", name, in_channels=3, out_channels=2, hidden_channels=4)
        assert type(network) is kind


@ALL
def test_a_distiller_calls_them_by_what_they_declare(kind):
    sample = gkd.Sample(id="a", x=features().float(), edge_index=EDGES, y=torch.tensor([0] * 5))
    batch = gkd.collate([sample])
    teacher, student = GCN(3, 2, hidden_channels=4), kind(3, 2, hidden_channels=3)
    distiller = gkd.Distiller(teacher, student, terms=[gkd.Term("kd")], task="single-label")
    assert distiller(batch).total.isfinite()


def test_a_distiller_hands_over_edge_weights_where_there_are_some():
    sample = gkd.Sample(
        id="a",
        x=features().float(),
        edge_index=EDGES[:, :5],
        edge_weight=torch.rand(5),
        y=torch.tensor([0] * 5),
    )
    teacher, student = (GCN(3, 2, hidden_channels=width) for width in (4, 3))
    distiller = gkd.Distiller(teacher, student, terms=[gkd.Term("kd")], task="single-label")
    seen = []
    student.register_forward_hook(lambda *call: seen.append(call[2]), with_kwargs=True)
    distiller(gkd.collate([sample]))
    assert torch.equal(seen[0]["edge_weight"], sample.edge_weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_channels": 0}, "'hidden_channels' must be int > 0, got 0"),
        ({"num_layers": 0}, "'num_layers' must be 1 <= int <= 1000, got 0"),
        ({"out_channels": True}, "'out_channels' must be int > 0, got True"),
        ({"dropout": 1.0}, "'dropout' must be 0 <= float < 1, got 1.0"),
        ({"act": "rulu"}, "'act' must be .*did you mean 'relu'"),
        ({"norm": "layers"}, "'norm' must be .*did you mean 'layer'"),
        ({"jumping_knowledge": "lstm"}, "'jumping_knowledge' must be .*got 'lstm'"),
        ({"pool": "men"}, "'pool' must be .*did you mean 'mean'"),
    ],
)
@ALL
def test_arguments_out_of_range_are_named(kind, options, message):
    with pytest.raises(ParameterError, match=f"{kind.__name__}: parameter {message}"):
        kind(**({"in_channels": 3, "out_channels": 2} | options))


def test_sizes_in_another_order_are_refused():
    with pytest.raises(TypeError, match="positional"):
        GCN(1433, 64, 2, 7)  # torch_geometric's order


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.ones(5, 4), r"x of shape \[N, 3\], got \[5, 4\]"),
        (torch.ones(5), r"x of shape \[N, 3\], got \[5\]"),
        (torch.ones(5, 3), "are torch.float64, but x is torch.float32"),
        (torch.ones(5, 3, dtype=torch.int64), "are torch.float64, but x is torch.int64"),
    ],
)
@ALL
def test_features_that_do_not_fit_are_named(kind, x, message):
    with pytest.raises(ParameterError, match=f"{kind.__name__}.*{message}"):
        call(small(kind), x)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        (EDGES + 2, r"edge_index\[\d, \d\] is 5, .* 5 nodes has the nodes 0 to 4"),
        (EDGES.int(), "int64"),
        (EDGES.t(), r"\[2, E\], got \[6, 2\]"),
    ],
)
@ON_GRAPHS
def test_edges_that_do_not_fit_are_named(kind, edges, message):
    with pytest.raises(ParameterError, match=message):
        call(small(kind), features(), edges)


@pytest.mark.parametrize(
    ("edges", "weights", "error", "message"),
    [
        (EDGES[:, :5], [1.0] * 4, ParameterError, r"each of the 5 edges, got \[4\]"),
        (EDGES[:, :5], [[1.0]] * 5, ParameterError, r"each of the 5 edges, got \[5, 1\]"),
        (EDGES, [1.0] * 6, ParameterError, "the edge from 0 to 1 more than once"),
        (EDGES[:, :5], [-3.0, 1, 1, 1, 1], DataError, "edges to node 1 sum to -1"),
    ],
)
def test_edge_weights_that_do_not_fit_are_named(edges, weights, error, message):
    with pytest.raises(error, match=message):
        small(GCN)(features(), edges, torch.tensor(weights))


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (BATCH[:4], ParameterError, r"int64 \[5\].*got torch.int64 \[4\]"),
        (BATCH.int(), ParameterError, r"int64 \[5\].*got torch.int32 \[5\]"),
        (BATCH.flip(0), ParameterError, "ascend"),
        (BATCH - 1, ParameterError, "ascend from 0"),
        (BATCH * 2, DataError, "graph 1 of the batch has no nodes"),
    ],
)
@ALL
def test_batch_vectors_that_do_not_fit_are_named(kind, batch, error, message):
    with pytest.raises(error, match=message):
        call(small(kind, pool="mean"), features(), batch=batch)


@ALL
def test_a_batch_vector_that_nothing_uses_is_refused(kind):
    with pytest.raises(ParameterError, match=r"logits of nodes.*choose a pool"):
        call(small(kind), features(), batch=BATCH)


@ALL
def test_nothing_to_pool_is_named(kind):
    with pytest.raises(DataError, match="no nodes to pool"):
        call(small(kind, pool="sum"), features(0), torch.empty(2, 0, dtype=torch.int64))


@ALL
def test_batch_normalisation_of_one_node_is_refused_in_training(kind):
    network, x, none = small(kind, norm="batch"), features(1), torch.empty(2, 0, dtype=torch.int64)
    with pytest.raises(ParameterError, match="at least two nodes"):
        call(network, x, none)
    assert call(network.eval(), x, none).shape == (1, 2)
