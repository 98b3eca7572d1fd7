"""Neighbours: tiles, rounding, ties, what cannot be compared."""

import os
import subprocess
import sys
from threading import Thread

import pytest
import torch
from neighbour_reference import assert_nearest, batch_vector, squared_distances

from gkd import DataError, Graph, ParameterError
from gkd.functional import distance_tiles as tiles
from gkd.functional import exact_selection, selection
from gkd.functional.neighbours import nearest_neighbours, radius_edges
from gkd.functional.selection import nearest
from gkd.functional.threads import Share, in_threads, shares

SIZES = [70, 0, 33, 5, 70, 1]


def points(width: int = 3, sizes: list[int] = SIZES, seed: int = 0) -> torch.Tensor:
    return torch.randn(sum(sizes), width, generator=torch.Generator().manual_seed(seed))


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
        tiles, "shares", lambda work, least: [Share(number, threads) for number in range(threads)]
    )
    assert len(tiles.portions(x, [tiles.Cloud(0, 9)])) == threads
    assert torch.equal(nearest_neighbours(x, SIZES, 7), nearest)
    assert Graph(radius_edges(x, SIZES, 1.5), len(x)) == Graph(within, len(x))
    with torch.inference_mode():
        assert torch.equal(nearest_neighbours(points(5), SIZES, 7), nearest)


def test_shares_are_disjoint_and_complete() -> None:
    for total in (1, 3, 7):
        parts = [range(20)[Share(number, total).of(20)] for number in range(total)]
        assert [item for part in parts for item in part] == list(range(20))
    assert len(shares(0, least=5)) == 1


def test_threads_keep_the_order_and_pass_errors_on() -> None:
    parts = [Share(number, 3) for number in range(3)]
    assert in_threads(lambda share: 10 + share.number, parts) == [10, 11, 12]
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda share: 1 // (share.number - 1), parts)


def test_each_thread_has_one_core_and_all_others_what_they_had() -> None:
    before, seen = torch.get_num_threads(), []
    parts = [Share(number, 4) for number in range(4)]
    assert in_threads(lambda share: torch.get_num_threads(), parts) == [1] * 4
    later = Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert [*seen, torch.get_num_threads()] == [before] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork on this system")
def test_threads_work_in_a_forked_process() -> None:
    program = """
import os, warnings
from gkd.functional.threads import Share, in_threads
warnings.simplefilter("ignore")
work = lambda: in_threads(lambda share: share.number, [Share(0, 2), Share(1, 2)])
assert work() == [0, 1]
child = os.fork()
if not child:
    os._exit(7 if work() == [0, 1] else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.strip() == "7", done.stderr


def test_both_selections_choose_alike() -> None:
    x = points(4, [90])
    for tile in tiles.distance_tiles(x, [tiles.Cloud(0, 90)], Share(0, 1)):
        bounds = nearest(tile, 9)
        values, columns = tile.squares.topk(9, dim=2, largest=False)
        assert bounds.certain.all()
        assert torch.equal(bounds.columns, columns.sort(dim=2).values)
        assert (values[..., 0] == -torch.inf).all()


def test_the_selection_of_accelerators_chooses_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.cat([points(4), points(4)[:20].round()])
    sizes = [*SIZES, 20]
    monkeypatch.setattr(exact_selection, "nearest", selection._by_topk)
    assert_nearest(Graph.from_neighbours(nearest_neighbours(x, sizes, 6)), x, sizes, 6, 1e-9)


def test_rounding_is_not_decisive_far_from_the_others() -> None:
    # Two tight groups far apart: in float32 the distances within a group are all rounding.
    x = points(8, [60]) * 1e-5 + torch.tensor([1.0, -1.0]).repeat_interleave(30)[:, None]
    expected = squared_distances(x).topk(5, largest=False).indices.sort(dim=1).values
    assert torch.equal(nearest_neighbours(x, [60], 5), expected)
    naive = torch.cdist(x, x, compute_mode="use_mm_for_euclid_dist")
    assert not torch.equal(naive.topk(5, largest=False).indices.sort(dim=1).values, expected)


@pytest.mark.parametrize("select", ["_by_bounds", "_by_topk"])
def test_few_doubtful_points_choose_among_their_candidates(
    select: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sure = []

    def counted(tile: tiles.Tile, k: int) -> selection.Selection:
        sure.append(getattr(selection, select)(tile, k).certain.all())
        return getattr(selection, select)(tile, k)

    monkeypatch.setattr(exact_selection, "nearest", counted)
    monkeypatch.delattr(exact_selection, "_choose_among_all")
    x, sizes = points(3, [90, 40, 70]), [90, 40, 70]
    step = torch.finfo(torch.float32).eps
    for first, end in ((0, 90), (130, 200)):
        # Three points around one, at distances that differ in the last place; the others far off.
        x[first:end] *= 4 / x[first:end].norm(dim=1, keepdim=True)
        x[first] = 0
        x[first + 1 : first + 4] = torch.eye(3) * (1 + step * torch.tensor([2.0, 0.0, 1.0]))
    assert_nearest(Graph.from_neighbours(nearest_neighbours(x, sizes, 3)), x, sizes, 3, 1e-12)
    assert not all(sure)


def test_where_many_points_coincide_all_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, choose = [], exact_selection._choose_among_all
    monkeypatch.setattr(
        exact_selection, "_choose_among_all", lambda *given: calls.append(choose(*given))
    )
    x = points(3, [60])
    x[10:50] = x[10]
    assert_nearest(Graph.from_neighbours(nearest_neighbours(x, [60], 4)), x, [60], 4, 1e-12)
    assert calls


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_matrix_products_in_reduced_precision_do_not_matter(precision: str) -> None:
    x, before = points(64, [200]), torch.get_float32_matmul_precision()
    expected = squared_distances(x).topk(7, largest=False).indices.sort(dim=1).values
    torch.set_float32_matmul_precision(precision)
    try:
        assert torch.equal(nearest_neighbours(x, [200], 7), expected)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(nearest_neighbours(x, [200], 7), expected)
    finally:
        torch.set_float32_matmul_precision(before)


def test_imprecise_products_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    # As TF32 would round them, on a device that has it.
    product = torch.baddbmm

    def rounded(add, a, b, *, alpha, out):  # type: ignore[no-untyped-def]
        return out.copy_(product(add, a.bfloat16().float(), b.bfloat16().float(), alpha=alpha))

    x = points(16, [150])
    expected = nearest_neighbours(x, [150], 7)
    monkeypatch.setattr(
        torch,
        "baddbmm",
        lambda *given, out=None, **named: (
            product(*given, **named) if out is None else rounded(*given, **named, out=out)
        ),
    )
    assert torch.equal(nearest_neighbours(x, [150], 7), expected)


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
