"""Classes of PyTorch Geometric, or of anyone, by name."""

import importlib
import inspect
from collections.abc import Mapping, Sequence, Sized
from typing import Any, TypeAlias

from gkd import DataError, ParameterError
from gkd.errors import suggestion
from gkd.hosting.host import import_own


def class_of(name: str, module: str, base: type, what: str) -> Any:
    """Return a class.

    Args:
        name: of a class in ``module``, or ``"package.module:Class"``.
        module: of PyTorch Geometric.
        base: that it must be a subclass of.
        what: messages call it.

    Raises:
        ParameterError: PyTorch Geometric is not installed, or there is no such class.
    """
    if ":" in name:
        value, found = import_own(name), importlib.import_module(name.partition(":")[0])
    else:
        try:
            found = importlib.import_module(module)
        except ImportError as error:
            if (error.name or "").partition(".")[0] == "torch_geometric":
                raise ParameterError(
                    "PyTorch Geometric is not installed: pip install 'gkd[pyg]'"
                ) from error
            raise ParameterError(f"{what} {name!r}: {module}: {error}") from error
        value = getattr(found, name, None)
    if not _is_a(value, base):
        known = [key for key, one in vars(found).items() if _is_a(one, base)]
        place, dot, own = name.rpartition(".")
        own_hint = f"; code of yours is named by a colon, {place}:{own}" if dot else ""
        raise ParameterError(
            f"there is no {what} {name!r} in {found.__name__}; "
            f"{suggestion(name.rpartition(':')[2], known)}{own_hint if ':' not in name else ''}"
        )
    return value


OWN_SPLITS = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}
"""What data sets of PyTorch Geometric, and those who write some, call the splits."""

Graphs: TypeAlias = list[Any] | dict[str, list[Any]]
"""Graphs to be split, or those of each split by its name."""


def own_graphs(name: str) -> Graphs | None:
    """Return the graphs that ``module:Object`` names: one, several, or a function that makes them.

    None where that is a class, or anything else.
    """
    if ":" not in name:
        return None
    try:
        from torch_geometric.data.data import BaseData
    except ImportError:  # whoever needs it says so
        return None
    found = import_own(name)
    if inspect.isfunction(inspect.unwrap(found)):
        try:
            found = of_splits(found, {}) if has_splits(found) else found()
        except Exception as error:
            raise ParameterError(f"{name}() raised {type(error).__name__}: {error}") from error
        if not _are_graphs(found, BaseData):
            raise ParameterError(
                f"{name}() returns {_described(found, BaseData)}: expected a graph of PyTorch "
                "Geometric (Data, HeteroData), a list or a data set of them, or those of each "
                'split, {"train": ..., "val": ..., "test": ...}'
            )
    if not _are_graphs(found, BaseData):
        return None
    if isinstance(found, Mapping):
        return {key: _listed(value, BaseData) for key, value in found.items()}
    return _listed(found, BaseData)


def has_splits(maker: Any) -> bool:
    """Whether a class or a function makes a split at a time; Planetoid's ``split`` names masks."""
    split = inspect.signature(maker).parameters.get("split")
    return split is not None and (split.default is split.empty or "train" in str(split.default))


def of_splits(maker: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a class or a function makes of each split, by the first name that it knows."""
    return {part: _of_split(maker, given, names) for part, names in OWN_SPLITS.items()}


def _of_split(maker: Any, given: Mapping[str, Any], names: Sequence[str]) -> Any:
    for name in names[:-1]:
        try:
            return maker(**given, split=name)
        except (ValueError, AssertionError, KeyError):
            continue
    return made(maker, {**given, "split": names[-1]}, "data set")


def _listed(graphs: Any, base: type) -> list[Any]:
    # A data set of theirs is no sequence of Python's, and has no end unless it is asked by number.
    one = isinstance(graphs, base)
    return [graphs] if one else [graphs[number] for number in range(len(graphs))]


def may_name_graphs(name: str) -> bool:
    """Whether a name is that of graphs, or of a class or a function of which they may be made."""
    if ":" not in name and not name[:1].isupper():  # no class: nothing is imported to find out
        return False
    try:
        from torch_geometric import datasets
        from torch_geometric.data import Dataset
        from torch_geometric.data.data import BaseData
    except ImportError:
        return False
    if ":" not in name:
        return _is_a(getattr(datasets, name, None), Dataset)
    found = import_own(name)
    if inspect.isclass(found):
        return issubclass(found, Dataset)
    if not inspect.isfunction(inspect.unwrap(found)):
        return _are_graphs(found, BaseData)
    returned = inspect.signature(found).return_annotation
    return returned is inspect.Signature.empty or "Data" in str(returned)


def _are_graphs(value: Any, base: type) -> bool:
    from torch.utils.data import Dataset

    if isinstance(value, base):
        return True
    if isinstance(value, Mapping):
        return bool(value) and all(
            not isinstance(part, Mapping) and _are_graphs(part, base) for part in value.values()
        )
    if isinstance(value, Dataset):
        return hasattr(value, "__len__") and len(value) > 0 and isinstance(value[0], base)
    several = isinstance(value, list | tuple) and bool(value)
    return several and all(isinstance(one, base) for one in value)


def _described(value: Any, base: type) -> str:
    """Say what a value is that holds no graphs, or not of every split."""
    if isinstance(value, Mapping) and value:
        wrong = next(key for key, part in value.items() if not _are_graphs(part, base))
        return f"a dict whose {wrong!r} is {_described(value[wrong], base)}"
    if isinstance(value, list | tuple) and value:
        wrong = next((one for one in value if not isinstance(one, base)), value[0])
        return f"a {type(value).__name__} of {type(wrong).__name__}"
    empty = isinstance(value, Sized) and not len(value)
    return f"an empty {type(value).__name__}" if empty else type(value).__name__


def made(cls: Any, parameters: Mapping[str, Any], what: str) -> Any:
    """Return ``cls(**parameters)``; what does not fit is a :class:`ParameterError`."""
    try:
        return cls(**parameters)
    except (TypeError, ValueError, AssertionError) as error:
        given = ", ".join(f"{key}={value!r}" for key, value in parameters.items())
        raise ParameterError(f"{what} {cls.__name__}({given}): {error}") from error


def without_network(cls: Any) -> Any:
    """Return a class of data sets whose download, where it would begin one, is an error."""
    from torch_geometric.data import Dataset

    # A class that makes its data has the method of all, and may not even say what files it needs.
    if getattr(cls, "download", Dataset.download) is Dataset.download:
        return cls

    def download(self: Any) -> None:
        raise DataError(
            f"there is no {cls.__name__} at {self.raw_dir}: a run downloads it, and a check does "
            "not; or put its files there by other means"
        )

    return type(cls.__name__, (cls,), {"download": download, "__module__": cls.__module__})


def _is_a(value: Any, base: type) -> bool:
    return isinstance(value, type) and issubclass(value, base) and value.__name__[0] != "_"
