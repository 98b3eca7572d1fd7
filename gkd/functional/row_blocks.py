"""Blocks of rows whose values fit into a core's cache together."""

from typing import NamedTuple

import torch
from torch import Tensor

_BLOCK = 2**18  # values: 1 MB in float32


class RowBlock(NamedTuple):
    """Consecutive rows, and their values.

    Attributes:
        rows: which.
        values: positions of their values.
        row_pointer: ``[rows + 1]``, where the values of each begin, relative to the first.
    """

    rows: slice
    values: slice
    row_pointer: Tensor


def row_blocks(row_pointer: Tensor, num_values: int) -> list[RowBlock]:
    """Divide rows into blocks, so that temporary results of large graphs stay small.

    What a chain of operations on one block needs in between is used again for the next: it neither
    leaves the cache nor has to be asked of the operating system, which takes longer than to compute
    it. On an accelerator, and where there is little, all rows are one block.

    Args:
        row_pointer: int64 ``[N+1]``, row i has the values ``row_pointer[i]`` up to
            ``row_pointer[i+1]``.
        num_values: ``row_pointer[N]``.

    >>> row_blocks(torch.tensor([0, 2, 3]), 3)
    [RowBlock(rows=slice(0, 2, None), values=slice(0, 3, None), row_pointer=tensor([0, 2, 3]))]
    """
    num_rows = len(row_pointer) - 1
    if num_values <= _BLOCK or row_pointer.device.type != "cpu":
        return [RowBlock(slice(0, num_rows), slice(0, num_values), row_pointer)]
    ends = torch.arange(_BLOCK, num_values + _BLOCK, _BLOCK)
    borders = torch.searchsorted(row_pointer, ends.clamp_(max=num_values))
    # A border is the first row that begins at or after a multiple of the block: no row is divided.
    # A row longer than a block holds several multiples; dict.fromkeys drops the repetitions.
    blocks, first = [], 0
    for last in dict.fromkeys([*borders[:-1].tolist(), num_rows]):
        pointer = row_pointer[first : last + 1]
        start = int(pointer[0])
        blocks.append(RowBlock(slice(first, last), slice(start, int(pointer[-1])), pointer - start))
        first = last
    return blocks
