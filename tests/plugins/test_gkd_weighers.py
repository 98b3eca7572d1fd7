"""Weights of rows beside plain references."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import gkd
from gkd.errors import ParameterError
from gkd_weighers.confidence import Confidence
from gkd_weighers.degree import Degree
from gkd_weighers.entropy import Entropy
from gkd_weighers.homophily import Homophily

LOGITS = st.lists(st.lists(st.floats(-20, 20), min_size=3, max_size=3), min_size=1, max_size=6).map(
    lambda rows: torch.tensor(rows, dtype=torch.float64)
)


def softmax(row: list[float]) -> list[float]:
    peak = max(row)
    parts = [math.exp(value - peak) for value in row]
    return [part / sum(parts) for part in parts]


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def entropy(probabilities: list[float]) -> float:
    return -sum(p * math.log(p) for p in probabilities if p > 0) / math.log(len(probabilities))


def weights(weigher: gkd.AbstractWeigher, **view: object) -> list[float]:
    student = gkd.View(logits=torch.zeros(1, 1))
    return weigher(student, gkd.View(**view), None).tolist()


@given(logits=LOGITS, power=st.floats(0, 3), temperature=st.floats(0.5, 4))
def test_confidence(logits: torch.Tensor, power: float, temperature: float) -> None:
    rows = (logits / temperature).tolist()
    expected = [max(softmax(row)) ** power for row in rows]
    assert weights(Confidence(power, temperature), logits=logits) == pytest.approx(expected)
    expected = [
        (sum(max(sigmoid(v), sigmoid(-v)) for v in row) / len(row)) ** power for row in rows
    ]
    found = weights(Confidence(power, temperature, task="multi-label"), logits=logits)
    assert found == pytest.approx(expected)


@given(logits=LOGITS)
def test_entropy(logits: torch.Tensor) -> None:
    expected = [entropy(softmax(row)) for row in logits.tolist()]
    assert weights(Entropy(hard=True), logits=logits) == pytest.approx(expected, abs=1e-9)
    assert weights(Entropy(), logits=logits) == pytest.approx([1 - e for e in expected], abs=1e-9)
    labels = [
        sum(entropy([sigmoid(v), sigmoid(-v)]) for v in row) / len(row) for row in logits.tolist()
    ]
    found = weights(Entropy(hard=True, task="multi-label"), logits=logits)
    assert found == pytest.approx(labels, abs=1e-9)


GRAPH = gkd.Graph(torch.tensor([[1, 2, 3, 0, 0], [0, 0, 0, 1, 2]]), num_nodes=5)
DEGREES = [3, 1, 1, 0, 0]


@pytest.mark.parametrize("power", [-1.0, 0.0, 0.5, 2.0])
def test_degree(power: float) -> None:
    raised = [(1 + degree) ** power for degree in DEGREES]
    expected = [value / (sum(raised) / 5) for value in raised]
    assert weights(Degree(power), graph=GRAPH) == pytest.approx(expected)


def test_degrees_are_in_units_of_their_mean_over_the_seeds() -> None:
    view = gkd.View(logits=torch.zeros(5, 2), graph=GRAPH)
    for rows in ([0, 1], [3]):
        step = replace(gkd.Step.of(view), seeds=torch.tensor(rows))
        mean = sum(1 + DEGREES[row] for row in rows) / len(rows)
        expected = [(1 + degree) / mean for degree in DEGREES]
        assert Degree()(view, view, step).tolist() == pytest.approx(expected)
    assert Degree()(view, view, replace(step, seeds=torch.tensor([]).long())).isfinite().all()


def test_homophily() -> None:
    logits = torch.eye(3)[[0, 0, 1, 0, 2]]  # of node 0's neighbours 1, 2, 3, two are of its class
    assert weights(Homophily(), graph=GRAPH, logits=logits) == pytest.approx([2 / 3, 1, 0, 1, 1])
    found = weights(Homophily(low=True), graph=GRAPH, logits=logits)
    assert found == pytest.approx([1 / 3, 0, 1, 1, 1])


class Means(gkd.Task):
    """A task whose outputs are means of normal variables."""

    likelihood = "gaussian"
    metric = "error"

    def loss(self, outputs, y):
        return (outputs - y).square().mean()

    def check(self, outputs, y):
        pass

    def metrics(self, num_classes):
        raise NotImplementedError


@pytest.mark.parametrize("weigher", [Confidence, Entropy])
def test_outputs_without_probabilities(weigher: type) -> None:
    with pytest.raises(ParameterError, match="outputs of this task are gaussian"):
        weigher(task=Means())


@pytest.mark.parametrize("weigher", [Degree, Homophily])
def test_a_graph_is_needed(weigher: type) -> None:
    with pytest.raises(ParameterError, match="without a graph was given"):
        weights(weigher(), logits=torch.zeros(2, 2))


def test_homophily_needs_classes() -> None:
    with pytest.raises(ParameterError, match="logits of at least two classes for each of 5 nodes"):
        weights(Homophily(), graph=GRAPH, logits=torch.zeros(5, 1))


@pytest.mark.parametrize("parameters", [{"power": -1.0}, {"temperature": 0.0}])
def test_arguments_out_of_their_range(parameters: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match=next(iter(parameters))):
        Confidence(**parameters)
