"""Validation and order of edge lists, int64 ``[2, E]``: row 0 the sources, row 1 the targets."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gkd.errors import ParameterError


def check_edge_index(edge_index: object, num_nodes: object) -> None:
    """Raise :class:`ParameterError` unless these are the edges of a graph of ``num_nodes``."""
    if not isinstance(edge_index, Tensor) or edge_index.dtype != torch.int64:
        got = edge_index.dtype if isinstance(edge_index, Tensor) else type(edge_index).__name__
        raise ParameterError(f"edge_index must be an int64 tensor of shape [2, E], got {got}")
    if edge_index.dim() != 2 or edge_index.shape[0] != 2:
        raise ParameterError(
            f"edge_index must have shape [2, E], got {list(edge_index.shape)}"
            f"{transposed('edge_index', edge_index.shape)}"
        )
    if isinstance(num_nodes, bool) or not isinstance(num_nodes, int) or num_nodes < 0:
        raise ParameterError(f"num_nodes must be a non-negative integer, got {num_nodes!r}")
    if not edge_index.shape[1]:
        return
    # One pass and one wait for the device; which edge it was is looked for only when one is wrong.
    low, high = torch.stack(torch.aminmax(edge_index)).tolist()
    if low >= 0 and high < num_nodes:
        return
    outside = ((edge_index < 0) | (edge_index >= num_nodes)).nonzero()
    row, column = min(outside.tolist(), key=lambda place: place[1])
    allowed = f"the nodes 0 to {num_nodes - 1}" if num_nodes else "none"
    raise ParameterError(
        f"edge_index[{row}, {column}] is {edge_index[row, column].item()}, but a graph of "
        f"{num_nodes} nodes has {allowed}"
    )


def transposed(name: str, shape: Sequence[int]) -> str:
    """Say of edges ``[E, 2]`` that they are transposed; nothing of any others.

    >>> transposed("edge_index", [30, 2])
    ': it is transposed, give edge_index.T'
    """
    turned = len(shape) == 2 and shape[1] == 2 != shape[0]
    return f": it is transposed, give {name}.T" if turned else ""


def as_plain(tensor: Tensor) -> Tensor:
    """Return the tensor itself, or what an ``EdgeIndex`` of PyTorch Geometric is made of.

    Such a tensor remembers the size and the order of the graph that it was made for, also where it
    becomes part of a batch.
    """
    as_tensor = getattr(tensor, "as_tensor", None)
    return as_tensor() if callable(as_tensor) else tensor


def edges_of_sparse(adjacency: object) -> tuple[Tensor, Tensor | None] | None:
    """Return the edges and values of a transposed adjacency matrix; None for what is not sparse.

    An entry in row i and column j is an edge from j to i, as in PyTorch Geometric's ``adj_t``.

    Args:
        adjacency: sparse tensor of torch (COO, CSR or CSC), or anything whose ``coo()`` gives rows,
            columns and values, as torch_sparse's ``SparseTensor``.

    >>> edges_of_sparse(torch.tensor([[0.0, 2.0], [0.0, 0.0]]).to_sparse())
    (tensor([[1],
            [0]]), tensor([2.]))
    """
    values: Tensor | None
    if not isinstance(adjacency, Tensor):
        coo = getattr(adjacency, "coo", None)
        if not callable(coo):
            return None
        row, column, values = coo()
    elif adjacency.layout == torch.sparse_coo and adjacency.ndim == 2:
        matrix = adjacency.coalesce()
        (row, column), values = matrix.indices(), matrix.values()
    elif adjacency.layout == torch.sparse_csr and adjacency.ndim == 2:
        row, column = _unpacked(adjacency.crow_indices()), adjacency.col_indices()
        values = adjacency.values()
    elif adjacency.layout == torch.sparse_csc and adjacency.ndim == 2:
        row, column = adjacency.row_indices(), _unpacked(adjacency.ccol_indices())
        values = adjacency.values()
    else:
        return None
    return torch.stack([column, row]).to(torch.int64), values


def _unpacked(pointer: Tensor) -> Tensor:
    return torch.arange(len(pointer) - 1, device=pointer.device).repeat_interleave(pointer.diff())


def coalesce(edge_index: Tensor, num_nodes: int) -> Tensor:
    """Return the edges sorted by (target, source), each once; the same memory if they are.

    >>> coalesce(torch.tensor([[2, 0, 1, 0], [0, 1, 0, 1]]), 3)
    tensor([[1, 2, 0],
            [0, 0, 1]])
    """
    source, target = edge_index
    bits = max(1, num_nodes - 1).bit_length()
    if bits > 31:  # two nodes do not fit into one number
        order = source.argsort(stable=True)
        edges = edge_index[:, order[target[order].argsort(stable=True)]]
        return edges[:, _first_of_each(edges).any(0)]
    if edge_index.device.type != "cpu":
        return _coalesced(edge_index, bits)
    # On CPU numpy sorts, drops and unpacks numbers several times as fast as torch.
    keys = _packed(target, source, bits, 2 * bits)
    # Loaders mostly hand over what is in order already: to see that costs far less than a sort.
    if (keys[1:] > keys[:-1]).all():
        return edge_index.contiguous()
    keys.sort()
    kept = np.ones(len(keys), dtype=bool)
    np.not_equal(keys[1:], keys[:-1], out=kept[1:])
    if not kept.all():
        keys = keys[kept]
    ends = np.empty((2, len(keys)), dtype=np.int64)
    ends[0], ends[1] = keys & ((1 << bits) - 1), keys >> bits
    return torch.from_numpy(ends)


def _coalesced(edge_index: Tensor, bits: int) -> Tensor:
    """:func:`coalesce` in operators of torch, for nodes of so many bits."""
    key = edge_index[1] << bits | edge_index[0]
    if _ascends(key):
        return edge_index.contiguous()
    key = key.sort().values
    key = key[_first_of_each(key)]
    return torch.stack([key & ((1 << bits) - 1), key >> bits])


def stable_order(nodes: Tensor, num_nodes: int) -> Tensor:
    """Return the permutation that sorts ``nodes``, all below ``num_nodes``, and keeps ties."""
    bits = max(1, len(nodes) - 1).bit_length()
    total = bits + max(1, num_nodes - 1).bit_length()
    if nodes.device.type != "cpu" or total > 63:
        return nodes.argsort(stable=True)
    # Positions ride along with the nodes: to sort numbers is faster than to sort positions.
    keys = _packed(nodes, torch.arange(len(nodes), device=nodes.device), bits, total)
    keys.sort()
    return torch.from_numpy((keys & ((1 << bits) - 1)).astype(np.int64, copy=False))


def _packed(high: Tensor, low: Tensor, bits: int, total: int) -> np.ndarray:
    """Return two numbers in one, in the order of the first, then the second.

    Args:
        high: int64 ``[E]``, on CPU.
        low: int64 ``[E]``, of at most ``bits`` bits.
        bits: of the second.
        total: bits of both: with up to 32, half the memory is sorted.
    """
    if total > 32:
        return (high << bits).bitwise_or_(low).numpy()
    keys = (high.to(torch.int32) << bits).bitwise_or_(low.to(torch.int32))
    return keys.numpy().view(np.uint32)


def row_pointer_of(ascending: Tensor, num_nodes: int) -> Tensor:
    """Return where the entries of each node begin in ``ascending``, ``[N+1]``.

    >>> row_pointer_of(torch.tensor([0, 0, 2]), 3)
    tensor([0, 2, 2, 3])
    """
    # Not a bincount, which on CUDA waits for the device to learn a length that is known here.
    return torch.searchsorted(ascending, torch.arange(num_nodes + 1, device=ascending.device))


def edges_of(neighbours: Tensor) -> Tensor:
    """Return the edges to node i from every node in ``neighbours[i]``, in order and each once.

    Args:
        neighbours: int64 ``[N, K]``; -1 is no node.

    >>> edges_of(torch.tensor([[1, 0], [1, -1]]))
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    # Searches return ascending rows already; what else comes has K numbers a row to sort, not E.
    if not _ascends(neighbours):
        neighbours = _sort(neighbours)
    targets = torch.arange(len(neighbours), device=neighbours.device)[:, None].expand_as(neighbours)
    # Regular graphs, the rule for k neighbours: nothing to drop, so no mask over all edges.
    if _ascends(neighbours) and bool((neighbours[:, :1] >= 0).all()):
        return torch.stack([neighbours.flatten(), targets.flatten()])
    kept = _first_of_each(neighbours) & (neighbours >= 0)
    return torch.stack([neighbours[kept], targets[kept]])


def check_neighbours(neighbours: object) -> None:
    """Raise :class:`ParameterError` unless these are neighbours of each of N nodes."""
    if not isinstance(neighbours, Tensor) or neighbours.dtype != torch.int64:
        got = neighbours.dtype if isinstance(neighbours, Tensor) else type(neighbours).__name__
        raise ParameterError(f"neighbours must be an int64 tensor of shape [N, K], got {got}")
    if neighbours.dim() != 2:
        raise ParameterError(f"neighbours must have shape [N, K], got {list(neighbours.shape)}")
    count = len(neighbours)
    if neighbours.numel() and not -1 <= int(neighbours.min()) <= int(neighbours.max()) < count:
        node, column = ((neighbours < -1) | (neighbours >= count)).nonzero()[0].tolist()
        raise ParameterError(
            f"neighbours[{node}, {column}] is {neighbours[node, column].item()}, but the nodes are "
            f"0 to {count - 1}, and -1 stands for none"
        )


def _sort(values: Tensor) -> Tensor:
    """Sort along the last dimension."""
    if values.device.type == "cpu":  # where numpy is ten times as fast as torch
        return torch.from_numpy(np.sort(values.numpy()))
    return values.sort(dim=-1).values


def _ascends(rows: Tensor) -> bool:
    """Whether every row does, without equal entries."""
    return bool((rows[..., 1:] > rows[..., :-1]).all())


def _first_of_each(ascending: Tensor) -> Tensor:
    """Mark the first of equal entries along the last dimension."""
    first = torch.ones_like(ascending, dtype=torch.bool)
    torch.ne(ascending[..., 1:], ascending[..., :-1], out=first[..., 1:])
    return first
