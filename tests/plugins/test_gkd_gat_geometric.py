"""GAT equals torch_geometric's GATConv wherever their options coincide."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn import GATConv

from gkd.graph import Graph
from gkd_gat.gat import GAT
from gkd_gat.gat_layer import GATLayer

TOLERANCE = {
    torch.float64: {"rtol": 1e-9, "atol": 1e-10},
    torch.float32: {"rtol": 1e-3, "atol": 1e-4},
}


class GeometricGAT(nn.Module):
    """The same network made of GATConv, with the weights of ours."""

    def __init__(self, ours: GAT) -> None:
        super().__init__()
        self.dropout = ours.dropout
        self.layers = nn.ModuleList(_converted(layer, ours.self_loops) for layer in ours.layers)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        for index, layer in enumerate(self.layers):
            x = functional.elu(x) if index else x
            x = layer(functional.dropout(x, self.dropout, self.training), edge_index)
        return x


def _converted(layer: GATLayer, self_loops: bool) -> GATConv:
    conv = GATConv(
        layer.in_channels,
        layer.out_channels,
        layer.heads,
        concat=layer.concat,
        negative_slope=layer.negative_slope,
        dropout=layer.attention_dropout,
        add_self_loops=self_loops,
        bias=layer.bias is not None,
        residual=layer.res is not None,
    ).to(layer.lin.weight.dtype)
    conv.load_state_dict(_for_geometric(layer, layer.state_dict()))
    return conv


def _for_geometric(layer: GATLayer, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Values for GATConv, whose averaged heads share one residual projection."""
    if layer.res is None or layer.concat:
        return tensors
    return tensors | {"res.weight": tensors["res.weight"].unflatten(0, (layer.heads, -1)).mean(0)}


def _gradients(layer: GATLayer) -> dict[str, Tensor]:
    gradients = {name: parameter.grad for name, parameter in layer.named_parameters()}
    if layer.res is not None and not layer.concat:
        by_head = gradients["res.weight"].unflatten(0, (layer.heads, -1))
        gradients["res.weight"] = by_head.sum(0)
        torch.testing.assert_close(by_head, by_head[:1].expand_as(by_head))
    return gradients


def assert_equal_networks(ours: GAT, x: Tensor, edge_index: Tensor) -> None:
    theirs = GeometricGAT(ours).train(ours.training)
    tolerance = (
        {"rtol": 1e-9, "atol": 1e-10} if x.dtype == torch.float64 else {"rtol": 1e-3, "atol": 1e-4}
    )
    x_ours, x_theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    out, expected = ours(x_ours, edge_index), theirs(x_theirs, edge_index)
    torch.testing.assert_close(out, expected, **tolerance)
    cotangent = torch.randn(out.shape, dtype=out.dtype)
    out.backward(cotangent)
    expected.backward(cotangent)
    torch.testing.assert_close(x_ours.grad, x_theirs.grad, **tolerance)
    for ours_layer, theirs_layer in zip(ours.layers, theirs.layers, strict=True):
        expected_gradients = {name: p.grad for name, p in theirs_layer.named_parameters()}
        torch.testing.assert_close(_gradients(ours_layer), expected_gradients, **tolerance)


@st.composite
def simple_graphs(draw) -> tuple[Tensor, int]:
    """Edges in any order, no edge twice, self-loops and isolated nodes as they come."""
    nodes = draw(st.integers(1, 8))
    node = st.integers(0, nodes - 1)
    pairs = draw(st.lists(st.tuples(node, node), max_size=25, unique=True))
    return torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).t().contiguous(), nodes


@given(
    simple_graphs(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([torch.float64, torch.float32]),
    st.integers(0, 1000),
)
def test_outputs_and_all_gradients(graph, self_loops, residual, bias, training, dtype, seed):
    torch.manual_seed(seed)
    edge_index, nodes = graph
    network = GAT(3, 2, (4, 5), (2, 1, 3), self_loops=self_loops, residual=residual, bias=bias).to(
        dtype
    )
    for layer in network.layers:
        if layer.bias is not None:
            nn.init.normal_(layer.bias)
    x = torch.randn(nodes, 3, dtype=dtype)
    assert_equal_networks(network.train(training), x, edge_index)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("in_channels", [5, 40])
def test_a_larger_graph_with_hubs_and_isolated_nodes(dtype, in_channels):
    torch.manual_seed(0)
    nodes = 200
    source = torch.randint(0, nodes, (3000,))
    target = (torch.rand(3000).square() * 150).long()
    edge_index = Graph(torch.stack([source, target]), nodes).edge_index
    edge_index = edge_index[:, torch.randperm(edge_index.shape[1])]
    network = GAT(in_channels, 7, (16, 16), (4, 4, 6), negative_slope=0.1, bias=True).to(dtype)
    assert_equal_networks(network, torch.randn(nodes, in_channels, dtype=dtype), edge_index)


def test_training_with_the_same_dropout(monkeypatch):
    def dropout(values: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
        if not training:
            return values
        generator = torch.Generator().manual_seed(values.shape[0] * 1000 + values.shape[1])
        kept = torch.rand(values.shape, generator=generator) >= p
        return values * kept / (1 - p)

    monkeypatch.setattr(functional, "dropout", dropout)
    torch.manual_seed(0)
    options = {"dropout": 0.3, "attention_dropout": 0.4, "self_loops": False}
    network = GAT(3, 2, (4, 5), (2, 1, 3), **options).double()
    edge_index = Graph(torch.randint(0, 9, (2, 40)), 10).edge_index
    x = torch.randn(10, 3, dtype=torch.float64)
    assert not torch.equal(network(x, edge_index), network.eval()(x, edge_index))
    assert_equal_networks(network.train(), x, edge_index)


def test_weights_of_a_trained_gatconv_load_as_they_are():
    torch.manual_seed(0)
    conv = GATConv(3, 4, heads=2, residual=True, bias=True)
    nn.init.normal_(conv.bias)
    layer = GATLayer(3, 4, heads=2, residual=True, bias=True)
    layer.load_state_dict(conv.state_dict())
    edge_index, x = torch.tensor([[0, 1, 2], [1, 2, 0]]), torch.randn(3, 3)
    torch.testing.assert_close(
        layer(x, Graph(edge_index, 3).with_self_loops()), conv(x, edge_index)
    )


def test_a_repeated_edge_counts_twice_there_and_once_here():
    torch.manual_seed(0)
    network = GAT(3, 2, (4,), (2, 2), self_loops=False)
    x, edges = torch.randn(3, 3), torch.tensor([[0, 1], [2, 2]])
    repeated = torch.tensor([[0, 1, 1], [2, 2, 2]])
    theirs = GeometricGAT(network)
    torch.testing.assert_close(network(x, repeated), theirs(x, edges))
    assert not torch.allclose(theirs(x, repeated), theirs(x, edges))
