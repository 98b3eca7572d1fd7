"""L1 distances along edges, in O(E + N·F) memory."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

from gkd.eager import eagerly
from gkd.functional import edge_loops
from gkd.functional.edge_products import both_ways, check_features, working_dtype
from gkd.functional.sparse import row_of_each, sparse_product
from gkd.functional.threads import Share, in_threads
from gkd.graph.graph import Graph, Pairs

_CPU_ELEMENTS = 2**19  # compared at a time: 2 MB in float32; with less, calls take longer than work
_DEVICE_ELEMENTS = 2**26  # enough to keep an accelerator busy


@eagerly
def edge_l1_distance(features: Tensor, graph: Graph) -> Tensor:
    r"""L1 distance of the two ends of every edge, ``[E]``.

    .. math:: d_{ij} = \sum_c |x_{ic} - x_{jc}|

    It is no function of dot products: both ends of an edge are compared number by number.
    The gradient where two features are equal is 0.

    Args:
        features: ``x``, ``[N, F]``. Half precision is computed in float32.
        graph: E edges over N nodes.

    Raises:
        ParameterError: shapes that do not fit each other.

    >>> graph = Graph(torch.tensor([[1, 0], [0, 0]]), num_nodes=2)
    >>> edge_l1_distance(torch.tensor([[0.0, 0.0], [3.0, -4.0]]), graph)
    tensor([0., 7.])
    """
    check_features("edge_l1_distance", features, graph)
    result: Tensor = _EdgeL1Distance.apply(features, graph)  # type: ignore[no-untyped-call]
    return result


class _EdgeL1Distance(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, graph: Graph) -> Tensor:
        ctx.save_for_backward(features)
        ctx.graph = graph
        x, pairs = features.detach().to(working_dtype(features)), graph.pairs
        distances = edge_loops.compare("l1", x, x, pairs.row_pointer, pairs.source)
        if distances is None:
            distances = _l1_distances(x, pairs)
        return pairs.per_edge(distances).to(features.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        # With V = W + Wᵀ the gradient at i is the sum of V_ij sign(x_i - x_j) over j.
        (features,) = ctx.saved_tensors
        x = features.detach().to(working_dtype(features))
        matrices = both_ways(grad.to(x.dtype), ctx.graph)
        result = edge_loops.slopes("l1", x, matrices)
        if result is None:
            result = torch.zeros_like(x)
            for row_pointer, columns, values in matrices:
                _add_slopes(result, row_pointer, columns, values, x)
        return result.to(features.dtype), None


def _l1_distances(x: Tensor, pairs: Pairs) -> Tensor:
    distances = x.new_empty(len(pairs.source))

    def compare(share: Share) -> None:
        with torch.no_grad():  # a helping thread does not have the caller's modes
            for chunk in _chunks(share.of(len(distances)), x):
                apart = _difference(x, pairs.target[chunk], pairs.source[chunk])
                torch.sum(apart.abs_(), 1, out=distances[chunk])

    in_threads(compare, _portions(len(distances), x))
    return distances


def _add_slopes(
    result: Tensor, row_pointer: Tensor, columns: Tensor, values: Tensor, x: Tensor
) -> None:
    """Add the sum of ``values · sign(x[r] - x[c])`` over the stored columns c of each row r."""
    row = row_of_each(row_pointer, columns)

    def add(share: Share) -> None:
        with torch.no_grad():
            # The entries of rows that begin within the share: no row belongs to two threads.
            entries = share.of(len(row))
            borders = [entries.start, entries.stop]
            rows = torch.searchsorted(row_pointer, row_pointer.new_tensor(borders))
            begin, end = row_pointer[rows].tolist()
            for chunk in _chunks(slice(begin, end), x):
                slopes = _difference(x, row[chunk], columns[chunk]).sign_()
                # A chunk may begin and end within a row. All parts of a row are this thread's,
                # which adds them up one after another: no locks, and the same sum every time.
                first, last = int(row[chunk.start]), int(row[chunk.stop - 1])
                pointer = row_pointer[first : last + 2].sub(chunk.start).clamp_(0, len(slopes))
                position = torch.arange(len(slopes), device=x.device)
                sparse_product(
                    pointer, position, values[chunk], slopes, plus=result[first : last + 1]
                )

    in_threads(add, _portions(len(row), x))


def _portions(num_edges: int, x: Tensor) -> list[Share]:
    if x.device.type != "cpu":
        return [Share(0, 1)]
    return edge_loops.edge_shares(num_edges, x)


def _chunks(entries: slice, x: Tensor) -> Iterator[slice]:
    elements = _CPU_ELEMENTS if x.device.type == "cpu" else _DEVICE_ELEMENTS
    step = max(1, elements // max(1, x.shape[1]))
    for start in range(entries.start, entries.stop, step):
        yield slice(start, min(start + step, entries.stop))


def _difference(x: Tensor, plus: Tensor, minus: Tensor) -> Tensor:
    if x.device.type != "cpu":
        return x.index_select(0, plus).sub_(x.index_select(0, minus))
    # The gather is what takes the time, a row of a wide teacher from the last level of cache.
    # In one pass, by a kernel that fetches rows ahead: the sum of each pair with weights 1 and -1.
    signs = x.new_tensor([1.0, -1.0]).expand(len(plus), 2)
    pairs = torch.stack([plus, minus], dim=1)
    return embedding_bag(pairs, x, mode="sum", per_sample_weights=signs)
