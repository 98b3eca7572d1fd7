"""Samples: one graph or point cloud each."""

from collections.abc import Callable, Iterator, Mapping
from typing import Self

import torch
from torch import Tensor

from gkd.errors import DataError, suggestion
from gkd.graph.edge_index import as_plain, transposed

_OWN_NAMES = frozenset({"id", "ids", "num_nodes", "num_graphs", "batch", "ptr", "extents"})
_METHODS = frozenset({"keys", "items", "to", "pin_memory", "split"})  # would hide a tensor
_PER_NODE = ("x", "pos")


class _MissingTensorError(AttributeError):
    # Steps ask for attributes that a batch may have, with a default: the search for the nearest
    # name takes longer than all else in there, and is for those who read the message.
    def __str__(self) -> str:
        if self.name is None:  # raised anew, by a loader that had it in another process
            return super().__str__()
        tensors = self.obj.__dict__.get("_tensors", {})
        hint = "" if self.name.startswith("_") else f": {suggestion(self.name, tensors)}"
        if self.name in ("x_dict", "edge_index_dict"):
            hint = ": the data are of one type of nodes; for several, write a loop of your own"
        return f"{type(self.obj).__name__} has no attribute {self.name!r}{hint}"


class Tensors:
    """Named tensors as attributes; the base of :class:`Sample` and :class:`Batch`."""

    num_nodes: int

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = dict(tensors)

    def __getattr__(self, name: str) -> Tensor:
        # Guards copy and pickle, which look attributes up before __init__ has run.
        tensors: dict[str, Tensor] = self.__dict__.get("_tensors", {})
        if name not in tensors:
            raise _MissingTensorError(name=name, obj=self)
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

    def _shapes(self) -> str:
        return ", ".join(f"{name}={list(tensor.shape)}" for name, tensor in self.items())


class Sample(Tensors):
    """One graph or point cloud: named tensors, reached as attributes.

    Args:
        id: name that stays the same from epoch to epoch; caches are keyed by it.
        num_nodes: number of nodes N; by default the length of ``x``, ``pos`` or ``y``, the first
            that is there.
        tensors: the data. Integers whose name holds ``index``, and ``face``, are numbers of nodes,
            ``int64 [k, L]`` or ``[L]``, as in PyTorch Geometric; where the name ends in
            ``edge_index`` they are edges, ``[2, E]``. Everything else has one row per node, edge or
            graph: ``x [N, F]``, ``pos [N, 3]``, ``y [N, classes]``, ``y [1]``.

    Raises:
        DataError: a value is not a tensor with rows, numbers of nodes are malformed or point
            outside of the nodes, or a name is one of the container's own.

    >>> sample = Sample(id="a", x=torch.zeros(3, 5), edge_index=torch.tensor([[0, 1], [1, 2]]))
    >>> sample
    Sample(id='a', x=[3, 5], edge_index=[2, 2])
    >>> sample.num_nodes
    3
    """

    def __init__(self, *, id: str, num_nodes: int | None = None, **tensors: Tensor) -> None:
        tensors = {name: as_plain(tensor) for name, tensor in tensors.items()}
        super().__init__(tensors)
        self.id = id
        for name, tensor in tensors.items():
            if name in _OWN_NAMES or name in _METHODS or name.startswith("_"):
                raise DataError(f"sample {id!r}: {name!r} is a name of the container itself")
            if not isinstance(tensor, Tensor) or tensor.ndim == 0:
                what = "a number" if isinstance(tensor, Tensor) else type(tensor).__name__
                raise DataError(f"sample {id!r}: {name} must be a tensor with rows, not {what}")
            if tensor.layout != torch.strided:
                raise DataError(
                    f"sample {id!r}: {name} is a sparse tensor; give its edges as edge_index, and "
                    "their values as another tensor"
                )
        if num_nodes is None:
            counted = [tensors[name] for name in (*_PER_NODE, "y") if name in tensors]
            if not counted:
                raise DataError(
                    f"sample {id!r}: give num_nodes, as there is no x, pos or y to count"
                )
            num_nodes = counted[0].shape[0]
        self.num_nodes = num_nodes
        for name, tensor in tensors.items():
            if holds_nodes(name, tensor):
                _check_nodes(id, name, tensor, self.num_nodes)
            elif name in _PER_NODE and tensor.shape[0] != self.num_nodes:
                raise DataError(
                    f"sample {id!r}: {name} has {tensor.shape[0]} rows for {self.num_nodes} nodes"
                )

    def __repr__(self) -> str:
        return f"Sample(id={self.id!r}, {self._shapes()})"


def is_edge_index(name: str) -> bool:
    """Whether a tensor of this name holds edges, pairs of nodes."""
    return name.endswith("edge_index")


def holds_nodes(name: str, tensor: Tensor) -> bool:
    """Whether a tensor holds numbers of nodes, which count from its sample's first.

    PyTorch Geometric goes by the names, too.
    """
    integers = not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)
    return is_edge_index(name) or name == "face" or ("index" in name and integers)


def _check_nodes(id: str, name: str, nodes: Tensor, num_nodes: int) -> None:
    form = "[2, E]" if is_edge_index(name) else "[k, L] or [L]"
    fits = nodes.shape[:-1] == (2,) if is_edge_index(name) else nodes.ndim <= 2
    if nodes.dtype != torch.int64 or not fits:
        raise DataError(
            f"sample {id!r}: {name} must be int64 {form}, not {nodes.dtype} {list(nodes.shape)}"
            + (
                transposed(name, nodes.shape)
                if is_edge_index(name)
                else ", as its name says that it holds numbers of nodes"
            )
        )
    # A node that does not exist would read beyond the features, or count from their end.
    if nodes.numel() and (int(nodes.min()) < 0 or int(nodes.max()) >= num_nodes):
        raise DataError(
            f"sample {id!r}: {name} names nodes {int(nodes.min())} to {int(nodes.max())}, "
            f"but there are {num_nodes} (numbered from 0)"
            + ("" if is_edge_index(name) else "; what numbers no nodes needs another name")
        )
