"""Edge pairs: statistics, raw comparisons and their failure paths."""

import pytest
import torch

from gkd import Graph, ParameterError
from gkd.functional import compiled_loops
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


@pytest.mark.parametrize("compiled", [True, False])
def test_a_share_of_the_distance_needs_no_float64_where_loops_are_compiled(compiled, monkeypatch):
    monkeypatch.setenv(compiled_loops.SWITCH, "1" if compiled else "0")
    if compiled and compiled_loops._library("edge_loops") is None:
        pytest.skip("there is no compiler of C here")
    # Neighbours are near one another, all of them far from their mean.
    generator = torch.Generator().manual_seed(0)
    near = torch.randn(40, 30, generator=generator) * torch.logspace(-4, 3, 40)[:, None]
    features = torch.cat([near + 1e4, near - 1e4])
    graph = Graph(torch.stack([torch.arange(1, 80), torch.arange(79)]), 80)
    ends = features.double()[graph.edge_index]
    exact = (ends[0] - ends[1]).square().sum(1)
    squares = EdgePairs(features, graph).squared_distance(1e-5, relative=1e-5)
    assert squares.dtype == (torch.float32 if compiled else torch.float64)
    assert ((squares - exact).abs() <= 1e-5 + 1e-5 * exact).all()


@pytest.mark.parametrize("scale", [1e-19, 1.0, 1e25])
def test_squares_outside_the_range_of_float32_are_found_in_float64(scale):
    pairs = EdgePairs(FEATURES * scale, GRAPH)
    squares = pairs.squared_distance(tolerance=1e-6 * scale**2, relative=1e-5)
    exact = torch.tensor([25.0, 1, 25, 13, 0], dtype=torch.float64) * scale**2
    torch.testing.assert_close(squares.double(), exact, rtol=1e-5, atol=0)


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


@pytest.mark.parametrize("statistic", ["dot", "squared_distance", "cosine", "l1_distance"])
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_autocast_changes_nothing(statistic: str, half: torch.dtype) -> None:
    graph = Graph(torch.tensor([[1, 0, 2, 0], [0, 1, 2, 2]]), 3)
    features = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    expected = getattr(EdgePairs(features, graph), statistic)()
    with torch.autocast("cpu", half):
        values = getattr(EdgePairs(features, graph), statistic)()
    torch.testing.assert_close(values, expected, rtol=0, atol=0)
    values.sum().backward()
    assert features.grad is not None
    assert features.grad.dtype == torch.float32
