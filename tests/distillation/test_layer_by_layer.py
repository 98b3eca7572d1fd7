"""Layers that work on a part of a large graph's edges at a time."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

import gkd
from gkd.distillation.inputs import Arguments, NetworkInputs
from gkd.distillation.layer_by_layer import layer_by_layer
from gkd.errors import ParameterError

NODES, EDGES, WIDTH, LIMIT = 3000, 6000, 8, 200
INPUTS = ("x", "edge_index")


def batch(nodes: int = NODES, edges: int = EDGES) -> SimpleNamespace:
    generator = torch.Generator().manual_seed(0)
    edge_index = torch.randint(nodes, (2, edges), generator=generator)
    return SimpleNamespace(
        x=torch.randn(nodes, WIDTH, generator=generator),
        edge_index=edge_index,
        edge_weight=torch.rand(edges, generator=generator),
        num_nodes=nodes,
        y=torch.randint(3, (nodes,), generator=generator),
    )


class Sums(nn.Module):
    """Sums over the in-edges, by a message for every edge, which it counts."""

    def __init__(self, widest: list[int]) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)
        self.widest = widest

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        source, target = edge_index
        messages = self.linear(x)[source]
        if edge_weight is not None:
            messages = messages * edge_weight[:, None]
        self.widest.append(len(messages))
        return messages.new_zeros(x.shape).index_add(0, target, messages)


class Hops(Sums):
    """Two hops in one layer."""

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        return super().forward(super().forward(x, edge_index), edge_index)


class Centred(Sums):
    """Takes the mean of all nodes away: no part of them tells it."""

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        return super().forward(x - x.mean(0), edge_index)


class Network(nn.Module):
    """Layers with what is of the whole graph between them."""

    def __init__(self, *layers: Callable[[list[int]], Sums], weighted: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.widest: list[int] = []
        self.layers = nn.ModuleList(layer(self.widest) for layer in layers)
        self.weighted = weighted
        self.edges_per_pass: object = None

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        for layer in self.layers:
            more = (edge_weight,) if self.weighted else ()
            x = (layer(x, edge_index, *more) - x.mean(0)).tanh()
        return x[:, :3]


def answer(network: nn.Module, limit: object, given: object = None) -> Tensor:
    network.edges_per_pass = limit
    whole = batch() if given is None else given
    arguments = NetworkInputs(INPUTS, network, "network").arguments(whole)
    if getattr(network, "weighted", False):
        named = {**arguments.content, "edge_weight": whole.edge_weight}
        arguments = Arguments((), named, named)
    with torch.no_grad(), layer_by_layer(network, arguments):
        found: Tensor = network(*arguments.positional, **arguments.named)
    return found


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("layers", [(Sums,), (Sums, Sums, Sums), (Sums, Hops)])
def test_a_network_says_the_same_of_parts_as_of_the_whole(
    layers: tuple[type[Sums], ...], weighted: bool
) -> None:
    network = Network(*layers, weighted=weighted).eval()
    whole = answer(network, None)
    assert max(network.widest) == EDGES
    network.widest.clear()
    assert torch.allclose(answer(network, EDGES // 2), whole, atol=1e-5)
    assert max(network.widest) < EDGES


def test_a_layer_of_one_hop_makes_no_more_messages_at_a_time_than_it_may() -> None:
    network = Network(Sums, Sums).eval()
    whole = answer(network, None)
    network.widest.clear()
    assert torch.allclose(answer(network, LIMIT), whole, atol=1e-5)
    calls = network.widest[2:]  # after the network's own, with a part that shows its layers
    for layer in (calls[: len(calls) // 2], calls[len(calls) // 2 :]):
        parts = layer[2:]  # after two that show how many hops it looks
        assert sum(parts) == EDGES
        assert max(parts) <= LIMIT


def test_a_node_with_more_edges_than_that_is_a_part_of_its_own() -> None:
    given = batch()
    given.edge_index[1, : 2 * LIMIT] = 7
    network = Network(Sums).eval()
    whole = answer(network, None, given)
    assert torch.allclose(answer(network, LIMIT, given), whole, atol=1e-4)


def test_as_many_edges_as_nodes_are_told_apart_by_their_names() -> None:
    given = batch(600, 600)
    network = Network(Sums, Sums, weighted=True).eval()
    whole = answer(network, None, given)
    assert torch.allclose(answer(network, 100, given), whole, atol=1e-5)


def test_nothing_changes_with_gradients_on_small_graphs_and_afterwards() -> None:
    network = Network(Sums).eval()
    forward = network.layers[0].forward
    network.edges_per_pass = LIMIT
    whole = batch()
    with layer_by_layer(network, Arguments((), {}, vars(whole))):
        assert network.layers[0].forward == forward
    answer(network, EDGES)
    assert network.widest == [EDGES]
    answer(network, LIMIT)
    assert "forward" not in vars(network.layers[0])


def test_a_forward_of_a_users_own_is_put_back() -> None:
    network = Network(Sums).eval()
    doubled = network.layers[0].forward
    network.layers[0].forward = lambda x, edge_index: 2 * doubled(x, edge_index)
    own = network.layers[0].forward
    whole = answer(network, None)
    assert torch.allclose(answer(network, EDGES // 2), whole, atol=1e-5)
    assert network.layers[0].forward is own


def test_a_layer_that_mixes_all_nodes_runs_on_the_whole_graph() -> None:
    network = Network(Sums, Centred).eval()
    whole = answer(network, None)
    network.widest.clear()
    assert torch.allclose(answer(network, EDGES // 2), whole, atol=1e-5)
    assert network.widest[-1] == EDGES


def test_a_layer_that_changes_its_input_runs_on_the_whole_graph() -> None:
    class InPlace(Sums):
        def forward(self, x: Tensor, edge_index: Tensor, *rest: Tensor) -> Tensor:
            return super().forward(x.mul_(2), edge_index)

    network = Network(Sums, InPlace).eval()
    whole = answer(network, None)
    assert torch.allclose(answer(network, EDGES // 2), whole, atol=1e-5)


class Faint(Sums):
    """Looks a second hop, of which a thousandth is left."""

    def forward(self, x: Tensor, edge_index: Tensor, *rest: Tensor) -> Tensor:
        first = super().forward(x, edge_index)
        return first + 1e-3 * super().forward(first, edge_index)


@pytest.mark.parametrize("half", [False, True])
def test_a_faint_second_hop_is_seen(half: bool) -> None:
    network = Network(Sums, Faint).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        whole = answer(network, None)
        network.widest.clear()
        parts = answer(network, EDGES // 2)
    assert torch.allclose(parts, whole, atol=2e-2 if half else 1e-5)
    assert max(network.widest) <= EDGES // 2


def test_a_network_without_any_such_layer_is_refused() -> None:
    network = Network(Centred).eval()
    with pytest.raises(ParameterError, match=r"none of the network's layers .* of the 6000 edges"):
        answer(network, LIMIT)
    assert "forward" not in vars(network.layers[0])


@pytest.mark.parametrize("limit", [0, -1, 2.5, True, "many"])
def test_a_number_of_edges_that_is_none_is_refused(limit: object) -> None:
    with pytest.raises(ParameterError, match="edges_per_pass: expected a whole number from 1 on"):
        answer(Network(Sums).eval(), limit)


class Vast(Sums):
    """Asks for more memory than there is."""

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        return x + torch.empty(2**50)[0]


@pytest.mark.parametrize(
    ("limit", "advice"),
    [
        (None, r"edges_per_pass of a network \(in a recipe of \[teacher\] or \[student\]\)"),
        (LIMIT, "a smaller edges_per_pass than 200 may help"),
    ],
)
def test_memory_that_runs_out_is_an_error_with_advice(limit: int | None, advice: str) -> None:
    with pytest.raises(ParameterError, match=f"no memory for a pass over 6000 edges; {advice}"):
        answer(Network(Vast).eval(), limit)


def test_another_error_of_a_network_is_its_own() -> None:
    class Wrong(Sums):
        def forward(self, x: Tensor, edge_index: Tensor, *rest: Tensor) -> Tensor:
            raise RuntimeError("sizes differ")

    with pytest.raises(RuntimeError, match="sizes differ"):
        answer(Network(Wrong).eval(), LIMIT)


def test_a_distiller_has_the_teachers_taps_of_the_whole_graph() -> None:
    def report(limit: int | None, cache: gkd.cache.TeacherCache | None) -> gkd.StepReport:
        teacher, student = Network(Sums, Sums), Network(Sums)
        teacher.edges_per_pass = student.edges_per_pass = limit
        terms = [gkd.Term("kd"), gkd.Term("lsp", student="layers.0", teacher="layers.1")]
        distiller = gkd.Distiller(
            teacher, student, terms, task="single-label", inputs=INPUTS, teacher_cache=cache
        )
        found = distiller(whole)
        found.total.backward()  # of the student, whose edges are not divided
        assert max(teacher.widest) < EDGES if limit else max(teacher.widest) == EDGES
        assert max(student.widest) == EDGES
        return found

    tensors = {name: z for name, z in vars(batch()).items() if isinstance(z, Tensor)}
    whole = gkd.collate([gkd.Sample(id="graph", **tensors)])
    expected = report(None, None)
    for cache in (None, gkd.cache.TeacherCache()):
        found = report(EDGES // 2, cache)
        assert torch.allclose(found.total, expected.total, atol=1e-6)
        for name, value in expected.terms.items():
            assert torch.allclose(found.terms[name], value, atol=1e-6), name


GEOMETRIC = ("GCN", "GraphSAGE", "GIN", "GAT", "PNA")


@pytest.mark.parametrize("name", GEOMETRIC)
def test_models_of_geometric_say_the_same(name: str) -> None:
    geometric = pytest.importorskip("torch_geometric.nn")
    torch.manual_seed(0)
    more = {"aggregators": ["mean"], "scalers": ["identity"], "deg": torch.ones(9).long()}
    network = getattr(geometric, name)(WIDTH, 16, 3, 3, **(more if name == "PNA" else {})).eval()
    whole = batch()
    expected = answer(network, None, whole)
    assert torch.allclose(answer(network, EDGES // 2, whole), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["gat", "gcn", "gin", "sage"])
def test_shipped_models_say_the_same_at_every_layer(name: str) -> None:
    network = gkd.create("model", name, in_channels=WIDTH, out_channels=3).eval()
    whole = batch()
    seen: list[Tensor] = []
    network.layers[0].register_forward_hook(lambda layer, inputs, output: seen.append(output))
    expected = answer(network, None, whole)
    assert torch.allclose(answer(network, EDGES // 2, whole), expected, atol=1e-5)
    assert torch.allclose(seen[-1], seen[0], atol=1e-5)
    assert len(seen[-1]) == NODES
