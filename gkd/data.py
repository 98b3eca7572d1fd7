"""Samples, batches and datasets: what models and the distiller are fed with."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Self

import torch
from torch import Tensor

from gkd.errors import DataError, suggestion

_OWN_NAMES = frozenset({"id", "ids", "num_nodes", "num_graphs", "batch", "ptr", "extents"})
_PER_NODE = ("x", "pos")


class _Tensors:
    """Named tensors as attributes; the base of :class:`Sample` and :class:`Batch`."""

    num_nodes: int

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = dict(tensors)

    def __getattr__(self, name: str) -> Tensor:
        # Guards copy and pickle, which look attributes up before __init__ has run.
        tensors: dict[str, Tensor] = self.__dict__.get("_tensors", {})
        if name not in tensors:
            hint = "" if name.startswith("_") else f": {suggestion(name, tensors)}"
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{hint}")
        return tensors[name]

    def __setattr__(self, name: str, value: object) -> None:
        # Samples are shared by epochs, batches and caches.
        if name not in _OWN_NAMES and not name.startswith("_"):
            kind = type(self).__name__
            raise AttributeError(f"a {kind} does not change; make another with its own {name}")
        super().__setattr__(name, value)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def keys(self) -> tuple[str, ...]:
        """Names of the tensors, in the order they were given."""
        return tuple(self._tensors)

    def items(self) -> Iterator[tuple[str, Tensor]]:
        """Pairs of name and tensor, in the order they were given."""
        return iter(self._tensors.items())

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """Return the same data on ``device``; tensors already there are shared."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """Return the same data in page-locked memory, as data loaders ask for."""
        return self._mapped(lambda tensor: tensor.pin_memory())

    def _mapped(self, function: Callable[[Tensor], Tensor]) -> Self:
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._tensors = {name: function(tensor) for name, tensor in self.items()}
        return other

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name}={list(tensor.shape)}" for name, tensor in self.items())
        return f"{type(self).__name__}({self._label()}, {shapes})"

    def _label(self) -> str:
        raise NotImplementedError


class Sample(_Tensors):
    """One graph or point cloud: named tensors, reached as attributes.

    Args:
        id: name that stays the same from epoch to epoch; caches are keyed by it.
        num_nodes: number of nodes N; by default the length of ``x``, ``pos`` or ``y``, the first
            that is there.
        tensors: the data. Edge indices are ``int64 [2, E]`` and their names end in ``edge_index``;
            everything else has one row per node, edge or graph: ``x [N, F]``, ``pos [N, 3]``,
            ``y [N, classes]``, ``y [1]``.

    Raises:
        DataError: a value is not a tensor with rows, an edge index is malformed or points outside
            of the nodes, or a name is one of the container's own.

    >>> sample = Sample(id="a", x=torch.zeros(3, 5), edge_index=torch.tensor([[0, 1], [1, 2]]))
    >>> sample
    Sample(id='a', x=[3, 5], edge_index=[2, 2])
    >>> sample.num_nodes
    3
    """

    def __init__(self, *, id: str, num_nodes: int | None = None, **tensors: Tensor) -> None:
        super().__init__(tensors)
        self.id = id
        for name, tensor in tensors.items():
            _check_tensor(id, name, tensor)
        self.num_nodes = _length(id, tensors) if num_nodes is None else num_nodes
        for name, tensor in tensors.items():
            if _is_edge_index(name):
                _check_edges(id, name, tensor, self.num_nodes)
            elif name in _PER_NODE and tensor.shape[0] != self.num_nodes:
                raise DataError(
                    f"sample {id!r}: {name} has {tensor.shape[0]} rows for {self.num_nodes} nodes"
                )

    def _label(self) -> str:
        return f"id={self.id!r}"


class Batch(_Tensors):
    """Several samples as one disconnected graph; made by :func:`collate`.

    Besides the samples' tensors it has ``batch`` (``int64 [N]``, the sample of each node,
    ascending) and ``ptr`` (``int64 [B + 1]``, where each sample's nodes begin).

    Args:
        tensors: the samples' tensors, concatenated, with ``batch`` and ``ptr``.
        ids: the samples' ids, ``B`` of them.
        extents: rows (edges, for edge indices) that each sample has of each tensor.
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        ids: tuple[str, ...],
        extents: Mapping[str, tuple[int, ...]],
    ) -> None:
        super().__init__(tensors)
        self.ids = ids
        self.extents = extents
        self.num_nodes = int(tensors["batch"].numel())

    @property
    def num_graphs(self) -> int:
        """Number of samples B."""
        return len(self.ids)

    def split(self) -> list[Sample]:
        """Return the samples again, in order: the inverse of :func:`collate`."""
        starts = self.ptr.tolist()
        columns = {name: _pieces(name, self, starts) for name in self.extents}
        return [
            Sample(
                id=id,
                num_nodes=starts[i + 1] - starts[i],
                **{name: pieces[i] for name, pieces in columns.items()},
            )
            for i, id in enumerate(self.ids)
        ]

    def _label(self) -> str:
        return f"{self.num_graphs} graphs"


def collate(samples: Sequence[Sample]) -> Batch:
    """Concatenate samples into one batch, with edge indices offset by the nodes before them.

    Edges sorted by (target, source) in every sample are so in the batch.

    Args:
        samples: at least one, all with the same names, dtypes and trailing shapes.

    Raises:
        DataError: there is no sample, or two do not go together.

    >>> a = Sample(id="a", x=torch.zeros(2, 1), edge_index=torch.tensor([[0], [1]]))
    >>> b = Sample(id="b", x=torch.ones(3, 1), edge_index=torch.tensor([[2], [0]]))
    >>> batch = collate([a, b])
    >>> batch.edge_index.tolist(), batch.ptr.tolist(), batch.batch.tolist()
    ([[0, 4], [1, 2]], [0, 2, 5], [0, 0, 1, 1, 1])
    """
    if not samples:
        raise DataError("a batch needs at least one sample")
    for sample in samples[1:]:
        _check_alike(samples[0], sample)
    sizes = [sample.num_nodes for sample in samples]
    starts = [0, *accumulate(sizes)]
    tensors: dict[str, Tensor] = {}
    extents: dict[str, tuple[int, ...]] = {}
    device: torch.device | None = None
    for name, first in samples[0].items():
        parts = [getattr(sample, name) for sample in samples]
        dim = 1 if _is_edge_index(name) else 0
        extents[name] = tuple(part.shape[dim] for part in parts)
        if _is_edge_index(name):
            parts = [part + start for part, start in zip(parts, starts, strict=False)]
        tensors[name] = torch.cat(parts, dim)
        device = first.device
    tensors["batch"] = torch.arange(len(samples), device=device).repeat_interleave(
        torch.tensor(sizes, device=device)
    )
    tensors["ptr"] = torch.tensor(starts, device=device)
    return Batch(tensors, tuple(sample.id for sample in samples), extents)


class AbstractDataset(ABC):
    """Training, validation and test samples of one task, with what a model must know of them.

    A dataset sets the five attributes below, at class level or in ``__init__``, and implements the
    three splits.

    Attributes:
        task: ``"single-label"`` or ``"multi-label"``.
        num_features: width of the input, ``in_channels`` of a model.
        num_classes: width of the output, ``out_channels`` of a model.
        inputs: names of the batch's tensors that models are called with, in order.
        augmented: whether a training sample differs from epoch to epoch, so that nothing computed
            from it may be kept.
    """

    task: str
    num_features: int
    num_classes: int
    inputs: tuple[str, ...]
    augmented: bool = False

    @property
    @abstractmethod
    def train(self) -> Sequence[Sample]:
        """Samples to train on."""

    @property
    @abstractmethod
    def validation(self) -> Sequence[Sample]:
        """Samples to select on."""

    @property
    @abstractmethod
    def test(self) -> Sequence[Sample]:
        """Samples to report on, and nothing else."""

    def set_epoch(self, epoch: int) -> None:  # noqa: B027  most datasets do not change
        """Say which epoch (from 0) the training samples are drawn for."""


def _is_edge_index(name: str) -> bool:
    return name.endswith("edge_index")


def _check_tensor(id: str, name: str, tensor: object) -> None:
    if name in _OWN_NAMES or name.startswith("_"):
        raise DataError(f"sample {id!r}: {name!r} is a name of the container itself")
    if not isinstance(tensor, Tensor) or tensor.ndim == 0:
        what = "a number" if isinstance(tensor, Tensor) else type(tensor).__name__
        raise DataError(f"sample {id!r}: {name} must be a tensor with rows, not {what}")


def _length(id: str, tensors: Mapping[str, Tensor]) -> int:
    for name in (*_PER_NODE, "y"):
        if name in tensors:
            return tensors[name].shape[0]
    raise DataError(f"sample {id!r}: give num_nodes, as there is no x, pos or y to count")


def _check_edges(id: str, name: str, edges: Tensor, num_nodes: int) -> None:
    if edges.dtype != torch.int64 or edges.ndim != 2 or edges.shape[0] != 2:
        raise DataError(
            f"sample {id!r}: {name} must be int64 [2, E], not {edges.dtype} {list(edges.shape)}"
        )
    if edges.numel() and (int(edges.min()) < 0 or int(edges.max()) >= num_nodes):
        raise DataError(
            f"sample {id!r}: {name} names nodes {int(edges.min())} to {int(edges.max())}, "
            f"but there are {num_nodes} (numbered from 0)"
        )


def _check_alike(first: Sample, other: Sample) -> None:
    pair = f"samples {first.id!r} and {other.id!r} cannot be batched"
    if set(first.keys()) != set(other.keys()):
        raise DataError(f"{pair}: one has {sorted(first.keys())}, the other {sorted(other.keys())}")
    for name, tensor in first.items():
        twin = getattr(other, name)
        # Two edge indices always go together: a sample admits only int64 [2, E].
        alike = tensor.dtype == twin.dtype and tensor.shape[1:] == twin.shape[1:]
        if not alike and not _is_edge_index(name):
            raise DataError(
                f"{pair}: {name} is {tensor.dtype} {list(tensor.shape)} in one, "
                f"{twin.dtype} {list(twin.shape)} in the other"
            )


def _pieces(name: str, batch: Batch, starts: list[int]) -> tuple[Tensor, ...]:
    whole: Tensor = getattr(batch, name)
    if not _is_edge_index(name):
        return torch.split_with_sizes(whole, batch.extents[name])
    parts = torch.split_with_sizes(whole, batch.extents[name], dim=1)
    return tuple(part - start for part, start in zip(parts, starts, strict=False))
