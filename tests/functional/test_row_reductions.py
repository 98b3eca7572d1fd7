"""Reductions over sparse rows against plain loops, down to zeros, denormals and NaN."""

import math
import subprocess
import sys
from itertools import chain

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gkd.functional import row_reductions
from gkd.functional.row_reductions import row_maximum, row_maximum_with_column, row_sum

DTYPES = [torch.float32, torch.float64]


@st.composite
def rows_of_columns(draw) -> tuple[Tensor, Tensor, Tensor]:
    """Row pointer, columns and dense rows: few distinct values, so that many are equal."""
    number = st.one_of(
        st.integers(-2, 2).map(float),
        st.floats(width=32, allow_nan=False, allow_infinity=False),
    )
    width, num_dense = draw(st.integers(1, 20)), draw(st.integers(1, 6))
    dense = draw(st.lists(number, min_size=width * num_dense, max_size=width * num_dense))
    column = st.integers(0, num_dense - 1)
    rows = draw(st.lists(st.lists(column, min_size=1, max_size=8), min_size=1, max_size=6))
    pointer = torch.tensor([0, *(len(row) for row in rows)]).cumsum(0)
    return (
        pointer,
        torch.tensor([*chain.from_iterable(rows)]),
        torch.tensor(dense).view(num_dense, width),
    )


def by_row(pointer: Tensor, columns: Tensor, dense: Tensor) -> list[Tensor]:
    return [dense[row] for row in columns.tensor_split(pointer[1:-1])]


@pytest.mark.parametrize("dtype", DTYPES)
@given(rows_of_columns())
def test_the_maximum_is_exact_and_comes_with_a_column_that_has_it(dtype, problem):
    pointer, columns, dense = problem
    dense = dense.to(dtype)
    expected = torch.stack([row.amax(0) for row in by_row(pointer, columns, dense)])
    assert torch.equal(row_maximum(pointer, columns, dense), expected)
    values, column = row_maximum_with_column(pointer, columns, dense)
    assert torch.equal(values, expected)
    assert values.dtype == dtype
    assert torch.equal(dense.gather(0, column), expected)
    for chosen, row in zip(column, columns.tensor_split(pointer[1:-1]), strict=True):
        assert torch.isin(chosen, row).all()


@pytest.mark.parametrize("dtype", DTYPES)
@given(rows_of_columns())
def test_the_sum_is_that_of_the_rows(dtype, problem):
    pointer, columns, dense = problem
    dense = dense.clamp(-1e3, 1e3).to(dtype)
    expected = torch.stack([row.double().sum(0) for row in by_row(pointer, columns, dense)])
    result = row_sum(pointer, columns, dense)
    assert result.dtype == dtype
    torch.testing.assert_close(result.double(), expected, rtol=1e-5, atol=1e-3)


def test_many_rows_take_the_vectorised_and_threaded_kernels():
    torch.manual_seed(0)
    columns = torch.randint(0, 3000, (2000 * 7,))
    pointer = torch.arange(0, len(columns) + 1, 7)
    dense = torch.randn(3000, 37)
    gathered = dense[columns].view(2000, 7, 37)
    values, column = row_maximum_with_column(pointer, columns, dense)
    assert torch.equal(values, gathered.amax(1))
    assert torch.equal(row_maximum(pointer, columns, dense), gathered.amax(1))
    assert torch.equal(dense.gather(0, column), values)
    torch.testing.assert_close(row_sum(pointer, columns, dense), gathered.sum(1))


def test_empty_rows_and_no_rows():
    none = torch.zeros(0, dtype=torch.int64)
    dense = torch.full((2, 3), -5.0)
    for reduce in (row_sum, row_maximum):
        empty = reduce(torch.tensor([0, 0, 1]), torch.tensor([1]), dense)
        assert empty.tolist() == [[0.0] * 3, [-5.0] * 3]
        assert reduce(torch.tensor([0]), none, dense[:0]).shape == (0, 3)
    values, column = row_maximum_with_column(torch.tensor([0]), none, dense[:0])
    assert values.shape == column.shape == (0, 3)


def test_a_column_survives_the_flushing_of_denormals():
    dense = torch.tensor([[-1.0], [-2.0], [0.0], [-0.0]])
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush denormals")
    try:
        values, column = row_maximum_with_column(torch.tensor([0, 4]), torch.arange(4), dense)
    finally:
        torch.set_flush_denormal(False)
    assert values.item() == 0
    assert column.item() in (2, 3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_nan_reaches_the_maximum_and_its_column_exists(dtype, order):
    dense = torch.tensor([[math.nan] * 17, [1.0] * 17, [2.0] * 17], dtype=dtype)
    problem = torch.tensor([0, 2, 3]), torch.tensor([*order, 2]), dense
    values, column = row_maximum_with_column(*problem)
    for result in (values, row_maximum(*problem)):
        assert result[0].isnan().all()
        assert result[1].eq(2).all()
    assert ((column >= 0) & (column < 3)).all()


def test_more_rows_than_labels_take_the_general_way(monkeypatch):
    torch.manual_seed(0)
    columns, pointer = torch.randint(0, 50, (200,)), torch.arange(0, 201, 4)
    dense = torch.randn(50, 5)
    expected = row_maximum_with_column(pointer, columns, dense)
    monkeypatch.setattr(row_reductions, "_cpu_maximum", None)
    monkeypatch.setattr(row_reductions, "_COLUMN_MASK", 49)
    general = row_maximum_with_column(pointer, columns, dense)
    assert torch.equal(general[0], expected[0])
    assert torch.equal(general[1], expected[1])


def test_no_operator_warns_in_a_process_that_uses_no_other() -> None:
    # torch announces once per process that its sparse tensors are in beta.
    program = (
        "import torch\n"
        "from gkd.functional.row_reductions import row_maximum_with_column\n"
        "row_maximum_with_column(torch.tensor([0, 2]), torch.tensor([0, 1]), torch.ones(2, 3))\n"
    )
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
