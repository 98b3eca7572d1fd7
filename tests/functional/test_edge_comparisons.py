"""What compiled loops over edges compute, against gathered rows in float64."""

import pytest
import torch

from gkd.functional import compiled_loops, edge_loops
from gkd.functional.edge_loops import compare, rounding, slopes
from gkd.functional.threads import Share


def of_ends(by: str, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """What a comparison is, from rows that were gathered."""
    if by == "dot":
        return (a * b).sum(1)
    return (a - b).abs().sum(1) if by == "l1" else (a - b).square().sum(1)


# Less than a vector of either dtype, one and more than one part of a row, whole and not.
WIDTHS = [0, 1, 7, 8, 16, 33, 64, 65, 136, 300]


def rows_and_columns(num_rows: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A row pointer, the row of each entry, columns: rows without entries and one with many."""
    generator = torch.Generator().manual_seed(num_rows)
    sizes = torch.randint(0, 4, (num_rows,), generator=generator)
    sizes[num_rows // 2] = 50
    pointer = torch.nn.functional.pad(sizes.cumsum(0), (1, 0))
    row = torch.arange(num_rows).repeat_interleave(sizes)
    return pointer, row, torch.randint(num_rows, (len(row),), generator=generator)


@pytest.fixture
def compiled() -> None:
    """A machine with a compiler."""
    if compiled_loops._library("edge_loops") is None:
        pytest.skip("there is no compiler of C here")


@pytest.fixture(params=["parts", "whole"])
def columns_together(request, monkeypatch, compiled) -> None:
    """Rows whose parts lie together with those of other rows, and rows as they are."""
    monkeypatch.setattr(edge_loops, "_LONG", 0 if request.param == "parts" else 2**20)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("by", ["l1", "l2", "dot"])
def test_comparisons_are_right_to_their_rounding(
    by, width, threads, dtype, monkeypatch, columns_together
):
    parts = [Share(number, threads) for number in range(threads)]
    monkeypatch.setattr(edge_loops, "shares", lambda *given: parts)
    pointer, row, columns = rows_and_columns(20)
    generator = torch.Generator().manual_seed(width)
    a, b = (torch.randn(20, width, generator=generator, dtype=dtype) + 3 for _ in range(2))
    for other in (a, b):
        result = compare(by, a, other, pointer, columns)
        ends = a[row].double(), other[columns].double()
        magnitudes = of_ends(by, *(end.abs() if by == "dot" else end for end in ends))
        off = (result - of_ends(by, *ends)).abs()
        assert result.dtype == dtype
        assert (off <= rounding(a) * magnitudes).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("by", ["l1", "l2"])
def test_slopes_are_those_of_autograd(by, width, threads, dtype, monkeypatch, compiled):
    parts = [Share(number, threads) for number in range(threads)]
    monkeypatch.setattr(edge_loops, "shares", lambda *given: parts)
    pointer, row, columns = rows_and_columns(20)
    generator = torch.Generator().manual_seed(width)
    x = torch.randn(20, width, generator=generator, dtype=dtype)
    values = torch.randn(len(row), generator=generator, dtype=dtype)
    matrices = [(pointer, columns, values), (pointer, columns.flip(0), values)]
    leaf = x.double().clone().requires_grad_()
    total = sum((of_ends(by, leaf[row], x[c].double()) * v).sum() for _, c, v in matrices)
    (expected,) = torch.autograd.grad(total, leaf)
    tolerance = 200 * torch.finfo(dtype).eps
    result = slopes(by, x, matrices)
    torch.testing.assert_close(result.double(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("by", ["l1", "l2", "dot"])
def test_a_pair_has_the_same_bits_whatever_else_there_is(by, monkeypatch, columns_together):
    pointer, row, columns = rows_and_columns(20)
    x = torch.randn(20, 200, generator=torch.Generator().manual_seed(0))
    result = compare(by, x, x, pointer, columns)
    alone = torch.tensor([0, 1])
    for edge, value in enumerate(result):
        # As the only entry of its row, and with its ends exchanged.
        ends = x[row[edge], None], x[columns[edge], None]
        for a, b in (ends, ends[::-1]):
            assert torch.equal(compare(by, a, b, alone, alone[:1])[0], value)


@pytest.mark.parametrize("by", ["l1", "l2"])
def test_equal_rows_are_no_distance_apart_and_others_never_less(by, columns_together):
    x = torch.randn(10, 77, generator=torch.Generator().manual_seed(0)) * 1e4
    x = torch.cat([x, x, x * (1 + 2**-22)])
    pointer, other = torch.arange(31), (torch.arange(30) + 10) % 30
    result = compare(by, x, x, pointer, other)
    assert (result[:10] == 0).all()
    assert (result[10:] > 0).all()
    assert (
        slopes(by, x[:20], [(pointer[:21], (pointer[:20] + 10) % 20, torch.ones(20))]) == 0
    ).all()


def test_rows_may_begin_anywhere_in_memory(columns_together):
    memory = torch.randn(1 + 20 * 64, generator=torch.Generator().manual_seed(0))
    pointer, _, columns = rows_and_columns(20)
    odd, even = memory[1:].view(20, 64), memory[1:].clone().view(20, 64)
    assert torch.equal(*(compare("l2", x, x, pointer, columns) for x in (odd, even)))
    wide = torch.zeros(20, 128)
    wide[:, ::2] = even
    strided = wide[:, ::2]
    assert torch.equal(*(compare("l2", x, x, pointer, columns) for x in (strided, even)))
    values = torch.ones(len(columns))
    assert torch.equal(*(slopes("l2", x, [(pointer, columns, values)]) for x in (strided, even)))
