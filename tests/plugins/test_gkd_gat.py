"""The GAT plugin: its published sizes, options, taps, numerics and failure paths."""

import copy
import math

import pytest
import torch
from torch.nn import functional

import gkd_gat
from gkd.errors import ParameterError
from gkd.graph import Graph
from gkd.hosting.host import create_host
from gkd_gat.gat import GAT
from gkd_gat.gat_layer import GATLayer

EDGES = torch.tensor([[0, 1, 2, 3, 3], [1, 0, 1, 3, 2]])  # a self-loop at 3; 4 is isolated


def small(**options) -> GAT:
    torch.manual_seed(0)
    return GAT(3, 2, hidden_channels=(4, 5), heads=(2, 3, 2), **options)


@pytest.mark.parametrize(
    ("hidden", "heads", "count"),
    [
        ((256, 256), (4, 4, 6), 3_640_748),
        ((68, 68, 68, 68), (2, 2, 2, 2, 2), 185_172),
    ],
    ids=["teacher", "student"],
)
def test_the_networks_of_the_paper_have_their_parameter_counts(hidden, heads, count):
    network = GAT(50, 121, hidden, heads)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_options_change_the_number_of_parameters_as_documented():
    def count(**options):
        return sum(parameter.numel() for parameter in small(**options).parameters())

    assert count(bias=True) - count() == 2 * 4 + 3 * 5 + 2
    assert count() - count(residual=False) == (2 * 4) * (3 * 5) + (3 * 5) * (2 * 2)


def test_the_host_creates_it_by_name():
    host = create_host(discover=False)
    host.register(gkd_gat, distribution="gkd", name="gat")
    network = host.create(
        "model", "gat", in_channels=3, out_channels=2, hidden_channels=[4], heads=[1, 2]
    )
    assert isinstance(network, GAT)
    assert network(torch.ones(5, 3), EDGES).shape == (5, 2)


def test_layers_output_values_before_the_activation():
    network = small()
    tapped = {}
    for index, layer in enumerate(network.layers):
        layer.register_forward_hook(lambda _, inputs, out, index=index: tapped.update({index: out}))
    x = torch.randn(5, 3)
    out = network(x, EDGES)
    assert [tapped[index].shape[1] for index in range(3)] == [8, 15, 2]
    assert tapped[2] is out
    graph = Graph(EDGES, 5).with_self_loops()
    assert torch.equal(network.layers[1](functional.elu(tapped[0]), graph), tapped[1])
    assert torch.equal(network.layers[2](functional.elu(tapped[1]), graph), tapped[2])
    assert tapped[0].min() < -1  # ELU stays above -1


def test_self_loops_replace_existing_ones_or_stay_away():
    x = torch.randn(5, 3)
    loops = torch.arange(5).repeat(2, 1)
    completed = torch.cat([EDGES, loops], 1)
    assert torch.equal(small()(x, EDGES), small(self_loops=False)(x, completed))
    without = small(self_loops=False, residual=False)(x, EDGES)
    assert without[4].eq(0).all()
    assert small(residual=False)(x, EDGES)[4].ne(0).all()


def test_a_repeated_edge_is_one_edge():
    x = torch.randn(5, 3)
    assert torch.equal(small()(x, EDGES), small()(x, EDGES.repeat(1, 3)))


@pytest.mark.parametrize("concat", [True, False])
@pytest.mark.parametrize(("narrow", "wide"), [(1, 4), (3, 5)])
def test_neighbours_are_summed_before_or_behind_the_projection_alike(narrow, wide, concat):
    torch.manual_seed(0)
    graph = Graph(EDGES, 5)
    for widths in ((narrow, wide), (wide, narrow)):
        layer = GATLayer(*widths, heads=3, concat=concat, attention_dropout=0.5).double()
        tapped = []
        layer.scores.register_forward_hook(lambda _, inputs, out, tapped=tapped: tapped.append(out))
        x = torch.randn(5, widths[0], dtype=torch.float64, requires_grad=True)

        def outputs(way, layer=layer, x=x):
            torch.manual_seed(1)
            out = way(x, graph)
            return out, *torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])

        first, behind = outputs(layer._sum_first), outputs(layer._project_first)
        taken = outputs(layer)
        torch.testing.assert_close(first, behind)
        assert torch.equal(taken[0], (first if widths[0] < widths[1] else behind)[0])
        torch.testing.assert_close(tapped[0], tapped[1])


def test_dropout_acts_in_training_only_and_on_the_part_named():
    x = torch.randn(5, 3)
    expected = small()(x, EDGES)
    for option in ("dropout", "attention_dropout"):
        network = small(**{option: 0.5})
        assert not torch.equal(network(x, EDGES), network(x, EDGES))
        assert torch.equal(network.eval()(x, EDGES), expected)


def test_attention_dropout_leaves_the_expectation_of_a_layer():
    copies = 20_000
    layer = GATLayer(3, 4, heads=2, attention_dropout=0.3).double()
    one = torch.randn(2, 3, dtype=torch.float64)
    target = 2 * torch.arange(copies)
    edges = torch.cat([torch.stack([target, target]), torch.stack([target + 1, target])], 1)
    graph = Graph(edges, 2 * copies)
    draws = layer(one.repeat(copies, 1), graph)[::2]
    expected = layer.eval()(one.repeat(copies, 1), graph)[0]
    deviation = draws.std(0) / math.sqrt(copies)
    assert deviation.min() > 0
    assert ((draws.mean(0) - expected).abs() < 5 * deviation).all()


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_bfloat16_autocast_is_finite_and_close(dropout):
    network = small(dropout=dropout, attention_dropout=dropout)
    x = torch.randn(5, 3, requires_grad=True)

    def output_and_gradient(autocast):
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out = network(x, EDGES)
        gradients = torch.autograd.grad(out.float().sum(), [x, *network.parameters()])
        return out.float(), torch.cat([gradient.flatten() for gradient in gradients])

    for half, full in zip(output_and_gradient(True), output_and_gradient(False), strict=True):
        assert half.isfinite().all()
        assert (half - full).norm() < 0.05 * full.norm()


def test_the_slope_reaches_every_layer():
    assert [layer.negative_slope for layer in small(negative_slope=0.5).layers] == [0.5] * 3
    assert [layer.negative_slope for layer in small().layers] == [0.2] * 3


def test_parameters_are_drawn_as_glorot_did():
    torch.manual_seed(0)
    layer = GATLayer(100, 60, heads=4, residual=True, bias=True)
    for weight, fans in (
        (layer.lin.weight, 100 + 240),
        (layer.res.weight, 100 + 240),
        (layer.att_src, 4 + 60),
        (layer.att_dst, 4 + 60),
    ):
        bound = math.sqrt(6 / fans)
        assert 0.97 * bound < weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
    assert layer.bias.eq(0).all()


def test_reset_copy_and_state_dict():
    network = small(bias=True)
    twin = copy.deepcopy(network)
    x = torch.randn(5, 3)
    twin.reset_parameters()
    assert not torch.equal(network(x, EDGES), twin(x, EDGES))
    twin.load_state_dict(network.state_dict())
    assert torch.equal(network(x, EDGES), twin(x, EDGES))


def test_a_graph_without_edges_or_nodes():
    empty = torch.empty(2, 0, dtype=torch.int64)
    for nodes in (0, 3):
        network = small(bias=True)
        out = network(torch.ones(nodes, 3), empty)
        assert out.shape == (nodes, 2)
        out.sum().backward()
        assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_inference_mode():
    network, x = small(), torch.randn(5, 3)
    with torch.inference_mode():
        assert torch.equal(network(x, EDGES), network(x, EDGES.clone()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 4}, r"'heads' must be tuple\[int > 0, ...\], got 4"),
        ({"hidden_channels": 4}, r"'hidden_channels' must be tuple\[int > 0, ...\], got 4"),
        ({"heads": (2, 2)}, r"2 hidden_channels \(4, 5\) and 2 heads \(2, 2\)"),
        ({"hidden_channels": ()}, r"0 hidden_channels \(\) and 3 heads"),
        ({"heads": (2, 0, 1)}, r"'heads' must be tuple\[int > 0, ...\], got \(2, 0, 1\)"),
        (
            {"hidden_channels": (4, 5.0)},
            r"'hidden_channels' must be tuple\[int > 0, ...\], got \(4, 5.0\)",
        ),
        ({"in_channels": 0}, "GAT: parameter 'in_channels' must be int > 0, got 0"),
        ({"out_channels": True}, "'out_channels' must be int > 0, got True"),
        ({"dropout": 1.0}, "'dropout' must be 0 <= float < 1, got 1.0"),
        ({"attention_dropout": -0.1}, "'attention_dropout' must be 0 <= float < 1, got -0.1"),
        ({"negative_slope": float("nan")}, "'negative_slope' must be finite float >= 0, got nan"),
    ],
)
def test_sizes_that_do_not_fit_are_named(options, message):
    fitting = {
        "in_channels": 3,
        "out_channels": 2,
        "hidden_channels": (4, 5),
        "heads": (2, 3, 2),
    }
    with pytest.raises(ParameterError, match=message):
        GAT(**(fitting | options))


@pytest.mark.parametrize(
    ("x", "edges", "message"),
    [
        (torch.ones(5, 4), EDGES, r"x of shape \[N, 3\], got \[5, 4\]"),
        (torch.ones(5), EDGES, r"x of shape \[N, 3\], got \[5\]"),
        (torch.ones(5, 3, dtype=torch.float64), EDGES, "are torch.float32, but x is torch.float64"),
        (torch.ones(5, 3, dtype=torch.int64), EDGES, "are torch.float32, but x is torch.int64"),
        (torch.ones(3, 3), EDGES, r"edge_index\[\d, 3\] is 3, .* 3 nodes has the nodes 0 to 2"),
        (torch.ones(5, 3), EDGES.int(), "int64"),
        (torch.ones(5, 3), EDGES.t(), r"\[2, E\], got \[5, 2\]"),
    ],
)
def test_inputs_that_do_not_fit_are_named(x, edges, message):
    with pytest.raises(ParameterError, match=message):
        small()(x, edges)


def test_integer_features_are_refused_under_autocast_too():
    with (
        torch.autocast("cpu", torch.bfloat16),
        pytest.raises(ParameterError, match=r"x is torch\.int64"),
    ):
        small()(torch.ones(5, 3, dtype=torch.int64), EDGES)
