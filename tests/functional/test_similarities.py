"""Edge pairs: statistics, raw comparisons and their failure paths; divergences."""

import pytest
import torch

from gkd import Graph, ParameterError
from gkd.functional.divergences import kl_divergence
from gkd.functional.similarities import EdgePairs

GRAPH = Graph(torch.tensor([[1, 2, 0, 3, 3], [0, 0, 1, 2, 3]]), 4)
FEATURES = torch.tensor([[0.0, 0.0], [3.0, 4.0], [1.0, 0.0], [-2.0, 2.0]])


def test_statistics_of_the_pairs():
    pairs = EdgePairs(FEATURES, GRAPH)
    assert pairs.dot().tolist() == [0, 0, 0, -2, 8]
    assert pairs.squared_distance().tolist() == [25, 1, 25, 13, 0]
    assert pairs.cosine().tolist() == pytest.approx([0, 0, 0, -(0.5**0.5), 1])
    assert pairs.largest_squared_norm() == 25


@pytest.mark.parametrize("tolerance", [1e-9, 0.0])
def test_small_tolerances_are_met_in_float64(tolerance):
    pairs = EdgePairs(FEATURES, GRAPH)
    assert pairs.dot(tolerance).dtype == torch.float64
    assert pairs.squared_distance(tolerance).dtype == torch.float64
    assert pairs.dot().dtype == pairs.squared_distance().dtype == torch.float32


def test_centring_avoids_float64_where_it_suffices():
    pairs = EdgePairs(FEATURES + 1e3, GRAPH)
    assert pairs.squared_distance().dtype == torch.float32
    assert pairs.squared_distance().tolist() == pytest.approx([25, 1, 25, 13, 0], rel=1e-5)


@pytest.mark.parametrize("elements", [1, 4, 10**6])
def test_compared_sees_the_raw_pairs_in_blocks(elements, monkeypatch):
    monkeypatch.setattr("gkd.functional.similarities._GATHERED_ELEMENTS", elements)
    sizes = []

    def first_difference(targets, sources):
        sizes.append(targets.numel())
        return targets[:, 0] - sources[:, 0]

    features = FEATURES.double().requires_grad_()
    result = EdgePairs(features, GRAPH).compared(first_difference)
    assert result.tolist() == [-3, -1, 3, 3, 0]
    assert max(sizes) <= max(elements, 2)
    (gradient,) = torch.autograd.grad(result @ torch.arange(5.0).double(), features)
    assert gradient[:, 0].tolist() == [-1, 2, 2, -3]


def test_zero_vectors_keep_cosines_and_their_gradients_finite():
    features = FEATURES.clone().requires_grad_()
    EdgePairs(features, GRAPH).cosine().sum().backward()
    assert features.grad.isfinite().all()


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (FEATURES.int(), "torch.int32"),
        (FEATURES[0], "shape \\[2\\]"),
        (FEATURES[:3], "got 3 rows for Graph\\(num_nodes=4, num_edges=5\\)"),
    ],
)
def test_unfit_features_are_explained(features, message):
    with pytest.raises(ParameterError, match=message):
        EdgePairs(features, GRAPH)


def test_divergence_by_hand():
    p, q = torch.tensor([0.75, 0.25, 1.0]), torch.tensor([0.5, 0.5, 1.0])
    result = kl_divergence(p.log(), q.log(), torch.tensor([0, 2, 2, 3]))
    assert result.tolist() == pytest.approx([0.13081203594113694, 0.0, 0.0], rel=1e-6)


def test_divergence_between_structures_that_are_worlds_apart():
    log_p, log_q = torch.tensor([0.0, -200.0]), torch.tensor([-200.0, 0.0])
    pointer = torch.tensor([0, 2])
    assert kl_divergence(log_p, log_q, pointer).item() == pytest.approx(200)


def test_nearly_equal_structures_keep_a_small_divergence_exact():
    p = torch.tensor([0.5, 0.5], dtype=torch.float64)
    q = p + torch.tensor([1e-4, -1e-4], dtype=torch.float64)
    exact = (p * (p.log() - q.log())).sum()
    log_p, log_q = p.log().float(), q.log().float()
    result = kl_divergence(log_p, log_q, torch.tensor([0, 2]))
    assert result.item() == pytest.approx(exact.item(), rel=2e-3)
    # The same beside a node whose structures differ much.
    log_p = torch.cat([log_p, torch.tensor([0.01, 0.99]).log()])
    log_q = torch.cat([log_q, torch.tensor([0.99, 0.01]).log()])
    beside = kl_divergence(log_p, log_q, torch.tensor([0, 2, 4]))
    assert beside[0] == result[0]


def test_divergence_gradients():
    logits = torch.randn(2, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pointer = torch.tensor([0, 4, 4, 7])
    arguments = tuple((3 * logits).requires_grad_().unbind())
    assert torch.autograd.gradcheck(lambda p, q: kl_divergence(p, q, pointer), arguments)
