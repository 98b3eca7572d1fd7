"""Comparisons of the ends of edges in compiled loops, where the machine has a compiler of C.

They take some columns of all rows at a time, which stay in a core's own cache.
"""

from collections.abc import Sequence
from functools import partial
from math import inf
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from gkd.functional.compiled_loops import loop_for
from gkd.functional.threads import Share, in_threads, shares

_VECTOR = 64  # bytes, as in the loops
_BYTES = 4 * _VECTOR  # of a row at a time, as in the loops
_LONG = 2048  # bytes of a row from which on it is taken part by part
_CACHE = 2**21  # bytes: what a core has for itself
_ELEMENTS_PER_SHARE = 2**20  # of fewer, a thread is found later than the work is done

Comparison = Literal["l1", "l2", "dot"]


def compare(
    by: Comparison, a: Tensor, b: Tensor, row_pointer: Tensor, columns: Tensor
) -> Tensor | None:
    r"""Compare the two ends of every stored (r, c), ``[E]``.

    .. math:: \sum_k |a_{rk} - b_{ck}|, \qquad \sum_k (a_{rk} - b_{ck})^2, \qquad
        \sum_k a_{rk} b_{ck}

    The same pair gives the same bits, whatever else there is. The round-off is proportional to the
    sum of the magnitudes that are added up: :func:`rounding` of it.

    Args:
        by: which: ``"l1"``, ``"l2"`` or ``"dot"``.
        a: ``[N, F]``, float32 or float64.
        b: ``[M, F]``, of the dtype of ``a``; may be the same.
        row_pointer: int64 ``[N+1]``, of compressed rows.
        columns: int64 ``[E]``.

    Returns:
        None where there is no compiled loop.
    """
    loop = loop_for("edge_loops", f"compare_{by}", a)
    if loop is None:
        return None
    pointer, columns = row_pointer.contiguous(), columns.contiguous()
    result = a.new_zeros(len(columns))

    def add(left: Tensor, right: Tensor, share: Share) -> None:
        edges = share.of(len(columns))
        row = int(torch.searchsorted(pointer, edges.start, right=True)) - 1
        numbers = row, edges.start, edges.stop, right.shape[1]
        loop(left, right, pointer, columns, *numbers, result)

    for part in _parts(b):
        right = _dense(b, part)
        left = right if a is b else _dense(a, part)
        in_threads(partial(add, left, right), edge_shares(len(columns), right))
    return result


def slopes(
    by: Comparison, x: Tensor, matrices: Sequence[tuple[Tensor, Tensor, Tensor]]
) -> Tensor | None:
    r"""Sum the slopes of comparisons over the stored columns of each row, ``[N, F]``.

    .. math:: \sum_{c} v_{rc}\, \mathrm{sign}(x_r - x_c), \qquad
        2 \sum_{c} v_{rc}\, (x_r - x_c)

    Args:
        by: which: ``"l1"`` or ``"l2"``.
        x: ``[N, F]``, float32 or float64.
        matrices: row pointers int64 ``[N+1]``, columns int64 ``[E]`` and values ``[E]`` of sparse
            matrices, all of which are summed.

    Returns:
        None where there is no compiled loop.
    """
    loop = loop_for("edge_loops", f"slopes_{by}", x)
    if loop is None:
        return None
    dense = _dense(x, slice(0, x.shape[1]))
    result = torch.zeros_like(dense)

    def add(pointer: Tensor, columns: Tensor, values: Tensor, share: Share) -> None:
        numbers = *rows_within(share, pointer, len(columns)), dense.shape[1]
        loop(dense, pointer, columns, values, *numbers, result)

    for matrix in matrices:
        pointer, columns, values = (tensor.contiguous() for tensor in matrix)
        in_threads(partial(add, pointer, columns, values), edge_shares(len(columns), dense))
    return result[:, dense.shape[1] - x.shape[1] :]


def rounding(x: Tensor) -> float:
    """Return the share of a comparison of rows of ``x`` that its round-off is below.

    Infinite where there is no compiled loop.
    """
    if loop_for("edge_loops", "compare_l1", x) is None:
        return inf
    # A number is rounded in its difference and square, in its lane, on the way to the sum of all
    # lanes, and with that of every part of the row.
    return (16 + x.shape[1] * x.element_size() / _BYTES) * torch.finfo(x.dtype).eps


def _parts(x: Tensor) -> list[slice]:
    width, step = x.shape[1], _BYTES // x.element_size()
    # Some columns of all rows, where they fit into a core's own cache, are found there again and
    # again; short rows come as soon from where they are.
    if x.element_size() * width < _LONG or len(x) * _BYTES > _CACHE:
        step = max(1, width)
    return [slice(start, min(start + step, width)) for start in range(0, width, step)]


def _dense(x: Tensor, part: slice) -> Tensor:
    """Return columns of ``x``, at least a vector of them: after zeros, which add nothing."""
    columns = x.detach()[:, part]
    missing = _VECTOR // x.element_size() - columns.shape[1]
    return pad(columns, (missing, 0)) if missing > 0 else columns.contiguous()


def edge_shares(num_edges: int, x: Tensor) -> list[Share]:
    """Return the shares of threads that go through rows of ``x [N, F]`` edge by edge."""
    return shares(num_edges * x.shape[1], _ELEMENTS_PER_SHARE)


def rows_within(share: Share, row_pointer: Tensor, num_edges: int) -> tuple[int, int, int]:
    """Return the first row of a share, its first edge, and the edge that ends the last.

    They are the rows that begin within the share of the edges: none belongs to two threads.
    """
    edges = share.of(num_edges)
    rows = torch.searchsorted(row_pointer, row_pointer.new_tensor([edges.start, edges.stop]))
    first, last = row_pointer[rows].tolist()
    return int(rows[0]), first, last
