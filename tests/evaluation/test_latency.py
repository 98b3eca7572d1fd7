"""Times of requests: who is asked what, in which order; the clock is ours."""

from itertools import count
from weakref import ref

import pytest
import torch
from torch import Tensor, nn

import gkd
from gkd import Sample
from gkd.errors import ParameterError
from gkd.evaluation.latency import Latency, latencies

RING = torch.stack([torch.arange(40), torch.arange(1, 41) % 40])


@pytest.fixture(scope="module")
def graph() -> Sample:
    generator = torch.Generator().manual_seed(0)
    return Sample(id="ring", x=torch.randn(40, 3, generator=generator), edge_index=RING)


class Witness(nn.Module):
    """Remembers how many rows it was called with, and the edges."""

    def __init__(self, name: str = "", log: list[str] | None = None) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.name, self.log, self.rows, self.edges = name, log, [], []
        self.modes: set[tuple[bool, bool]] = set()

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        self.rows.append(len(x))
        self.edges.append(edge_index)
        self.modes.add((self.training, torch.is_inference_mode_enabled()))
        if self.log is not None:
            self.log.append(self.name)
        out: Tensor = self.linear(x)
        return out


class Perceptron(nn.Module):
    inputs = ("x",)

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.rows = nn.Linear(3, 2), []

    def forward(self, x: Tensor) -> Tensor:
        self.rows.append(len(x))
        out: Tensor = self.linear(x)
        return out


class Global(nn.Module):
    """Whose answers for any node follow from all nodes."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        out: Tensor = self.linear(x + x.sum(0))
        return out


class Whole(nn.Module):
    """Which answers for whole samples."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        out: Tensor = self.linear(x).sum(0, keepdim=True)
        return out


class Picky(Whole):
    """Which takes whole graphs alone."""

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        out: Tensor = self.linear(x.view(40, 3))
        return out


def times(networks, samples, **options):
    return latencies(networks, samples, ("x", "edge_index"), rounds=2, **options)


def test_networks_are_measured_in_turns_and_each_request_by_itself(graph):
    log: list[str] = []
    networks = {name: Witness(name, log) for name in "ab"}
    found = times(networks, [graph])
    assert list(found) == ["a", "b"]
    assert all(set(one) == {"first", "again", "1", "10"} for one in found.values())
    # Each round is the same four requests to both, in the other direction every time.
    rounds = [log[-16:-8], log[-8:]]
    assert rounds[0] == rounds[1][::-1]
    assert rounds[1].count("a") == rounds[1].count("b") == 4


def test_a_latency_is_that_of_its_quantiles(graph):
    ticks = count()
    found = times({"a": Perceptron()}, [graph], clock=lambda: float(next(ticks)))
    latency = found["a"]["again"]
    assert isinstance(latency, Latency)
    assert latency.p50 == latency.p99 == pytest.approx(1000)  # every look at the clock is a second
    assert latency.cpu >= 0


def test_after_some_seconds_no_further_round_begins(graph):
    network, ticks = Witness(), count()
    latencies(
        {"a": network}, [graph], ("x", "edge_index"), rounds=1000, seconds=0.0,
        clock=lambda: float(next(ticks)),
    )  # fmt: skip
    assert network.rows[-4:] != network.rows[:4]
    assert 16 <= len(network.rows) < 30


def test_a_first_request_is_of_a_graph_that_nobody_has_seen(graph):
    network = Witness()
    times({"a": network}, [graph])
    whole = [edges for edges in network.edges if edges.shape == RING.shape]
    seen = [id(edges) for edges in whole]
    assert any(seen.count(each) > 1 for each in seen)  # again
    assert len(set(seen)) >= 4  # the batch's own, and one of each round


def test_requests_for_nodes_fetch_as_many_hops_as_the_answers_need(graph):
    network = gkd.create("model", "gat", in_channels=3, out_channels=2,
                         hidden_channels=(4,), heads=(1, 1))  # fmt: skip
    rows = []
    network.layers[0].register_forward_hook(lambda _, given, out: rows.append(len(given[0])))
    assert set(times({"a": network}, [graph])["a"]) == {"first", "again", "1", "10"}
    assert 3 in rows  # on a ring: the node, and one more for each of two layers


def test_a_network_without_edges_fetches_rows_alone(graph):
    network = Perceptron()
    times({"a": network}, [graph])
    assert set(network.rows) == {1, 10, 40}


def test_a_request_for_ten_nodes_is_never_for_the_rest_of_them():
    # Of 25 nodes, 5 are left after two requests; without neighbours, what is fetched is counted.
    loops = torch.arange(25).repeat(2, 1)
    graph, network = Sample(id="loops", x=torch.randn(25, 3), edge_index=loops), Witness()
    latencies({"a": network}, [graph], ("x", "edge_index"), rounds=6)
    assert {1, 10, 25} <= set(network.rows)
    assert 5 not in network.rows


@pytest.mark.parametrize("network", [Global(), Whole(), Picky()])
def test_where_nodes_cannot_be_asked_for_alone_samples_are(graph, network):
    assert set(times({"a": network}, [graph])["a"]) == {"first", "again"}


def test_samples_without_edges_are_asked_for_whole():
    sample = Sample(id="cloud", x=torch.zeros(4, 3))
    found = latencies({"a": Perceptron()}, [sample], ("x",), rounds=1)
    assert set(found["a"]) == {"first", "again"}


@pytest.mark.parametrize("training", [True, False])
def test_it_evaluates_and_restores_the_mode(graph, training):
    network = Witness().train(training)
    times({"a": network}, [graph])
    assert network.modes == {(False, True)}
    assert network.training == training


def test_the_precision_is_that_of_the_run(graph):
    network, dtypes = Witness(), set()
    network.linear.register_forward_hook(lambda _, given, out: dtypes.add(out.dtype))
    times({"a": network}, [graph], precision=lambda: torch.autocast("cpu", torch.bfloat16))
    assert dtypes == {torch.bfloat16}


@pytest.mark.parametrize(("samples", "rounds"), [(0, 1), (1, 0)])
def test_without_samples_or_rounds_there_is_no_time(graph, samples, rounds):
    with pytest.raises(ParameterError, match="samples and at least one round"):
        latencies({"a": Witness()}, [graph] * samples, ("x", "edge_index"), rounds=rounds)


def test_graphs_of_requests_are_there_one_at_a_time(graph) -> None:
    given: list[ref[Tensor]] = []

    class Large(Perceptron):
        inputs = ("x", "edge_index")

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            others = {id(one()) for one in given} - {id(None), id(edge_index)}
            assert len(others) <= 1  # that of all requests for a graph that was seen
            if len(x) == graph.num_nodes:
                given.append(ref(edge_index))
            return super().forward(x)

    latencies({"one": Large(), "other": Large()}, [graph], Large.inputs, rounds=3)
    assert len(given) > 10
