"""Attributes of a batch, whatever its class."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from gkd.errors import DataError, suggestion


def value_of(batch: object, name: str) -> Any:
    """Return ``batch.name``, None where there is none; see :func:`attribute`."""
    value = getattr(batch, name, None)
    if value is None and "." in name and node_and_edge_types(batch):
        kind, _, name = name.rpartition(".")
        if kind in map(_written, node_and_edge_types(batch)):
            # Of several names the middle one does not tell which edges are meant.
            path = tuple(kind.split("__")) if "__" in kind else kind
            value = getattr(batch[path], name, None)  # type: ignore[index]
    return value


def node_and_edge_types(batch: object) -> list[object]:
    """Return the types of nodes and edges of a batch that keeps them apart."""
    if not hasattr(batch, "__getitem__"):
        return []
    kinds = (getattr(batch, name, None) for name in ("node_types", "edge_types"))
    return [kind for each in kinds if isinstance(each, list) for kind in each]


def _written(kind: object) -> str:
    return "__".join(kind) if isinstance(kind, tuple) else str(kind)


def attribute(batch: object, name: str, purpose: str) -> object:
    """Return ``batch.name``.

    Args:
        batch: any object with attributes.
        name: attribute to read; None counts as missing, as in PyTorch Geometric. Where nodes are
            of several types, as in its ``HeteroData``, ``"paper.x"`` is that of one type, and
            ``"author__writes__paper.edge_index"`` that of one type of edges.
        purpose: what it is needed for, for the message.

    Raises:
        DataError: there is none; the message names the attributes that are there, or says what a
            batch is.

    >>> from types import SimpleNamespace
    >>> attribute(SimpleNamespace(x=1, y=2), "z", "target")
    Traceback (most recent call last):
    gkd.errors.DataError: target: the batch (SimpleNamespace) has no 'z'; available: x, y
    """
    value = value_of(batch, name)
    if value is None:
        names = attribute_names(batch)
        paths = [path for path in names if path.endswith(f".{name}")]
        if paths:
            hint = f"its nodes are of several types: name one, {' or '.join(map(repr, paths))}"
        elif isinstance(batch, Mapping) and not all(hasattr(batch, str(key)) for key in batch):
            hint = "a dict has keys, not attributes: pass types.SimpleNamespace(**batch)"
        elif isinstance(batch, list | tuple) and batch and hasattr(batch[0], name):
            hint = (
                "its items have: pass one of them, or a batch of all, made by gkd.collate, or by "
                "Batch.from_data_list of PyTorch Geometric"
            )
        elif not names:
            hint = (
                "a batch is one object that has all data as attributes, such as Data of PyTorch "
                "Geometric or types.SimpleNamespace(x=x, edge_index=edge_index, y=y): pass that"
            )
        else:
            hint = suggestion(name, names)
        raise DataError(f"{purpose}: the batch ({type(batch).__name__}) has no {name!r}; {hint}")
    return value


def tensor_attribute(batch: object, name: str, purpose: str) -> Tensor:
    """Return ``batch.name``; :class:`DataError` when it is missing or not a tensor."""
    value = attribute(batch, name, purpose)
    if not isinstance(value, Tensor):
        raise DataError(f"{purpose}: batch.{name} is a {type(value).__name__}, not a tensor")
    return value


def attribute_names(batch: object) -> list[str]:
    """Names of the data that ``batch`` holds."""
    if types := node_and_edge_types(batch):
        stores = {_written(kind): batch[kind] for kind in types}  # type: ignore[index]
        return [f"{kind}.{name}" for kind, store in stores.items() for name in dict(store)]
    keys = getattr(batch, "keys", None)
    names = keys() if callable(keys) else getattr(batch, "__dict__", {})
    return [str(name) for name in names if not str(name).startswith("_")]


def tensors(batch: object) -> dict[str, Tensor]:
    """Return the tensors with rows that ``batch`` holds, by name."""
    values = {name: value_of(batch, name) for name in attribute_names(batch)}
    return {name: v for name, v in values.items() if isinstance(v, Tensor) and v.ndim}


class ChangedBatch:
    """A batch some of whose attributes are others.

    Args:
        batch: any object with attributes.
        changed: in place of the batch's attributes of these names.

    Raises:
        DataError: the batch has no such attribute.

    >>> from types import SimpleNamespace
    >>> changed = ChangedBatch(SimpleNamespace(x=1, y=2), {"x": 3})
    >>> changed.x, changed.y
    (3, 2)
    """

    def __init__(self, batch: object, changed: Mapping[str, object]) -> None:
        for name in changed:
            attribute(batch, name, "changed input")
        self._batch = batch
        self.__dict__.update(changed)

    def __getattr__(self, name: str) -> object:
        return getattr(self.__dict__["_batch"], name)
