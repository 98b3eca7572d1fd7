"""Neighbours where rounding could decide who they are."""

from collections.abc import Callable

import pytest
import torch
from neighbour_reference import SIZES, assert_nearest, points, squared_distances
from torch import Tensor

from gkd import Graph
from gkd.functional import distance_tiles as tiles
from gkd.functional import selection
from gkd.functional.compiled_loops import SWITCH
from gkd.functional.neighbours import nearest_neighbours
from gkd.functional.threads import Share


def by_loops(tile: tiles.Tile, k: int, features: Tensor) -> selection.Selection:
    """Choose in compiled loops."""
    found = selection._by_loops(tile, k, features)
    if found is None:
        pytest.skip("there is no compiler of C here")
    return found


Select = Callable[[tiles.Tile, int, Tensor], selection.Selection]
SELECTIONS: dict[str, Select] = {
    "compiled loops": by_loops,
    "bounds": lambda tile, k, _: selection._by_bounds(tile, k, groups=16),
    "partition": lambda tile, k, _: selection._by_partition(tile, k),
    "accelerators": lambda tile, k, _: selection._by_topk(tile, k),
}


def watched(select: Select, seen: list[Tensor]) -> Select:
    """Select, and keep which rows were certain."""

    def selected(tile: tiles.Tile, k: int, features: Tensor) -> selection.Selection:
        found = select(tile, k, features)
        seen.append(found.certain)
        return found

    return selected


@pytest.mark.parametrize("select", SELECTIONS.values(), ids=SELECTIONS)
def test_all_selections_choose_alike(select: Select) -> None:
    x = points(4, [90])
    for tile in tiles.distance_tiles(x, [tiles.Cloud(0, 90)], Share(0, 1)):
        found = select(tile, 9, x)
        values, columns = tile.squares.topk(9, dim=2, largest=False)
        assert found.certain.all()
        assert torch.equal(found.columns, columns.sort(dim=2).values)
        assert (found.limit >= values[..., -1]).all()
        assert (values[..., 0] == -torch.inf).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("size", "k"),
    [(16, 1), (90, 3), (128, 1), (131, 5), (301, 16), (700, 35), (600, 190)],
)
def test_compiled_loops_choose_as_others_do_and_settle_what_these_leave_open(
    size: int, k: int, dtype: torch.dtype
) -> None:
    sizes = [size - 3, size, size]
    x = points(3, sizes).to(dtype)
    alike = range(5, 5 + min(40, size // 2))
    x[alike.start : alike.stop] = x[alike.start]
    clouds = [tiles.Cloud(sum(sizes[:number]), each) for number, each in enumerate(sizes)]
    settled = 0
    for tile in tiles.distance_tiles(x, clouds, Share(0, 1)):
        found = by_loops(tile, k, x)
        expected = selection._by_partition(tile, k)
        assert found.certain.all()
        for number, cloud in enumerate(tile.clouds):
            rows = slice(0, min(tile.norms.shape[1], cloud.size - tile.first))
            columns, limit = found.columns[number, rows], found.limit[number, rows]
            certain = expected.certain[number, rows]
            settled += int((~certain).sum())
            # Products of sums are rounded otherwise than sums of products.
            torch.testing.assert_close(limit, expected.limit[number, rows])
            assert torch.equal(columns[certain], expected.columns[number, rows][certain])
            squares = squared_distances(x[cloud.start : cloud.start + cloud.size])
            squares = squares[tile.first :][: len(columns)]
            nearest = squares.topk(k, largest=False).values
            chosen = squares.gather(1, columns).sort(dim=1).values
            torch.testing.assert_close(chosen, nearest, rtol=1e-9, atol=1e-12)
            assert (columns.diff(dim=1) > 0).all()
    assert (settled > 0) == (k > 1)


@pytest.mark.parametrize(("size", "k"), [(40, 30), (15, 1), (600, 300)])
def test_compiled_loops_leave_short_rows_and_many_neighbours_to_others(size: int, k: int) -> None:
    x = points(3, [size])
    (tile,) = tiles.distance_tiles(x, [tiles.Cloud(0, size)], Share(0, 1))
    assert selection._by_loops(tile, k, x) is None
    assert_nearest(Graph.from_neighbours(nearest_neighbours(x, [size], k)), x, [size], k, 1e-9)


@pytest.mark.parametrize("number", [200, 300])
def test_compiled_loops_leave_open_what_has_too_many_candidates(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    certain: list[Tensor] = []
    monkeypatch.setattr(selection, "nearest", watched(by_loops, certain))
    x = points(3, [400])
    x[10 : 10 + number] = x[10]
    assert_nearest(Graph.from_neighbours(nearest_neighbours(x, [400], 4)), x, [400], 4, 1e-12)
    opened = sum(int((~each).sum()) for each in certain)
    assert opened >= number if number > 256 else not opened


@pytest.mark.parametrize("compiled", ["1", "0"])
@pytest.mark.parametrize(("size", "other"), [(120, "_by_bounds"), (300, "_by_partition")])
def test_long_rows_are_bounded_first(
    size: int, other: str, compiled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SWITCH, compiled)
    monkeypatch.delattr(selection, other)
    x = points(3, [size])
    assert_nearest(Graph.from_neighbours(nearest_neighbours(x, [size], 4)), x, [size], 4, 1e-9)


def test_the_selection_of_accelerators_chooses_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.cat([points(4), points(4)[:20].round()])
    sizes = [*SIZES, 20]
    monkeypatch.setattr(selection, "nearest", SELECTIONS["accelerators"])
    assert_nearest(Graph.from_neighbours(nearest_neighbours(x, sizes, 6)), x, sizes, 6, 1e-9)


def test_rounding_is_not_decisive_far_from_the_others() -> None:
    # Two tight groups far apart: in float32 the distances within a group are all rounding.
    x = points(8, [60]) * 1e-5 + torch.tensor([1.0, -1.0]).repeat_interleave(30)[:, None]
    expected = squared_distances(x).topk(5, largest=False).indices.sort(dim=1).values
    assert torch.equal(nearest_neighbours(x, [60], 5), expected)
    naive = torch.cdist(x, x, compute_mode="use_mm_for_euclid_dist")
    assert not torch.equal(naive.topk(5, largest=False).indices.sort(dim=1).values, expected)


@pytest.mark.parametrize("select", SELECTIONS.values(), ids=SELECTIONS)
def test_few_doubtful_points_choose_among_their_candidates(
    select: Select, monkeypatch: pytest.MonkeyPatch
) -> None:
    certain: list[Tensor] = []
    monkeypatch.setattr(selection, "nearest", watched(select, certain))
    monkeypatch.delattr(selection, "_choose_among_all")
    x, sizes = points(3, [90, 40, 70]), [90, 40, 70]
    step = torch.finfo(torch.float32).eps
    for first, end in ((0, 90), (130, 200)):
        # Three points around one, at distances that differ in the last place; the others far off.
        x[first:end] *= 4 / x[first:end].norm(dim=1, keepdim=True)
        x[first] = 0
        x[first + 1 : first + 4] = torch.eye(3) * (1 + step * torch.tensor([2.0, 0.0, 1.0]))
    assert_nearest(Graph.from_neighbours(nearest_neighbours(x, sizes, 3)), x, sizes, 3, 1e-12)
    assert all(each.all() for each in certain) == (select is by_loops)


def test_where_many_points_coincide_all_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "0")
    calls, choose = [], selection._choose_among_all
    monkeypatch.setattr(selection, "_choose_among_all", lambda *given: calls.append(choose(*given)))
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
