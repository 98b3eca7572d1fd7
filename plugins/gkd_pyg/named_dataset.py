"""Any data set of PyTorch Geometric, with the splits that it has."""

import inspect
import warnings
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeInt
from torch import Tensor

from gkd import AbstractDataset, DataError, ParameterError, Sample
from gkd.data.downloads import may_download
from gkd.errors import suggestion
from gkd.hosting.host import import_own
from gkd_pyg.by_name import (
    OWN_SPLITS,
    class_of,
    has_splits,
    made,
    may_name_graphs,
    of_splits,
    own_graphs,
    without_network,
)
from gkd_pyg.node_types import Types

_MASKS = {"train": "train_mask", "validation": "val_mask", "test": "test_mask"}
_PAIRS = ("edge_label_index", "edge_label")  # as RandomLinkSplit calls pairs, and their labels
_EMBEDDING = 64


class PyGDataset(AbstractDataset):
    """A data set of PyTorch Geometric: its masks, its own splits, or folds of its graphs.

    In a recipe: ``dataset = { name = "pyg", dataset = "Planetoid", root = "data", name_ = "Cora"
    }``; a parameter of the class that a recipe uses itself (``name``) is written with an underscore
    behind it.

    - One graph with ``train_mask``, ``val_mask`` and ``test_mask``: these rows. Of masks with
      several columns ``split`` chooses one; ``"seed"``, each seed of a run its own.
    - A class whose parameter ``split`` is ``"train"`` by default, or has no default: one data set
      for each of train, val and test.
    - Graphs of your own by split, ``{"train": [...], "val": [...], "test": [...]}``, or a function
      whose parameter ``split`` is one of these: those.
    - Several graphs: in ``folds``, of which ``split`` tests, the next one validates.

    Graphs by split with ``edge_label_index`` and ``edge_label``, as ``RandomLinkSplit`` makes them
    of one graph, and without other labels are for link prediction: outputs are embeddings of nodes,
    64 wide unless a network's ``out_channels`` says otherwise.

    Integers are classes; several columns of 0 and 1, and one of such floating point, are labels of
    their own, NaN where one is not known; other numbers are to be predicted (regression). A
    recipe's ``task`` says otherwise.

    Args:
        dataset: name of a class in ``torch_geometric.datasets``, ``"package.module:Class"``, or one
            ``Data`` or ``HeteroData``, a list or a data set of them, or a function that returns
            one of these: ``"module:graph"``.
        split: which of several masks, or the fold that tests.
        folds: of several graphs without a split of their own.
        target: attribute that holds the labels; ``"edge_label"`` of graphs that have ``y`` as well.
        nodes: type of nodes, where there are several (``HeteroData``): ``"paper"``.
        edges: types of edges among them, ``"paper__cites__paper"``, one or several; by default the
            only one. Edges that join two types of nodes are no graph: a transform of the class
            (``AddMetaPaths``) makes others of them.
        root: folder of the class's files, where it has some; in a recipe by default that of the
            variable ``GKD_DATA``.
        **parameters: of the class.

    Raises:
        ParameterError: there is no such class, or the parameters do not fit it.
        DataError: the data have no labels, types that nobody chose, or cannot be split.
    """

    train: Sequence[Sample] = ()
    validation: Sequence[Sample] = ()
    test: Sequence[Sample] = ()

    @staticmethod
    def example_parameters(folder: Path) -> tuple[dict[str, object], ...]:
        """Write paths of 3 to 14 nodes for the class TUDataset, for checks."""
        raw = folder / "EXAMPLE" / "raw"
        raw.mkdir(parents=True, exist_ok=True)
        graphs = [graph for graph in range(12) for _ in range(3 + graph)]
        pairs = [(n, n + 1) for n in range(1, len(graphs)) if graphs[n - 1] == graphs[n]]
        content: dict[str, list[Any]] = {
            "A": [f"{a}, {b}\n{b}, {a}" for a, b in pairs],
            "graph_indicator": [graph + 1 for graph in graphs],
            "graph_labels": [graph % 2 for graph in range(12)],
            "node_labels": [node % 3 for node in range(len(graphs))],
        }
        for name, lines in content.items():
            text = "".join(f"{line}\n" for line in lines)
            (raw / f"EXAMPLE_{name}.txt").write_text(text, encoding="utf-8")
        return ({"dataset": "TUDataset", "root": folder, "name": "EXAMPLE", "folds": 3},)

    @staticmethod
    def needs_root(dataset: str = "", **parameters: Any) -> bool:
        """Whether a class keeps files in a folder of which it does not know."""
        if ":" in dataset and not inspect.isclass(import_own(dataset)):
            return False
        cls = class_of(dataset, "torch_geometric.datasets", object, "data set")
        root = inspect.signature(cls).parameters.get("root")
        return root is not None and root.default is root.empty

    @staticmethod
    def parameter_for(name: str) -> str | None:
        """Name the parameter that takes graphs, their class, or what may return them."""
        return "dataset" if may_name_graphs(name) else None

    def __init__(
        self,
        dataset: str,
        split: NonNegativeInt | Literal["seed"] = 0,
        folds: Annotated[int, Field(ge=3)] = 10,
        target: str = "y",
        nodes: str | None = None,
        edges: str | Sequence[str] | None = None,
        root: Path | None = None,
        **parameters: Any,
    ) -> None:
        given = {name.removesuffix("_"): value for name, value in parameters.items()}
        given |= {} if root is None else {"root": str(root)}
        self._name, self._target, self._folds = dataset.rpartition(":")[2], target, folds
        self._types = Types(nodes, (edges,) if isinstance(edges, str) else edges)
        self._per_seed, first = split == "seed", 0 if split == "seed" else split
        graphs = own_graphs(dataset)
        if graphs is not None:
            if given:
                raise ParameterError(f"{dataset} names graphs, which take no {', '.join(given)}")
            if isinstance(graphs, dict):
                self._set_splits(_by_split(graphs, dataset), split)
            else:
                self._all = self._samples(graphs, "graph")
                self._take(first)
            self._describe()
            return
        cls = class_of(dataset, "torch_geometric.datasets", object, "data set")
        if not may_download():
            cls = without_network(cls)
        in_splits = has_splits(cls) and "split" not in given
        _require_renamed(cls, given.keys() | ({"split"} if in_splits else set()))
        if in_splits:
            self._set_splits(of_splits(cls, given), split)
        else:
            self._all = self._samples(made(cls, given, "data set"), "graph")
            self._take(first)
        self._describe()

    def for_seed(self, seed: int) -> "PyGDataset":
        """Return the data with the split of that number, where the split is ``"seed"``."""
        if not self._per_seed:
            return self
        other = copy(self)
        other._take(seed)
        return other

    def _set_splits(self, parts: Mapping[str, Any], split: int | str) -> None:
        if split != 0:
            raise ParameterError(
                f"{self._name} has splits of its own: split chooses masks or folds, leave it out"
            )
        for part, graphs in parts.items():
            setattr(self, part, self._samples(graphs, part))

    def _take(self, split: int) -> None:
        """Assign the samples of one split."""
        if len(self._all) == 1:
            sample = self._all[0]
            missing = [mask for mask in _MASKS.values() if mask not in sample]
            if missing:
                raise DataError(
                    f"{self._name}: one graph without {', '.join(missing)}: its class must have "
                    "masks of nodes, or a transform that makes some (RandomNodeSplit)"
                )
            masks = {mask: _column(getattr(sample, mask), split, mask) for mask in _MASKS.values()}
            tensors = {name: value for name, value in sample.items() if name not in masks}
            chosen = Sample(id=sample.id, num_nodes=sample.num_nodes, **tensors, **masks)
            self.train = self.validation = self.test = [chosen]
            self.rows = _MASKS
            return
        if len(self._all) < self._folds or split >= self._folds:
            raise ParameterError(
                f"{self._name}: no fold {split} of {self._folds} of {len(self._all)} graphs"
            )
        generator = torch.Generator().manual_seed(0)
        order = torch.randperm(len(self._all), generator=generator).tolist()
        of = {number: place % self._folds for place, number in enumerate(order)}
        parts: dict[str, list[Sample]] = {"train": [], "validation": [], "test": []}
        for number, sample in enumerate(self._all):
            part = {split: "test", (split + 1) % self._folds: "validation"}.get(of[number], "train")
            parts[part].append(sample)
        self.train, self.validation, self.test = parts.values()

    def _samples(self, graphs: Any, part: str) -> list[Sample]:
        if not (hasattr(graphs, "__len__") and hasattr(graphs, "__getitem__")):
            raise DataError(
                f"{self._name} makes a {type(graphs).__name__}: expected a data set of PyTorch "
                "Geometric, which has graphs by their numbers"
            )
        return [
            _sample(
                self._types.of(graph, f"{self._name}/{part}-{number}"),
                f"{self._name}/{part}-{number}",
                self._target,
            )
            for number, graph in enumerate(graphs)
        ]

    def _describe(self) -> None:
        """Say what the task is, and how wide inputs and outputs are."""
        samples = [*self.train, *self.validation, *self.test]
        sample, labels = samples[0], [one.y for one in samples if "y" in one]
        feature = next((name for name in ("x", "pos") if name in sample), None)
        if feature is None or getattr(sample, feature).ndim < 2:
            found = "neither x nor pos" if feature is None else f"{feature} without columns"
            raise DataError(
                f"{self._name} has {found}: expected features of its nodes, [nodes, features]; a "
                "transform of the class makes some (Constant, OneHotDegree)"
            )
        self.num_features = getattr(sample, feature).shape[1]
        edges = ("edge_index",) if "edge_index" in sample else ()
        if not labels or (self._target in _PAIRS and self._target in sample):
            self.task, self.num_classes = "link-prediction", _EMBEDDING
            self.inputs = (feature, *edges)
            return
        # One graph may have as many nodes as labels, and one label any value: all of them tell.
        whole = any(len(one.y) != one.num_nodes for one in samples)
        binary = all(bool(((y == 0) | (y == 1) | y.isnan()).all()) for y in labels)
        self.inputs = (feature, *edges, *(("batch",) if whole else ()))
        if labels[0].ndim == 1:
            self.task = "single-label"
            self.num_classes = max(int(y.max()) + 1 for y in labels)
            return
        self.num_classes = labels[0].shape[1]
        if not binary and not labels[0].is_floating_point():
            raise DataError(
                f"{self._name} has labels of {self.num_classes} columns of whole numbers: expected "
                "one of class numbers, columns of 0 and 1, or floating point for numbers to be "
                "predicted; a transform of the class makes such"
            )
        self.task = "multi-label" if binary else "regression"
        if self.task == "multi-label" and _may_be_one_hot(torch.cat(labels)):
            warnings.warn(
                f"{self._name} has labels of {self.num_classes} columns with one 1 in each row: "
                "they are taken for labels of their own (multi-label); classes of which a row has "
                "one are numbers, as y.argmax(1) makes them",
                stacklevel=2,
            )
        if self.task == "regression" and _may_be_classes(torch.cat(labels)):
            warnings.warn(
                f"{self._name} has labels of floating point that are few whole numbers: they are "
                "taken for numbers to be predicted (regression); classes are integers from 0 on, "
                "as y.long() makes them",
                stacklevel=2,
            )
        if self.task == "regression" and _may_be_signs(torch.cat(labels)):
            warnings.warn(
                f"{self._name} has columns of labels of -1, 0 and 1: they are taken for numbers to "
                "be predicted (regression); labels of their own are 0 and 1, and NaN where one is "
                "not known",
                stacklevel=2,
            )


def _may_be_classes(y: Tensor) -> bool:
    """Whether one column of numbers may be that of classes: whole numbers that follow another."""
    found = sorted(set(y.flatten().tolist()))
    follow = found == [*range(int(found[0]), int(found[0]) + len(found))] if found else False
    several = y.shape[1] == 1 and len(y) > 2 * len(found)
    return several and ((follow and -1 <= found[0] <= 1) or found == [-1, 1])


def _may_be_signs(y: Tensor) -> bool:
    """Whether columns of -1, 0 and 1 may be labels that are there or not."""
    return (
        y.shape[1] > 1
        and bool(((y.abs() == 1) | (y == 0) | y.isnan()).all())
        and bool((y < 0).any())
    )


def _may_be_one_hot(y: Tensor) -> bool:
    """Whether columns of 0 and 1 may say which of several classes a row is of."""
    return y.shape[1] > 1 and bool((y.sum(1) == 1).all())


def _by_split(graphs: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the graphs of each split, whatever of its names it was given by."""
    known = {name: part for part, names in OWN_SPLITS.items() for name in names}
    if unknown := [key for key in graphs if key not in known]:
        raise ParameterError(f"{name}: no split {unknown[0]!r}; {suggestion(unknown[0], known)}")
    parts = {known[key]: value for key, value in graphs.items()}
    if lacking := [part for part in OWN_SPLITS if part not in parts]:
        raise ParameterError(f"{name} has no graphs of the split {lacking[0]}")
    return parts


def _require_renamed(cls: Any, given: Collection[str]) -> None:
    """Say how to write a parameter that a class needs and that means another thing here."""
    own = {"name", *inspect.signature(PyGDataset).parameters}
    for name, parameter in inspect.signature(cls).parameters.items():
        if name in own - {"root", *given} and parameter.default is parameter.empty:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            raise ParameterError(
                f"{cls.__name__} needs a {name}: write {name}_ = ..., as {name} alone is another "
                "key of a recipe's dataset"
            )


def _sample(graph: Any, name: str, target: str) -> Sample:
    """Return a graph of PyTorch Geometric as a sample."""
    given = graph.to_dict()
    for key in (target, "x", "pos", "edge_index", "edge_attr"):
        if isinstance(given.get(key), np.ndarray):
            raise DataError(f"{name}: {key} is an array of numpy: torch.from_numpy makes a tensor")
    found = {key: value for key, value in given.items() if isinstance(value, Tensor)}
    if "adj_t" in graph and "edge_index" not in found:
        from torch_geometric.utils import to_edge_index

        ends, weights = to_edge_index(graph.adj_t)
        found["edge_index"] = ends.flip(0)  # its rows are the targets
        if not bool((weights == 1).all()):
            found["edge_weight"] = weights
    if isinstance(number := given.get(target), int | float):
        found[target] = torch.tensor([number])
    for mask in _MASKS.values():
        if mask in found and found[mask].ndim > 0 and len(found[mask]) != graph.num_nodes:
            raise DataError(
                f"{name}: {mask} has {len(found[mask])} entries for {graph.num_nodes} nodes: a "
                "mask has one for each node, as torch_geometric.utils.index_to_mask makes of "
                "nodes' numbers"
            )
    edges = int(graph.num_edges)
    for key in ("edge_attr", "edge_weight"):
        if key in found and (found[key].ndim == 0 or len(found[key]) != edges):
            raise DataError(
                f"{name}: {key} has the shape {list(found[key].shape)} for {edges} edges: expected "
                "a row for each"
            )
    # Pairs without labels are kept, too: a task of links must not take edges in their place.
    pairs = {key: found[key] for key in _PAIRS if key in found and _PAIRS[0] in found}
    kept = {key: value for key, value in found.items() if _is_row(key, value, graph)}
    number = int(graph.num_nodes)
    if len(pairs) == 2 and (target in pairs or (target == "y" and "y" not in found)):
        return Sample(id=name, num_nodes=number, **(kept | pairs))
    if target not in found:
        raise DataError(f"{name} has no labels {target!r}; {suggestion(target, found)}")
    y = found[target]
    kept.pop(target, None)
    y = y.reshape(1) if y.ndim == 0 else y
    if y.ndim == 1 and len(y) not in (1, number, edges):
        raise DataError(
            f"{name}: {target} has {len(y)} numbers for {number} nodes and {edges} edges: expected "
            f"one for each; several of the graph are a row, [1, {len(y)}], as "
            f"{target}.reshape(1, -1) makes it"
        )
    # Class numbers stand alone, all else in columns.
    if y.is_floating_point():
        y = y[:, None] if y.ndim == 1 else y
    elif y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    # Pairs go along with labels of nodes, too: a recipe may have the task of links.
    return Sample(id=name, num_nodes=number, y=y, **(kept | pairs))


def _is_row(key: str, value: Tensor, graph: Any) -> bool:
    """Whether a tensor has rows of nodes or edges, and a name that samples may have."""
    sizes = (int(graph.num_nodes), int(graph.num_edges))
    fits = key == "edge_index" or (value.ndim > 0 and len(value) in sizes)
    return fits and value.layout == torch.strided and key not in ("batch", "ptr", "num_nodes")


def _column(mask: Tensor, split: int, name: str) -> Tensor:
    if mask.ndim == 1:
        return mask.bool()
    if split >= mask.shape[1]:
        raise ParameterError(f"there is no split {split}; {name} has 0 to {mask.shape[1] - 1}")
    return mask[:, split].bool()
