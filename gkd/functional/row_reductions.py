"""Reductions over the stored columns of sparse rows, without autograd and without weights.

They gather ``dense[c]`` row by row, never as one ``[E, F]`` tensor.
"""

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from gkd.functional.sparse import csr_matrix

_MAX_MODE = 2  # how torch.embedding_bag, unlike its namesake in torch.nn.functional, spells "max"
_COLUMN_BITS = 28
_COLUMN_MASK = (1 << _COLUMN_BITS) - 1
_TINY = 2.0**-1000  # vanishes beside any float32 but 0, and has no mantissa bits


def row_sum(row_pointer: Tensor, columns: Tensor, dense: Tensor) -> Tensor:
    """Sum of ``dense[c]`` over the columns of each row, ``[N, F]``; 0 for an empty row.

    Args:
        row_pointer: int64 ``[N+1]``, row i is ``columns[row_pointer[i]:row_pointer[i+1]]``.
        columns: int64 ``[E]``.
        dense: ``[M, F]``.

    >>> row_sum(torch.tensor([0, 2, 2]), torch.tensor([0, 2]), torch.tensor([[1.0], [2.0], [4.0]]))
    tensor([[5.],
            [0.]])
    """
    # On CPU this runs fbgemm's vectorised kernel, several times as fast as a product with ones.
    return embedding_bag(columns, dense, row_pointer, mode="sum", include_last_offset=True)


def row_maximum(row_pointer: Tensor, columns: Tensor, dense: Tensor) -> Tensor:
    """Maximum of ``dense[c]`` over the columns of each row, ``[N, F]``; 0 for an empty row.

    Arguments are those of :func:`row_sum`.

    >>> dense = torch.tensor([[1.0], [2.0], [4.0]])
    >>> row_maximum(torch.tensor([0, 2, 3]), torch.tensor([0, 2, 1]), dense)
    tensor([[4.],
            [2.]])
    """
    if dense.device.type == "cpu":
        return _cpu_maximum(row_pointer, columns, dense)
    return _bag_maximum(row_pointer, columns, dense)[0]


def row_maximum_with_column(
    row_pointer: Tensor, columns: Tensor, dense: Tensor
) -> tuple[Tensor, Tensor]:
    """:func:`row_maximum` and a column that attains it, int64 ``[N, F]``.

    Of several such columns it is always the same one, but which one is not specified; that of an
    empty row means nothing.

    >>> dense = torch.tensor([[1.0, 8.0], [2.0, 0.0], [4.0, 7.0]])
    >>> row_maximum_with_column(torch.tensor([0, 2, 3]), torch.tensor([0, 2, 1]), dense)
    (tensor([[4., 8.],
            [2., 0.]]), tensor([[2, 0],
            [1, 1]]))
    """
    if dense.device.type != "cpu" or dense.dtype != torch.float32 or len(dense) > _COLUMN_MASK:
        return _bag_maximum(row_pointer, columns, dense)
    # torch's kernel that keeps the position of the maximum is ten times as slow as the one that
    # does not. A float32 written as float64 leaves 29 low bits free: the column goes there,
    # where it changes the order of equal values alone, and comes back with the maximum. Rounding
    # to float32 drops it, since 28 bits are less than half of the last place.
    labelled = dense.double().add_(_TINY)  # a label beside 0 would be a denormal, which may flush
    number = torch.arange(len(dense), device=dense.device)
    labelled.view(torch.int64).bitwise_or_(number[:, None])
    best = _cpu_maximum(row_pointer, columns, labelled)
    values = best.to(torch.float32)
    column = best.view(torch.int64).bitwise_and_(_COLUMN_MASK)
    return values, column.clamp_(max=max(len(dense) - 1, 0))  # a NaN may have lost its label


def _cpu_maximum(row_pointer: Tensor, columns: Tensor, dense: Tensor) -> Tensor:
    # Not torch.segment_reduce over gathered rows, which would be an [E, F] tensor.
    pattern = csr_matrix(row_pointer, columns, dense.new_ones(len(columns)), len(dense))
    maximum: Tensor = torch.sparse.mm(pattern, dense, reduce="amax")
    return maximum


def _bag_maximum(row_pointer: Tensor, columns: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
    values, _, _, column = torch.embedding_bag(
        dense, columns, row_pointer, mode=_MAX_MODE, include_last_offset=True
    )
    missing = dense.isnan()
    if bool(missing.any()):  # this kernel alone passes over NaN
        met = row_sum(row_pointer, columns, missing.to(dense.dtype)) > 0
        values = values.masked_fill(met, torch.nan)
    return values, column
