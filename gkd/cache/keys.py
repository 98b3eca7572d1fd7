"""What cache entries are known by: the state of a teacher's weights, and samples."""

import hashlib
import json
from collections.abc import Iterator, Mapping, MutableMapping
from itertools import chain

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from gkd.data.sample import holds_nodes, is_edge_index
from gkd.errors import ParameterError
from gkd.files import checksum
from gkd.functional.network_input import device_of
from gkd.graph import Graph
from gkd.graph.disjoint_union import DisjointUnion
from gkd.graph.edge_index import edges_of_sparse

NODES = "number of nodes"
_PLACES = ("batch", "ptr")  # inputs that say where a sample lies in the batch, not what it is
_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_ODD = -7_046_029_254_386_353_131  # 2^64 / golden ratio, whose multiples spread over all bits


def weights_fingerprint(teacher: nn.Module) -> object:
    """Value that changes when a weight does, whether in place, through ``.data`` or by exchange.

    It is cheap enough for every step and means nothing to another process.
    """
    tensors = [tensor for _, tensor in _tensors(teacher)]
    places = [(t.data_ptr(), None if t.is_inference() else t._version) for t in tensors]
    sums = [bit_sum(t) for t in tensors]
    return places, torch.stack(sums).tolist() if sums else [], autocast_dtype(teacher)


def weights_hash(teacher: nn.Module) -> str:
    """Hash of a teacher's modules and of the content of its weights, the same in any process."""
    about = [type(teacher).__module__, repr(teacher), checksum(dict(_tensors(teacher)))]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def autocast_dtype(teacher: nn.Module) -> torch.dtype | None:
    """Return what autocast computes in where the teacher is, None where it is off."""
    device = device_of(teacher).type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return chain(module.named_parameters(), module.named_buffers())


def sample_digests(
    inputs: Mapping[str, object], ptr: Tensor, edge_index: Tensor | None = None
) -> list[dict[str, int]]:
    """Numbers per sample that differ when the sample's inputs differ.

    They are sums of hashes of the inputs' bits, in integers: the same for a sample in any company,
    on any device, for any order of its edges.

    Args:
        inputs: tensors by name, None for what is not there; sparse matrices, as of
            :func:`edges_of_sparse`. A name that ends in ``edge_index`` has edges, or a graph of
            just these, other numbers of nodes columns, a name that begins with ``edge`` a row per
            edge, any other a row per node or sample.
        ptr: int64 ``[B + 1]``, where each sample's nodes begin.
        edge_index: int64 ``[2, E]``, the edges that rows per edge belong to.

    Returns:
        For each sample a number per input, by its name, and the number of nodes.

    Raises:
        ParameterError: an input cannot be divided among the samples.

    >>> x = torch.tensor([[1.0], [2.0], [1.0], [2.0], [2.0], [1.0]])
    >>> first, same, other = sample_digests({"x": x}, ptr=torch.tensor([0, 2, 4, 6]))
    >>> first == same, first == other
    (True, False)
    """
    sizes = ptr.diff()
    samples = torch.arange(len(sizes), device=ptr.device).repeat_interleave(sizes)
    columns = {NODES: sizes}
    for name, value in inputs.items():
        if name in _PLACES:
            continue
        if value is None:
            columns[name] = torch.zeros_like(sizes)
            continue
        known = _numbers_of_parts(value, sizes) if isinstance(value, Graph) else None
        if known is None:
            rows, sample = _rows(name, value, ptr, samples, edge_index)
            known = torch.zeros_like(sizes).index_add_(0, sample, _mixed(rows))
        columns[name] = known
    numbers = torch.stack(list(columns.values()), dim=1).tolist()
    return [dict(zip(columns, row, strict=True)) for row in numbers]


def same_inputs(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    """Whether two digests are the same for the inputs that are in both."""
    return all(other.get(name, number) == number for name, number in one.items())


def bit_sum(tensor: Tensor) -> Tensor:
    """Sum of the bits read as integers, which differs when any one value differs."""
    values = _bits(tensor).flatten()
    start = values.storage_offset() * values.element_size()
    if values.nbytes % 8 == 0 and start % 8 == 0:
        values = values.view(torch.int64)  # read by eight bytes, the sum is ten times as fast
    return values.sum(dtype=torch.int64)


def _bits(tensor: Tensor) -> Tensor:
    # Complex numbers may be wider than any integer: read them as their parts.
    parts = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return parts.detach().contiguous().view(_INTEGERS[parts.element_size()])


def _numbers_of_parts(graph: Graph, sizes: Tensor) -> Tensor | None:
    """Return the numbers of the samples' own graphs, each computed once; None without these."""
    parts = graph.graphs if isinstance(graph, DisjointUnion) else (graph,)
    if [part.num_nodes for part in parts] != sizes.tolist():
        return None
    for part in parts:
        if part not in _numbers:
            _numbers[part] = int(_mixed(_mixed(part.source) + part.target).sum())
    return torch.tensor([_numbers[part] for part in parts], device=sizes.device)


_numbers: MutableMapping[Graph, int] = WeakIdKeyDictionary()


def _rows(
    name: str, value: object, ptr: Tensor, samples: Tensor, edge_index: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return a number for each row of an input, and the sample that the row belongs to."""
    value = value.edge_index if isinstance(value, Graph) else value
    sparse = edges_of_sparse(value)
    if sparse is not None:
        edges, sample = _edges(sparse[0], ptr, samples)
        return edges if sparse[1] is None else _folded(sparse[1]) + _mixed(edges), sample
    if not isinstance(value, Tensor) or value.ndim == 0:
        raise ParameterError(f"teacher cache: input {name!r} has no rows to divide among samples")
    if is_edge_index(name):
        return _edges(value, ptr, samples)
    if holds_nodes(name, value):
        return _numbered(value if value.ndim > 1 else value.unsqueeze(0), ptr, samples)
    if name.startswith("edge") and edge_index is not None and len(value) == edge_index.shape[1]:
        edges, sample = _edges(edge_index, ptr, samples)
        return _folded(value) + _mixed(edges), sample
    if len(value) == len(samples):
        position = torch.arange(len(value), device=ptr.device) - ptr[samples]
        return _folded(value) + _mixed(position), samples
    if len(value) == len(ptr) - 1:
        return _folded(value), torch.arange(len(value), device=ptr.device)
    raise indivisible(f"input {name!r}", value, len(samples), len(ptr) - 1)


def indivisible(what: str, rows: Tensor, nodes: int, samples: int) -> ParameterError:
    """Return the error of a tensor whose rows are neither those of nodes nor of samples."""
    return ParameterError(
        f"teacher cache: {what} of shape {list(rows.shape)} has neither a row per node "
        f"({nodes}) nor per sample ({samples}), so it cannot be kept per sample"
    )


def _edges(edge_index: Tensor, ptr: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
    sample = samples[edge_index[1]]
    source, target = edge_index - ptr[sample]
    return _mixed(source) + target, sample


def _numbered(nodes: Tensor, ptr: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
    """Return a number for each column ``[k, L]`` of numbers of nodes, whose order matters."""
    sample = samples[nodes[0]]
    begins = torch.bincount(sample, minlength=len(ptr)).roll(1).cumsum(0)
    position = torch.arange(len(sample), device=sample.device) - begins[sample]
    ends = torch.arange(len(nodes), device=nodes.device).unsqueeze(1)
    return _mixed(nodes - ptr[sample] + _mixed(ends)).sum(0) + _mixed(position), sample


def _folded(rows: Tensor) -> Tensor:
    values = _bits(rows)
    values = values.to(torch.int64) if values.ndim == 1 else values.sum(-1, dtype=torch.int64)
    while values.ndim > 1:  # [B, N] of dense batches: points that change places must be seen
        position = torch.arange(values.shape[-1], device=values.device)
        values = _mixed(values + _mixed(position)).sum(-1)
    return values


def _mixed(values: Tensor) -> Tensor:
    """Return a hash of each integer, so that sums of hashes do not hide an exchange."""
    values = (values + 1) * _ODD
    values = (values ^ (values >> 32)) * _ODD
    return values ^ (values >> 29)
