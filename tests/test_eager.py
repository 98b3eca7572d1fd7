"""What ``torch.compile`` makes of networks and losses: the same results, or nothing."""

import functools

import pytest
import torch
from torch import Tensor

import gkd
from gkd import Graph, View
from gkd.eager import eagerly

# Of what torch.compile does inside.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
]

EDGES = torch.tensor([[1, 2, 0, 3, 3, 2, 4], [0, 0, 1, 2, 3, 1, 4]])

# The graph that is captured is run by torch itself: what a compiler makes of it is its own affair.
compiled = functools.partial(torch.compile, backend="eager")


@pytest.fixture(autouse=True)
def _fresh():
    torch.manual_seed(0)
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def same_result_and_gradient(function, compiled_function, at: Tensor) -> None:
    outcomes = []
    for each in (function, compiled_function):
        leaf = at.clone().requires_grad_()
        value = each(leaf)
        (gradient,) = torch.autograd.grad(value.square().sum(), leaf)
        outcomes.append((value.detach(), gradient))
    for found, expected in zip(outcomes[1], outcomes[0], strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("kernel", ["rbf", "linear", "poly", "l2", "cosine", "laplacian"])
def test_a_compiled_step_with_lsp(kernel):
    loss = gkd.create("loss", "lsp", kernel=kernel)
    graph, teacher = Graph(EDGES, 5), torch.randn(5, 6)

    def step(features: Tensor) -> Tensor:
        hidden = (features * 2).tanh()
        views = View(features=hidden, graph=graph), View(features=teacher, graph=graph)
        return hidden.sum() + 3 * loss(*views)

    same_result_and_gradient(step, compiled(step), torch.randn(5, 3))


def test_a_compiled_gat():
    network = gkd.create(
        "model", "gat", in_channels=3, out_channels=2, hidden_channels=[4], heads=[2, 1]
    )
    same_result_and_gradient(
        lambda x: network(x, EDGES), lambda x: compiled(network)(x, EDGES), torch.randn(5, 3)
    )


@pytest.mark.parametrize("name", ["gcn", "sage", "gin"])
@pytest.mark.parametrize("pool", ["none", "mean"])
def test_compiled_graph_networks(name, pool):
    network = gkd.create("model", name, in_channels=3, out_channels=2, hidden_channels=4, pool=pool)
    same_result_and_gradient(
        lambda x: network(x, EDGES), lambda x: compiled(network)(x, EDGES), torch.randn(5, 3)
    )


def test_a_compiled_dgcnn():
    network = gkd.create(
        "model", "dgcnn", in_channels=3, out_channels=2, channels=[4, 4], embedding=8, head=[4], k=3
    ).eval()
    batch = torch.arange(2).repeat_interleave(10)
    same_result_and_gradient(
        lambda x: network(x, batch), lambda x: compiled(network)(x, batch), torch.randn(20, 3)
    )


@pytest.mark.parametrize("name", ["kd", "at", "fitnet"])
def test_losses_without_data_dependent_steps_are_one_graph(name):
    loss = gkd.create("loss", name)
    student, teacher = torch.randn(5, 3), torch.randn(5, 3)
    view = View(features=teacher, logits=teacher)
    loss.build(View(features=student, logits=student), view)

    def step(features: Tensor) -> Tensor:
        return loss(View(features=features, logits=features), view)

    same_result_and_gradient(step, compiled(step, fullgraph=True), student)


def test_an_eager_function_is_the_function():
    def double(value: int) -> int:
        """Double it."""
        return 2 * value

    wrapped = eagerly(double)
    assert wrapped(3) == 6
    assert wrapped.__doc__ == "Double it."
    with pytest.raises(TypeError, match="positional"):
        wrapped(1, 2)
