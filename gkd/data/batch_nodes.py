"""The nodes of a batch: how many there are, in which samples, what they are called."""

from functools import cached_property
from math import prod

import torch
from torch import Tensor

from gkd.data.batch_attributes import node_and_edge_types, tensor_attribute, tensors, value_of
from gkd.errors import DataError
from gkd.graph.edge_index import edges_of_sparse

_ADJACENCY = "adj_t"  # of PyTorch Geometric's ToSparseTensor, in place of edge_index
_DIMENSIONS = (2, 3)  # of space, which positions have


class BatchNodes:
    """The nodes of a batch, looked up once for all that ask: networks, terms and the cache.

    Args:
        batch: any object with attributes.

    Attributes:
        batch: itself.
        samples: int64 ``[N]``, the sample of each node; None where the batch does not tell.
        ptr: int64 ``[B + 1]``, where each sample's nodes begin; None where it does not tell.
        names: int64 ``[N]``, what each node is called, in every batch the same; None for nothing.
    """

    def __init__(self, batch: object) -> None:
        self.batch = batch
        self.samples = _tensor_or_none(batch, "batch")
        self.ptr = _tensor_or_none(batch, "ptr")
        self.names = _tensor_or_none(batch, "n_id")
        self._edges: dict[str, Tensor] = {}

    @cached_property
    def number(self) -> int | None:
        """Number of nodes N, None where the batch does not tell.

        The rows of a dense ``x`` or ``pos``, ``[B, N, F]``, are samples: a number that counts them
        tells of no nodes, unless the samples are known to be another number.
        """
        if node_and_edge_types(self.batch):  # each type has its own
            return None
        # When it is asked for: PyTorch Geometric warns where it has to guess.
        for name in ("num_nodes", "batch", "x", "pos"):
            value = getattr(self.batch, name, None)
            if value is None:
                continue
            count = len(value) if isinstance(value, Tensor) and value.ndim else int(value)
            counts_samples = any(count == len(dense) for dense in self.dense.values())
            if not counts_samples or self.num_samples not in (None, count):
                return count
        return None

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Names of the samples, empty where they have none."""
        ids = getattr(self.batch, "ids", None)
        return () if ids is None else tuple(ids)

    @cached_property
    def num_samples(self) -> int | None:
        """Number of samples B, None where the batch does not tell."""
        if self.ptr is not None:
            return len(self.ptr) - 1
        count = getattr(self.batch, "num_graphs", None)
        if isinstance(count, int):
            return count
        if self.samples is None:
            return None
        return int(self.samples[-1]) + 1 if len(self.samples) else 0

    def samples_of(self, num_rows: int) -> Tensor | None:
        """Return the sample of each of some rows; None where these are not the batch's nodes."""
        fits = self.samples is not None and self.samples.shape == (num_rows,)
        return self.samples if fits else None

    def names_of(self, num_rows: int) -> Tensor | None:
        """Return what each of some rows is called; None where these are not the named nodes."""
        fits = self.names is not None and len(self.names) == num_rows
        return self.names if fits else None

    @property
    def dense(self) -> dict[str, Tensor]:
        """Positions and features of more than two axes, by name: those of nodes of samples."""
        values = {name: _tensor_or_none(self.batch, name) for name in ("pos", "x")}
        return {
            name: value for name, value in values.items() if value is not None and value.ndim > 2
        }

    @property
    def possible_numbers(self) -> set[int]:
        """The number of nodes; where the batch does not tell, those that dense tensors may mean."""
        if self.number is not None:
            return {self.number}
        numbers: set[int] = set()
        for name, tensor in self.dense.items():
            channels_last = len(tensor) * prod(tensor.shape[1:-1])
            channels_first = len(tensor) * prod(tensor.shape[2:])
            first, last = tensor.shape[1] in _DIMENSIONS, tensor.shape[-1] in _DIMENSIONS
            if name == "pos" and first != last:
                return {channels_first if first else channels_last}
            numbers |= {channels_last, channels_first}
        return numbers

    @property
    def masks(self) -> dict[str, Tensor]:
        """Boolean tensors ``[B, N]``, by name: they may tell which of padded nodes there are."""
        values = tensors(self.batch)
        return {n: t for n, t in values.items() if t.dtype == torch.bool and t.ndim == 2}

    def edges(self, name: str, required: bool = True) -> Tensor | None:
        """Return the edges ``[2, E]`` in an attribute.

        Args:
            name: of the attribute.
            required: whether it must be there; otherwise ``adj_t`` stands for it, and where that is
                missing, too, there are none.

        Raises:
            DataError: it is required and missing, is no tensor, or is a sparse matrix that may lie
                either way.
        """
        # One tensor for all who ask: what a graph finds out about its edges goes by the tensor.
        if name in self._edges:
            return self._edges[name]
        value = value_of(self.batch, name)
        if value is not None:
            _require_one_type(self.batch, name)
        if value is None and not required:
            return None if name == _ADJACENCY else self.edges(_ADJACENCY, required=False)
        sparse = edges_of_sparse(value)
        if sparse is None:
            return tensor_attribute(self.batch, name, "graph")
        if not name.endswith("_t"):
            raise DataError(
                f"graph: batch.{name} is a sparse matrix, and nothing tells whether its rows are "
                f"the edges' sources or targets; give them as 'edge_index', or as '{name}_t', "
                "whose rows are the targets"
            )
        return self._edges.setdefault(name, sparse[0])


def _require_one_type(batch: object, name: str) -> None:
    """Make sure that edges of several types of nodes are not taken for a graph of one.

    Raises:
        DataError: they join nodes of two types, whose numbers say nothing of one another.
    """
    ends = [kind for kind in node_and_edge_types(batch) if isinstance(kind, tuple)]
    for source, relation, target in ends:
        if name.startswith(f"{source}__{relation}__{target}.") and source != target:
            alike = ["__".join(kind) for kind in ends if kind[0] == kind[-1]]
            raise DataError(
                f"graph: batch.{name} joins {source!r} with {target!r}, and a graph is of nodes of "
                f"one type; {'name ' + ' or '.join(alike) if alike else 'there are none such'}"
            )


def _tensor_or_none(batch: object, name: str) -> Tensor | None:
    value = getattr(batch, name, None)
    return value if isinstance(value, Tensor) else None
