"""The DGCNN plugin: published sizes, taps, invariances, options and failure paths."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import gkd
from gkd.distillation.taps import taps
from gkd.errors import DataError, ParameterError
from gkd.graph import Graph
from gkd.hosting.host import create_host
from gkd_dgcnn.dgcnn import DGCNN, cloud_pool
from gkd_dgcnn.edge_conv_layer import EdgeConv

STUDENT = {"channels": (32, 32, 64), "embedding": 128, "head": (256,), "k": 10}
SIZES = [12, 30, 4]  # the last has fewer points than k
BATCH = torch.arange(3).repeat_interleave(torch.tensor(SIZES))


def small(**options) -> DGCNN:
    torch.manual_seed(0)
    defaults = {"channels": (8, 12), "embedding": 16, "head": (10, 6), "k": 5}
    return DGCNN(3, 4, **(defaults | options))


def clouds() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(sum(SIZES), 3)


def warmed(network: DGCNN) -> DGCNN:
    """The network in evaluation mode, after it has seen a few batches."""
    dtype = next(network.parameters()).dtype
    for _ in range(5):
        network.train()(torch.randn(sum(SIZES), 3, dtype=dtype), BATCH)
    return network.eval()


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 1_809_576),
        (STUDENT, 99_560),
        (STUDENT | {"head": (512, 256)}, 297_448),
        (STUDENT | {"channels": (32, 32, 64, 160)}, 140_840),
        (STUDENT | {"channels": (96, 96, 192), "embedding": 416}, 441_000),
    ],
    ids=["teacher", "student", "more MLPs", "more layers", "more channels"],
)
def test_the_networks_of_the_paper_have_their_parameter_counts(options, count):
    network = DGCNN(3, 40, **options)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_the_hook_offers_the_network_by_name():
    host = create_host(discover=True)
    assert host.component("model", "dgcnn").factory is DGCNN
    network = host.create(
        "model", "dgcnn", in_channels=3, out_channels=4, channels=[8, 12], embedding=16, head=[10]
    )
    assert isinstance(network, DGCNN)
    assert network.eval()(clouds(), BATCH).shape == (3, 4)


def test_every_graph_and_every_layer_can_be_tapped():
    network = small()
    batch = gkd.collate(
        [gkd.Sample(id=str(n), pos=torch.randn(size, 3)) for n, size in enumerate(SIZES)]
    )
    shapes = {info.path: info.shape for info in taps(network, batch, ("pos", "batch"))}
    edges = 12 * 5 + 30 * 5 + 4 * 4
    expected = {
        "graphs.0": (2, edges),
        "graphs.1": (2, edges),
        "layers.0": (46, 8),
        "layers.1": (46, 12),
        "embedding": (46, 16),
    }
    assert expected.items() <= shapes.items()


def test_graphs_are_those_of_each_layers_input_and_stay_within_clouds():
    network = warmed(small())
    seen = []
    for module in [*network.graphs, *network.layers]:
        module.register_forward_hook(lambda module, inputs, out: seen.append((inputs, out)))
    pos = clouds()
    network(pos, BATCH)
    (_, graph_0), (layer_0, x), (graph_input, graph_1), (layer_1, _) = seen
    assert torch.equal(layer_0[0], pos)
    assert layer_0[1] is graph_0
    assert layer_1[1] is graph_1
    assert torch.equal(graph_input[0], x)
    for graph in (graph_0, graph_1):
        assert isinstance(graph, Graph)
        assert torch.equal(BATCH[graph.source], BATCH[graph.target])
        degrees = graph.row_pointer.diff()
        assert torch.equal(degrees, torch.tensor([5] * 42 + [4] * 4))
    assert graph_0 != graph_1


def test_distilling_on_the_graphs_that_both_networks_build():
    batch = gkd.collate(
        [
            gkd.Sample(id=str(number), pos=torch.randn(20, 3), y=torch.tensor([number]))
            for number in range(4)
        ]
    )
    teacher, student = small(k=7), small(channels=(6, 6), k=4)
    term = gkd.Term(
        "lsp",
        weight=100.0,
        student="layers.1",
        teacher="layers.1",
        student_graph="tap:graphs.1",
        teacher_graph="tap:graphs.1",
    )
    distiller = gkd.Distiller(
        teacher, student, terms=[term], task="single-label", inputs=("pos", "batch")
    )
    report = distiller(batch)
    assert report.terms["lsp"].item() > 0
    report.total.backward()
    assert student.layers[0].linear.weight.grad.norm() > 0


def test_logits_do_not_depend_on_the_order_of_the_points():
    network = warmed(small().double())
    pos = clouds().double()
    shuffled = torch.cat([cloud[torch.randperm(len(cloud))] for cloud in pos.split(SIZES)])
    torch.testing.assert_close(network(shuffled, BATCH), network(pos, BATCH))


def test_in_evaluation_a_batch_is_its_clouds_alone():
    network = warmed(small().double())
    pos = clouds().double()
    alone = torch.cat([network(cloud) for cloud in pos.split(SIZES)])
    torch.testing.assert_close(network(pos, BATCH), alone)


def test_dropout_acts_in_training_only():
    pos = clouds()
    network = small(dropout=0.5)
    assert not torch.equal(network(pos, BATCH), network(pos, BATCH))
    network.eval()
    assert torch.equal(network(pos, BATCH), network(pos, BATCH))
    certain = small(dropout=0.0)
    assert torch.equal(certain(pos, BATCH), certain(pos, BATCH))


def test_bfloat16_autocast_is_finite_and_close():
    network, pos = small(dropout=0.0), clouds()

    def output_and_gradient(autocast: bool) -> list[Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out = network(pos, BATCH)
        loss = functional.cross_entropy(out.float(), torch.tensor([0, 1, 2]))
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        return [out.float(), torch.cat([gradient.flatten() for gradient in gradients])]

    for half, full in zip(output_and_gradient(True), output_and_gradient(False), strict=True):
        assert half.isfinite().all()
        assert (half - full).norm() < 0.2 * full.norm()


def test_a_frozen_norm_uses_and_keeps_its_statistics():
    layer, graph = EdgeConv(3, 4), Graph(torch.tensor([[0, 1, 0], [1, 0, 0]]), 2)
    x = torch.randn(2, 3)
    expected = layer.eval()(x, graph)
    before = {name: value.clone() for name, value in layer.named_buffers()}
    layer.train()
    layer.norm.eval()
    assert torch.equal(layer(x, graph), expected)
    torch.testing.assert_close(dict(layer.named_buffers()), before)


def test_a_norm_without_running_statistics_uses_those_of_the_batch():
    layer, graph = EdgeConv(3, 4), Graph(torch.tensor([[0, 1, 0], [1, 0, 0]]), 2)
    x = torch.randn(2, 3)
    expected = layer(x, graph)
    layer.norm = nn.BatchNorm1d(4, track_running_stats=False).eval()
    assert torch.equal(layer(x, graph), expected)


def test_one_edge_is_refused_in_training_as_by_torch():
    layer, graph = EdgeConv(3, 4), Graph(torch.tensor([[0], [0]]), 1)
    with pytest.raises(ValueError, match="more than one edge, and this graph has one"):
        layer(torch.ones(1, 3), graph)
    assert layer.eval()(torch.ones(1, 3), graph).shape == (1, 4)


def test_synchronised_norms_are_refused():
    network = nn.SyncBatchNorm.convert_sync_batchnorm(small())
    with pytest.raises(ParameterError, match="cannot share its batch statistics"):
        network(clouds(), BATCH)


def test_reset_and_state_dict():
    network, pos = warmed(small()), clouds()
    twin = small()
    twin.load_state_dict(network.state_dict())
    assert torch.equal(twin.eval()(pos, BATCH), network(pos, BATCH))
    twin.reset_parameters()
    assert not torch.equal(twin(pos, BATCH), network(pos, BATCH))
    assert all(layer.norm.running_mean.eq(0).all() for layer in twin.layers)


def test_inference_mode():
    network = warmed(small())
    with torch.inference_mode():
        inferred = network(clouds(), BATCH)
    torch.testing.assert_close(inferred, network(clouds(), BATCH))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 8}, r"'channels' must be tuple\[int > 0, ...\] of length >= 1, got 8"),
        ({"channels": ()}, r"'channels' must be tuple\[int > 0, ...\] of length >= 1, got \(\)"),
        ({"channels": (8, 0)}, r"'channels' must be .*, got \(8, 0\)"),
        ({"head": 5}, r"'head' must be tuple\[int > 0, ...\], got 5"),
        ({"head": (5.0,)}, r"'head' must be tuple\[int > 0, ...\], got \(5.0,\)"),
        ({"embedding": True}, "DGCNN: parameter 'embedding' must be int > 0, got True"),
        ({"k": 0}, "'k' must be int > 0, got 0"),
        ({"dropout": 1.0}, "'dropout' must be 0 <= float < 1, got 1.0"),
        ({"dropout": float("nan")}, "'dropout' must be 0 <= float < 1, got nan"),
    ],
)
def test_sizes_that_do_not_fit_are_named(options, message):
    with pytest.raises(ParameterError, match=message):
        small(**options)


@pytest.mark.parametrize(
    ("pos", "batch", "message"),
    [
        (torch.ones(4, 2), None, r"pos of shape \[N, 3\], got \[4, 2\]"),
        (torch.ones(2, 2, 3), None, r"pos of shape \[N, 3\], got \[2, 2, 3\]"),
        (torch.ones(4, 3, dtype=torch.float64), None, "float32, but pos is torch.float64"),
        (torch.ones(4, 3, dtype=torch.int64), None, "float32, but pos is torch.int64"),
        (torch.ones(4, 3), torch.zeros(3, dtype=torch.int64), r"batch as int64 \[4\]"),
        (torch.ones(4, 3), torch.zeros(4), r"batch as int64 \[4\].*float32"),
        (torch.ones(4, 3), torch.tensor([0, 1, 0, 1]), "ascending from 0: sort"),
        (torch.ones(4, 3), torch.tensor([-1, 0, 0, 1]), "ascending from 0: sort"),
        (torch.ones(4, 3), None, "at least two clouds in a batch in training"),
    ],
)
def test_inputs_that_do_not_fit_are_named(pos, batch, message):
    with pytest.raises(ParameterError, match=message):
        small()(pos, batch)


@pytest.mark.parametrize(
    ("pos", "batch", "message"),
    [
        (torch.ones(0, 3), None, "no points"),
        (torch.ones(4, 3), torch.tensor([0, 0, 2, 2]), "cloud 1 of the batch has no points"),
        (torch.ones(4, 3), torch.tensor([1, 1, 2, 2]), "cloud 0 of the batch has no points"),
    ],
)
def test_clouds_without_points_are_named(pos, batch, message):
    with pytest.raises(DataError, match=message):
        small()(pos, batch)


def test_a_single_cloud_trains_where_nothing_normalises_over_clouds():
    network = small(head=())
    network(torch.randn(9, 3)).square().sum().backward()
    assert all(parameter.grad.norm() > 0 for parameter in network.parameters())


def test_nan_in_a_cloud_names_the_sample():
    pos = clouds()
    pos[15, 1] = torch.nan
    with pytest.raises(DataError, match="sample 1"):
        small()(pos, BATCH)


def test_every_point_gets_logits_of_its_own_cloud_and_of_itself():
    network = warmed(small(per_point=True))
    pos = clouds()
    logits = network(pos, BATCH)
    assert logits.shape == (sum(SIZES), 4)
    features, outputs = pos, []
    for graph, layer in zip(network.graphs, network.layers, strict=True):
        features = layer(features, graph(features, BATCH))
        outputs.append(features)
    joined = torch.cat(outputs, dim=1)
    pooled = cloud_pool(network.embedding(joined), [0, 12, 42, 46])
    expected = network.head(torch.cat([pooled[BATCH], joined], dim=1))
    torch.testing.assert_close(logits, expected)


def test_a_single_cloud_trains_point_by_point():
    network = small(per_point=True).train()
    network(clouds()[:12]).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
