"""Attributes of a batch, whatever its class."""

from collections.abc import Mapping

from torch import Tensor

from gkd.errors import DataError, suggestion


def attribute(batch: object, name: str, purpose: str) -> object:
    """Return ``batch.name``.

    Args:
        batch: any object with attributes.
        name: attribute to read; None counts as missing, as in PyTorch Geometric.
        purpose: what it is needed for, for the message.

    Raises:
        DataError: there is none; the message names the attributes that are there, or says that
            keys are none.

    >>> from types import SimpleNamespace
    >>> attribute(SimpleNamespace(x=1, y=2), "z", "target")
    Traceback (most recent call last):
    gkd.errors.DataError: target: the batch (SimpleNamespace) has no 'z'; available: x, y
    """
    value = getattr(batch, name, None)
    if value is None:
        names = attribute_names(batch)
        if isinstance(batch, Mapping) and not all(hasattr(batch, str(key)) for key in batch):
            hint = "a dict has keys, not attributes: pass types.SimpleNamespace(**batch)"
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
    keys = getattr(batch, "keys", None)
    names = keys() if callable(keys) else getattr(batch, "__dict__", {})
    return [str(name) for name in names if not str(name).startswith("_")]


def num_nodes(batch: object) -> int | None:
    """Return the number of nodes of ``batch``, None where it does not tell."""
    for name in ("num_nodes", "batch", "x", "pos"):
        value = getattr(batch, name, None)
        if value is not None:
            return len(value) if isinstance(value, Tensor) and value.ndim else int(value)
    return None
