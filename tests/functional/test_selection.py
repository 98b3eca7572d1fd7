"""Neighbours where rounding could decide who they are."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from neighbour_reference import SIZES, assert_nearest, points, squared_distances

from gkd import Graph
from gkd.functional import distance_tiles as tiles
from gkd.functional import selection
from gkd.functional.compiled_loops import SWITCH
from gkd.functional.neighbours import nearest_neighbours
from gkd.functional.threads import Share


def by_loops(tile: tiles.Tile, k: int) -> selection.Selection:
    """Choose in compiled loops."""
    found = selection._by_loops(tile, k, groups=16)
    if found is None:
        pytest.skip("there is no compiler of C here")
    return found


SELECTIONS = {
    "compiled loops": by_loops,
    "bounds": partial(selection._by_bounds, groups=16),
    "partition": selection._by_partition,
    "accelerators": selection._by_topk,
}


@pytest.mark.parametrize("select", SELECTIONS.values(), ids=SELECTIONS)
def test_all_selections_choose_alike(
    select: Callable[[tiles.Tile, int], selection.Selection],
) -> None:
    x = points(4, [90])
    for tile in tiles.distance_tiles(x, [tiles.Cloud(0, 90)], Share(0, 1)):
        found = select(tile, 9)
        values, columns = tile.squares.topk(9, dim=2, largest=False)
        assert found.certain.all()
        assert torch.equal(found.columns, columns.sort(dim=2).values)
        assert (found.limit >= values[..., -1]).all()
        assert (values[..., 0] == -torch.inf).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("size", "k", "groups"), [(128, 1, 16), (131, 5, 16), (301, 16, 32)])
def test_compiled_loops_choose_the_very_same(
    size: int, k: int, groups: int, dtype: torch.dtype
) -> None:
    sizes = [size - 3, size, size]
    x = points(3, sizes).to(dtype)
    x[20:40] = x[20]
    clouds = [tiles.Cloud(sum(sizes[:number]), each) for number, each in enumerate(sizes)]
    uncertain = 0
    for tile in tiles.distance_tiles(x, clouds, Share(0, 1)):
        found = selection._by_loops(tile, k, groups)
        if found is None:
            pytest.skip("there is no compiler of C here")
        expected = selection._by_bounds(tile, k, groups)
        # Numbers are only moved, and the same two are added.
        assert torch.equal(found.certain, expected.certain)
        assert torch.equal(found.limit, expected.limit)
        assert torch.equal(found.columns[found.certain], expected.columns[found.certain])
        uncertain += int((~found.certain).sum())
    assert (uncertain >= 20) == (k > 1)  # the points that coincide


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
    monkeypatch.setattr(selection, "nearest", selection._by_topk)
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
    select: Callable[[tiles.Tile, int], selection.Selection], monkeypatch: pytest.MonkeyPatch
) -> None:
    sure = []

    def counted(tile: tiles.Tile, k: int) -> selection.Selection:
        found = select(tile, k)
        sure.append(found.certain.all())
        return found

    monkeypatch.setattr(selection, "nearest", counted)
    monkeypatch.delattr(selection, "_choose_among_all")
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
