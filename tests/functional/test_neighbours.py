"""Neighbours: tiles, threads, radii, what cannot be compared."""

import pytest
import torch
from neighbour_reference import SIZES, assert_nearest, batch_vector, points, squared_distances

from gkd import DataError, Graph, ParameterError
from gkd.functional import distance_tiles as tiles
from gkd.functional.neighbours import nearest_neighbours, radius_edges
from gkd.functional.threads import Share


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> int:
    """Tiles of few elements: several for one cloud, several clouds in one."""
    limit = 2500
    monkeypatch.setattr(tiles, "_CPU_ELEMENTS", limit)
    return limit


def test_neighbours_are_in_order_and_absent_ones_come_last() -> None:
    found = nearest_neighbours(points(), SIZES, k=8)
    assert found.shape == (179, 8)
    present = found >= 0
    assert torch.equal(present.sum(dim=1), torch.tensor(SIZES).clamp_max(8)[batch_vector(SIZES)])
    assert not (present[:, 1:] & ~present[:, :-1]).any()
    rising = found[:, 1:] > found[:, :-1]
    assert rising[present[:, 1:]].all()


@pytest.mark.parametrize("total", [1, 3])
def test_small_tiles_cover_everything_and_stay_small(small_tiles: int, total: int) -> None:
    x = points()
    expected = nearest_neighbours(x, SIZES, k=6)
    clouds = [tiles.Cloud(0, 70), tiles.Cloud(70, 33), tiles.Cloud(108, 70), tiles.Cloud(103, 5)]
    seen = torch.zeros(len(x), dtype=torch.int64)
    for share in (Share(number, total) for number in range(total)):
        for tile in tiles.distance_tiles(x, clouds, share):
            assert tile.squares.numel() <= small_tiles
            for cloud, norms in zip(tile.clouds, tile.norms, strict=True):
                first = cloud.start + tile.first
                seen[first : min(first + len(norms), cloud.start + cloud.size)] += 1
    assert seen.tolist() == [1] * 178 + [0]
    assert_nearest(Graph.from_neighbours(expected), x, SIZES, 6, 1e-9)


@pytest.mark.parametrize("k", [1, 5, 33, 69])
def test_results_do_not_depend_on_tiles(monkeypatch: pytest.MonkeyPatch, k: int) -> None:
    x = points()
    whole, within = nearest_neighbours(x, SIZES, k), radius_edges(x, SIZES, 0.8)
    monkeypatch.setattr(tiles, "_CPU_ELEMENTS", 500)
    assert torch.equal(nearest_neighbours(x, SIZES, k), whole)
    assert Graph(radius_edges(x, SIZES, 0.8), len(x)) == Graph(within, len(x))


@pytest.mark.parametrize("threads", [1, 3])
def test_results_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    x = points(5)
    nearest, within = nearest_neighbours(x, SIZES, 7), radius_edges(x, SIZES, 1.5)
    monkeypatch.setattr(
        tiles, "shares", lambda *given: [Share(number, threads) for number in range(threads)]
    )
    assert len(tiles.portions(x, [tiles.Cloud(0, 9)])) == threads
    assert torch.equal(nearest_neighbours(x, SIZES, 7), nearest)
    assert Graph(radius_edges(x, SIZES, 1.5), len(x)) == Graph(within, len(x))
    with torch.inference_mode():
        assert torch.equal(nearest_neighbours(points(5), SIZES, 7), nearest)


def test_a_point_is_its_own_neighbour_among_many_equal_ones() -> None:
    found = nearest_neighbours(torch.ones(50, 3), [50], k=4)
    assert (found == torch.arange(50)[:, None]).any(dim=1).all()


def test_features_without_channels_are_all_equal() -> None:
    assert nearest_neighbours(torch.ones(5, 0), [5], k=2).shape == (5, 2)
    assert radius_edges(torch.ones(5, 0), [5], 1.0).shape == (2, 25)


def test_gradients_do_not_flow_and_inference_is_fine() -> None:
    x = points().requires_grad_()
    assert not nearest_neighbours(x, SIZES, 3).requires_grad
    with torch.inference_mode():
        graph = Graph.from_neighbours(nearest_neighbours(points(), SIZES, 3))
    assert not graph.edge_index.is_inference()


def test_a_radius_is_inclusive_in_the_precision_of_the_features() -> None:
    x = torch.tensor([[0.0], [0.1], [0.30000001]])
    edges = radius_edges(x, [3], 0.1)
    assert edges.tolist() == [[0, 1, 0, 1, 2], [0, 0, 1, 1, 2]]


@pytest.mark.parametrize("side", [-torch.inf, torch.inf])
def test_a_radius_next_to_the_distance_of_two_points_divides_exactly(side: float) -> None:
    x = points(3, [40]) + 20
    squares = squared_distances(x)
    for distance in squares[0, 1:].sqrt().float():
        radius = torch.nextafter(distance, torch.tensor(side)).item()
        expected = (squares <= radius * radius).nonzero().flip(1).t()
        assert Graph(radius_edges(x, [40], radius), 40) == Graph(expected, 40)


@pytest.mark.parametrize("radius", [1e30, 1e300])
def test_a_huge_radius_takes_the_whole_cloud_and_no_other(radius: float) -> None:
    sizes = [3, 0, 2]
    edges = radius_edges(points(2, sizes), sizes, radius)
    assert Graph(edges, 5) == Graph(
        torch.tensor(
            [
                [0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 4, 3, 4],
                [0] * 3 + [1] * 3 + [2] * 3 + [3] * 2 + [4] * 2,
            ]
        ),
        5,
    )


@pytest.mark.parametrize("scale", [1e-40, 1e-20, 1e15, 1e25, 1e37])
def test_tiny_and_huge_features_are_compared(scale: float) -> None:
    x = points(3, [40]) * scale
    assert_nearest(Graph.from_neighbours(nearest_neighbours(x, [40], 5)), x, [40], 5, 1e-6)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize(
    "search", [lambda x: nearest_neighbours(x, SIZES, 3), lambda x: radius_edges(x, SIZES, 1.0)]
)
def test_what_is_not_finite_is_blamed_on_its_sample(search, value: float) -> None:
    x = points()
    x[72, 1], x[75, 0] = value, value
    with pytest.raises(DataError, match=rf"^sample 2: .* 2 of its 33 .* 2 has .* {value}$"):
        search(x)
    x[3, 2] = value
    with pytest.raises(DataError, match=r"^sample 0: .*; sample 2: "):
        search(x)


def test_features_whose_squares_overflow_are_blamed_on_their_sample() -> None:
    x = points().double()
    x[-1] = 1e200
    with pytest.raises(DataError, match=r"^sample 5: .* 1 of its 1 points, .* feature 1e\+200$"):
        nearest_neighbours(x, SIZES, 3)


@pytest.mark.parametrize(
    ("neighbours", "message"),
    [
        (torch.tensor([[0]]).int(), "int64 tensor of shape \\[N, K\\], got torch.int32"),
        ([[0]], "got list"),
        (torch.tensor([0]), "shape \\[N, K\\], got \\[1\\]"),
        (torch.tensor([[0, 1], [1, 2]]), "neighbours\\[1, 1\\] is 2, but the nodes are 0 to 1"),
        (torch.tensor([[0, -2]]), "neighbours\\[0, 1\\] is -2"),
    ],
)
def test_wrong_neighbours_are_explained(neighbours, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Graph.from_neighbours(neighbours)


def test_union_of_graphs_with_nodes_beyond_int32() -> None:
    far = 2**31 + 5
    first = Graph(torch.tensor([[far - 1, 0], [0, far - 1]]), far)
    second = Graph(torch.tensor([[1, 0], [0, far - 1]]), far)
    assert first.union(second).edge_index.tolist() == [[1, far - 1, 0], [0, 0, far - 1]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_features_stay_as_they_are(dtype: torch.dtype) -> None:
    x = points(7, [30] * 4).to(dtype)[:, :2].round()  # equal distances are looked at once more
    before = x.clone()
    nearest_neighbours(x, [30] * 4, 5)
    radius_edges(x, [30] * 4, 1.0)
    assert torch.equal(x, before)
