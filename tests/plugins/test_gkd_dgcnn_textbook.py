"""EdgeConv and DGCNN equal the textbook's modules: outputs, gradients, statistics, steps."""

import copy
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from gkd.graph import Graph
from gkd_dgcnn.dgcnn import DGCNN
from gkd_dgcnn.edge_conv_layer import EdgeConv


class TextbookEdgeConv(nn.Module):
    """The layer as one would write it down, with the parameters and statistics of ours."""

    def __init__(self, ours: EdgeConv) -> None:
        super().__init__()
        self.linear, self.norm = copy.deepcopy(ours.linear), copy.deepcopy(ours.norm)

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        source, target = graph.edge_index
        edges = torch.cat([x[source] - x[target], x[target]], dim=1)
        values = functional.leaky_relu(self.norm(self.linear(edges)), 0.2)
        rows = pairwise(graph.row_pointer.tolist())
        return torch.stack([values[start:end].max(dim=0).values for start, end in rows])


class TextbookDGCNN(nn.Module):
    """The network, its graphs by brute force, cloud by cloud, or given."""

    def __init__(self, ours: DGCNN, k: int) -> None:
        super().__init__()
        self.k = k
        self.layers = nn.ModuleList(map(TextbookEdgeConv, ours.layers))
        self.embedding, self.head = copy.deepcopy(ours.embedding), copy.deepcopy(ours.head)

    def forward(self, pos: Tensor, sizes: list[int], graphs: list[Graph] | None = None) -> Tensor:
        x, outputs = pos, []
        for index, layer in enumerate(self.layers):
            x = layer(x, graphs[index] if graphs else nearest(x.detach(), sizes, self.k))
            outputs.append(x)
        linear, norm, _ = self.embedding
        points = functional.leaky_relu(norm(linear(torch.cat(outputs, 1))), 0.2)
        clouds = points.split(sizes)
        largest = torch.stack([cloud.max(0).values for cloud in clouds])
        return self.head(torch.cat([largest, torch.stack([c.mean(0) for c in clouds])], 1))


def nearest(x: Tensor, sizes: list[int], k: int) -> Graph:
    edges, start = [], 0
    for cloud in x.split(sizes):
        distances = (cloud[:, None] - cloud[None]).square().sum(2)
        source = distances.topk(min(k, len(cloud)), largest=False).indices
        target = torch.arange(len(cloud)).repeat_interleave(source.shape[1])
        edges.append(torch.stack([source.flatten(), target]) + start)
        start += len(cloud)
    return Graph(torch.cat(edges, 1), len(x))


def batch_of(sizes: list[int]) -> Tensor:
    return torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))


def randomised(network: nn.Module) -> nn.Module:
    """Norms as after training: any scale, negative ones too, and statistics of other batches."""
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm1d):
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return network


def statistics(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.named_buffers()}


def gradients(network: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.grad for name, parameter in network.named_parameters()}


def relative_error(value: Tensor, exact: Tensor) -> float:
    value, exact = value.detach().double(), exact.detach().double()
    return float((value - exact).norm() / exact.norm())


@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=5),
    st.integers(1, 6),
    st.booleans(),
    st.sampled_from([0.1, 0.5, None]),
    st.integers(0, 1000),
)
def test_a_layer_on_ragged_clouds(sizes, k, training, momentum, seed):
    torch.manual_seed(seed)
    layer = randomised(EdgeConv(3, 6)).double().train(training)
    layer.norm.momentum = momentum
    textbook = TextbookEdgeConv(layer)
    graph = nearest(torch.randn(sum(sizes), 3, dtype=torch.float64), sizes, k)
    for _ in range(3):  # the running statistics accumulate
        x = torch.randn(sum(sizes), 3, dtype=torch.float64)
        leaf, other = x.clone().requires_grad_(), x.clone().requires_grad_()
        out, expected = layer(leaf, graph), textbook(other, graph)
        cotangent = torch.randn_like(out)
        torch.testing.assert_close(out, expected, rtol=1e-8, atol=1e-8)
        out.backward(cotangent)
        expected.backward(cotangent)
        torch.testing.assert_close(leaf.grad, other.grad, rtol=1e-7, atol=1e-7)
        torch.testing.assert_close(gradients(layer), gradients(textbook), rtol=1e-7, atol=1e-7)
        torch.testing.assert_close(statistics(layer), statistics(textbook), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("training", [True, False])
def test_a_layer_in_float32_on_as_many_points_as_are_used(training):
    torch.manual_seed(0)
    sizes = [256, 256, 100]
    layer = randomised(EdgeConv(16, 64)).train(training)
    exact = TextbookEdgeConv(layer).double()
    x = torch.randn(sum(sizes), 16)
    graph = nearest(x.double(), sizes, 20)
    leaf, other = x.clone().requires_grad_(), x.double().requires_grad_()
    out, expected = layer(leaf, graph), exact(other, graph)
    cotangent = torch.randn_like(out)
    out.backward(cotangent)
    expected.backward(cotangent.double())
    assert relative_error(out, expected) < 1e-5
    assert relative_error(leaf.grad, other.grad) < 1e-5
    for kind in (gradients, statistics):
        reference = kind(exact)
        for name, tensor in kind(layer).items():
            if reference[name].is_floating_point():  # else it counts batches
                assert relative_error(tensor, reference[name]) < 1e-5, name


NETWORKS = {
    "uniform": ((8, 8, 16), 12, (10, 6), [30, 30, 30, 30]),
    "ragged, some smaller than k": ((8, 12), 16, (10,), [40, 3, 25, 1, 17]),
    "no hidden layer in the head": ((8,), 16, (), [20, 30]),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("case", NETWORKS)
def test_the_network_and_its_own_graphs(case, training):
    torch.manual_seed(0)
    channels, embedding, head, sizes = NETWORKS[case]
    network = DGCNN(3, 5, channels, embedding, head, k=6, dropout=0.0).double()
    randomised(network).train(training)
    textbook = TextbookDGCNN(network, k=6).train(training)
    ours, theirs = (
        torch.optim.SGD(n.parameters(), lr=0.1, momentum=0.9) for n in (network, textbook)
    )
    labels = torch.randint(5, (len(sizes),))
    for _ in range(3):
        pos = torch.randn(sum(sizes), 3, dtype=torch.float64)
        out, expected = network(pos, batch_of(sizes)), textbook(pos, sizes)
        torch.testing.assert_close(out, expected, rtol=1e-7, atol=1e-7)
        for optimiser, logits in ((ours, out), (theirs, expected)):
            optimiser.zero_grad()
            functional.cross_entropy(logits, labels).backward()
            optimiser.step()
        torch.testing.assert_close(gradients(network), gradients(textbook), rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(statistics(network), statistics(textbook), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("training", [True, False])
def test_the_network_in_float32_on_given_graphs(training):
    torch.manual_seed(0)
    sizes = [128] * 6
    network = DGCNN(3, 10, (16, 16, 32), 64, (32,), k=10, dropout=0.0)
    randomised(network).train(training)
    exact = TextbookDGCNN(network, k=10).double().train(training)
    graphs: list[Graph] = []
    for module in network.graphs:
        module.register_forward_hook(lambda _, inputs, graph: graphs.append(graph))
    pos = torch.randn(sum(sizes), 3)
    out = network(pos, batch_of(sizes))
    expected = exact(pos.double(), sizes, graphs)
    assert relative_error(out, expected) < 1e-5
    labels = torch.randint(10, (len(sizes),))
    for logits in (out, expected):
        functional.cross_entropy(logits, labels).backward()
    for name, gradient in gradients(network).items():
        reference = gradients(exact)[name]
        if reference.norm() > 1e-10:  # a bias before batch normalisation has none
            assert relative_error(gradient, reference) < 1e-4, name
