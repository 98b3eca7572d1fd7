"""Sparse products on raw tensors, without autograd: torch's own, or gathers in bounded chunks."""

import warnings
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from gkd.functional import edge_loops
from gkd.functional.row_blocks import row_blocks

_BAG_WIDTH = 16  # from here on a row of float32 fills the vector registers of current processors
_CHUNK_ELEMENTS = 2**20  # of one gathered block: 4 MB in float32, about a core's share of cache

with warnings.catch_warnings():
    # torch announces once per process that CSR is in beta; we rely on two products, both tested.
    warnings.simplefilter("ignore", UserWarning)
    torch.sparse_csr_tensor(
        torch.zeros(1, dtype=torch.int64),
        torch.zeros(0, dtype=torch.int64),
        torch.zeros(0),
        (0, 0),
        check_invariants=False,
    )


def sampled_product(
    row_pointer: Tensor,
    columns: Tensor,
    rows: Tensor,
    cols: Tensor,
    plus: Tensor | None = None,
    scale: float = 1.0,
) -> Tensor:
    """SDDMM: ``plus + scale · (rows[r] · cols[c])`` for every stored (r, c), ``[E]``."""
    if plus is None and scale == 1:
        dots = edge_loops.compare("dot", rows, cols, row_pointer, columns)
        if dots is not None:
            return dots
    if not has_sparse_products(rows.device.type):
        # Builds of torch without MKL, and accelerators but CUDA, have no such product.
        dots = _gathered_dot(row_pointer, columns, rows, cols).mul_(scale)
        return dots if plus is None else dots.add_(plus)
    # Even with beta = 0 the kernel reads the values of the pattern, and not a number stays that.
    beta, start = (0.0, rows.new_zeros(len(columns))) if plus is None else (1.0, plus.clone())
    pattern = csr_matrix(row_pointer, columns, start, len(cols))
    torch.sparse.sampled_addmm(pattern, rows, cols.t(), beta=beta, alpha=scale, out=pattern)
    values: Tensor = pattern.values()
    return values


def sparse_product(
    row_pointer: Tensor,
    columns: Tensor,
    values: Tensor,
    dense: Tensor,
    plus: Tensor | None = None,
) -> Tensor:
    """SpMM: sum of ``values · dense[c]`` over the stored columns of each row, ``[N, F]``.

    ``plus`` is added to it; its memory takes the result.
    """
    shape = (len(row_pointer) - 1, dense.shape[1])
    if not has_sparse_products(dense.device.type):
        start = dense.new_zeros(shape) if plus is None else plus
        return _add_gathered_sum(start, row_pointer, columns, values, dense)
    # On CPU, float32 takes fbgemm's kernel, 1.4 to 2.4 times as fast as the product with a CSR
    # matrix was measured to be; float64 takes none, and is three times slower.
    if (
        dense.device.type == "cpu"
        and dense.dtype == torch.float32
        and dense.shape[1] >= _BAG_WIDTH
        and dense.stride(1) == 1
    ):
        return _add_bag_sum(plus, row_pointer, columns, values, dense)
    beta, result = (0.0, dense.new_empty(shape)) if plus is None else (1.0, plus)
    matrix = csr_matrix(row_pointer, columns, values, len(dense))
    # Half as long as matmul takes, and autocast leaves functions with an ``out`` alone.
    with torch.no_grad():
        return torch.addmm(result, matrix, dense, beta=beta, out=result)


def row_sums(row_pointer: Tensor, columns: Tensor, values: Tensor, num_columns: int) -> Tensor:
    """Sum of the values stored in each row, ``[N]``."""
    if values.device.type != "cpu" or not has_sparse_products("cpu"):
        return torch.segment_reduce(values, "sum", offsets=row_pointer, axis=0, initial=0)
    # As a product with ones: in half the time of a reduction of segments.
    matrix = csr_matrix(row_pointer, columns, values, num_columns)
    result = values.new_empty(len(row_pointer) - 1)
    return torch.mv(matrix, values.new_ones(num_columns), out=result)


@cache
def has_sparse_products(device_type: str) -> bool:
    """Whether this build of torch multiplies CSR matrices on that kind of device."""
    # Tried rather than asked: no one flag of torch tells which of its back ends has which product.
    pointer = torch.tensor([0, 1], device=device_type)
    dense = torch.ones(1, 1, device=device_type)
    try:
        matrix = csr_matrix(pointer, pointer[:1], dense[0], 1)
        torch.sparse.sampled_addmm(matrix, dense, dense, beta=0.0)
        torch.addmm(dense, matrix, dense, beta=0.0, out=dense)
    except (RuntimeError, NotImplementedError):
        return False
    return True


def _add_bag_sum(
    result: Tensor | None, row_pointer: Tensor, columns: Tensor, values: Tensor, dense: Tensor
) -> Tensor:
    # Sums of a bag have no place to go to but a new tensor: in blocks it is one of bounded size.
    blocks = row_blocks(row_pointer, len(columns))
    if result is None and len(blocks) == 1:
        return _bag_sum(row_pointer, columns, values, dense)
    if result is None:
        result = dense.new_zeros(len(row_pointer) - 1, dense.shape[1])
    for rows, entries, pointer in blocks:
        result[rows].add_(_bag_sum(pointer, columns[entries], values[entries], dense))
    return result


def _bag_sum(row_pointer: Tensor, columns: Tensor, values: Tensor, dense: Tensor) -> Tensor:
    return embedding_bag(
        columns,
        dense,
        row_pointer,
        mode="sum",
        per_sample_weights=values,
        include_last_offset=True,
    )


def csr_matrix(row_pointer: Tensor, columns: Tensor, values: Tensor, num_columns: int) -> Tensor:
    """Return the sparse matrix of ``values`` at the stored columns, unchecked."""
    # Its invariants hold by the construction of a graph; a check would read all indices every time.
    shape = (len(row_pointer) - 1, num_columns)
    return torch.sparse_csr_tensor(row_pointer, columns, values, shape, check_invariants=False)


def _chunks(columns: Tensor, width: int) -> range:
    return range(0, len(columns), max(1, _CHUNK_ELEMENTS // max(1, width)))


def row_of_each(row_pointer: Tensor, columns: Tensor) -> Tensor:
    """Row of every stored column, ``[E]``."""
    rows = torch.arange(len(row_pointer) - 1, device=row_pointer.device)
    return rows.repeat_interleave(row_pointer.diff(), output_size=len(columns))


def _gathered_dot(row_pointer: Tensor, columns: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    row = row_of_each(row_pointer, columns)
    result = rows.new_empty(len(columns))
    chunks = _chunks(columns, rows.shape[1])
    for start in chunks:
        chunk = slice(start, start + chunks.step)
        pair = rows.index_select(0, row[chunk]), cols.index_select(0, columns[chunk])
        torch.linalg.vecdot(*pair, out=result[chunk])
    return result


def _add_gathered_sum(
    result: Tensor, row_pointer: Tensor, columns: Tensor, values: Tensor, dense: Tensor
) -> Tensor:
    # Chunks of edges, however long the rows: two of them may add to the same row, one by one.
    row = row_of_each(row_pointer, columns)
    chunks = _chunks(columns, dense.shape[1])
    for start in chunks:
        chunk = slice(start, start + chunks.step)
        gathered = dense.index_select(0, columns[chunk]).mul_(values[chunk, None])
        result.index_add_(0, row[chunk], gathered)
    return result
