"""tudataset: whole graphs to classify, in the text layout of the TUDataset collection."""

import io
from copy import copy
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeInt

from gkd import DataError, Sample
from gkd.data.archive import Archive
from gkd.errors import ParameterError, shown, validated
from gkd_data.data_root import find_root
from gkd_data.in_memory import InMemoryDataset
from gkd_data.random_by_purpose import random_state

_EDGES = "_A.txt"


class TUDataset(InMemoryDataset):
    """Graphs with a class each, in one of some folds that have alike shares of every class.

    A fold tests, the next one validates, all others train. A sample is a graph: ``x [n, F]``,
    ``edge_index [2, E]`` (each edge once, without self-loops), ``y [1]``, and where edges have
    labels ``edge_attr [E, K]``, one-hot. Features are the nodes' labels, one-hot, as for PyTorch
    Geometric's class of this name; their attributes behind them on request; a constant 1 where
    there are neither. The files, ``NAME`` being the folder's or the archive's:

        NAME_A.txt                one edge a line, ``source, target``, nodes of all graphs from 1
        NAME_graph_indicator.txt  the graph of each node, from 1, ascending
        NAME_graph_labels.txt     the class of each graph
        NAME_node_labels.txt, NAME_node_attributes.txt, NAME_edge_labels.txt, where there are some

    Args:
        root: folder of the files, or their zip archive; or the folder that has it.
        fold: that tests; ``"seed"``: each seed of a run takes the one of its own number.
        folds: number of folds.
        attributes: append the nodes' attributes to their labels.

    Raises:
        DataError: a file is missing or damaged, or a class has fewer graphs than there are folds.
        ParameterError: there is no such fold.

    Source: Morris et al., TUDataset: A collection of benchmark datasets for learning with graphs,
    2020; ten folds as in Xu et al., How Powerful are Graph Neural Networks?, ICLR 2019.
    """

    task = "single-label"
    inputs = ("x", "edge_index", "batch")

    @staticmethod
    def example_parameters(folder: Path) -> tuple[dict[str, object], ...]:
        """Write paths and rings of 3 to 8 nodes, for checks."""
        edges: list[str] = []
        graphs: list[int] = []
        for graph in range(12):
            nodes, first = 3 + graph // 2, len(graphs) + 1
            graphs += nodes * [graph + 1]
            links = [(first + n, first + (n + 1) % nodes) for n in range(nodes - graph % 2)]
            edges += [f"{a}, {b}\n{b}, {a}" for a, b in links]
        labels = [graph % 2 for graph in range(12)]
        content: dict[str, list[Any]] = {
            "A": edges,
            "graph_indicator": graphs,
            "graph_labels": labels,
        }
        for name, lines in content.items():
            text = "".join(f"{line}\n" for line in lines)
            (folder / f"EXAMPLE_{name}.txt").write_text(text, encoding="utf-8")
        return ({"root": folder, "folds": 3},)

    @validated
    def __init__(
        self,
        root: str | Path,
        fold: NonNegativeInt | Literal["seed"] = 0,
        folds: Annotated[int, Field(ge=3)] = 10,
        attributes: bool = False,
    ) -> None:
        place = find_root(Path(root).expanduser(), _has_edges)
        if not place.exists():
            raise DataError(
                f"there is no {place}; root is the folder of the files, or their archive, or the "
                "folder that has it"
            )
        archive = Archive(place, ())
        name = _name_of(archive)
        self._samples, self._classes, self.num_classes = _read(archive, name, attributes)
        self.num_features = self._samples[0].x.shape[1]
        self._where = archive.where(f"{name}_graph_labels.txt")
        self._folds, self._per_seed = folds, fold == "seed"
        self._take(0 if fold == "seed" else fold)

    def for_seed(self, seed: int) -> "TUDataset":
        """Return the data with the fold of that number, where the fold is ``"seed"``."""
        if not self._per_seed:
            return self
        other = copy(self)
        other._take(seed)
        return other

    def _take(self, fold: int) -> None:
        """Assign the samples of one fold."""
        if fold >= self._folds:
            raise ParameterError(
                f"tudataset: there is no fold {fold} of {self._folds}; the folds are 0 to "
                f"{self._folds - 1}"
            )
        of_graph = np.empty(len(self._classes), dtype=np.int64)
        for label in range(self.num_classes):
            members = np.flatnonzero(self._classes == label)
            if len(members) < self._folds:
                raise DataError(
                    f"{self._where}: class {label} has {len(members)} graphs, fewer than "
                    f"{self._folds} folds"
                )
            order = random_state(0, "folds", label).permutation(members)
            of_graph[order] = np.arange(len(order)) % self._folds
        validating = (fold + 1) % self._folds
        parts: dict[str, list[Sample]] = {"train": [], "validation": [], "test": []}
        for sample, its in zip(self._samples, of_graph.tolist(), strict=True):
            part = {fold: "test", validating: "validation"}.get(its, "train")
            parts[part].append(sample)
        self.train, self.validation, self.test = parts.values()


def _has_edges(place: Path) -> bool:
    if place.is_dir():
        return any(place.glob(f"*{_EDGES}"))
    if not place.is_file():
        return False
    try:
        return any(name.endswith(_EDGES) for name in Archive(place, ()).names)
    except DataError:  # it is said of the archive that is asked for
        return False


def _name_of(archive: Archive) -> str:
    """Return what the files of the data set are called."""
    names = [name.removesuffix(_EDGES) for name in archive.names if name.endswith(_EDGES)]
    if len(names) != 1:
        raise DataError(
            f"{archive.place} must have the edges of one data set, NAME{_EDGES}, and has "
            f"{len(names)}"
        )
    return names[0]


def _read(archive: Archive, name: str, attributes: bool) -> tuple[list[Sample], np.ndarray, int]:
    """Return the graphs in their own order, the class of each from 0, and how many there are."""
    graph = _column(archive, f"{name}_graph_indicator.txt")
    labels = _column(archive, f"{name}_graph_labels.txt")
    count, nodes = len(labels), len(graph)
    sizes = np.bincount(np.clip(graph, 0, count + 1), minlength=count + 2)
    if not count or (np.diff(graph) < 0).any() or sizes[0] or sizes[-1] or not sizes[1:-1].all():
        raise DataError(
            f"{archive.where(f'{name}_graph_indicator.txt')} must name the graphs 1 to {count} of "
            "its nodes, ascending, each at least once"
        )
    known, classes = np.unique(labels, return_inverse=True)
    features = [_one_hot(archive, f"{name}_node_labels.txt", nodes)]
    if attributes:
        archive.require([f"{name}_node_attributes.txt"])
        features.append(_table(archive, f"{name}_node_attributes.txt", nodes).astype(np.float32))
    present = [each for each in features if each is not None] or [np.ones((nodes, 1), np.float32)]
    x = np.concatenate(present, axis=1)
    edges = _whole(archive, f"{name}{_EDGES}", _table(archive, f"{name}{_EDGES}"))
    if edges.shape[1] != 2 or (len(edges) and not 1 <= edges.min() <= edges.max() <= nodes):
        raise DataError(
            f"{archive.where(f'{name}{_EDGES}')} must have two nodes of 1 to {nodes} a line"
        )
    source, target = edges.T - 1
    if (graph[source] != graph[target]).any():
        line = int((graph[source] != graph[target]).argmax()) + 1
        raise DataError(f"{archive.where(f'{name}{_EDGES}')}: line {line} joins two graphs")
    of_edges = _one_hot(archive, f"{name}_edge_labels.txt", len(edges))
    # By graph, then target and source, as graphs sort them; loops are left to the models.
    _, first = np.unique(target * nodes + source, return_index=True)
    first = first[source[first] != target[first]]
    starts = np.concatenate([[0], sizes[1:-1].cumsum()])
    bounds = np.searchsorted(target[first], starts)
    samples = []
    for index in range(count):
        start, its = starts[index], first[bounds[index] : bounds[index + 1]]
        tensors = {
            "x": x[start : starts[index + 1]],
            "edge_index": np.stack([source[its], target[its]]) - start,
            "y": classes[index : index + 1].astype(np.int64),
        }
        if of_edges is not None:
            tensors["edge_attr"] = of_edges[its]
        samples.append(
            Sample(
                id=f"{name}/{index + 1}",
                num_nodes=len(tensors["x"]),
                **{key: torch.from_numpy(value.copy()) for key, value in tensors.items()},
            )
        )
    return samples, classes, len(known)


def _table(archive: Archive, name: str, rows: int | None = None) -> np.ndarray:
    """Return the finite numbers of a file, a row for each line, separated by commas."""
    archive.require([name])
    where = archive.where(name)
    try:
        text = io.StringIO(archive.content(name).decode("ascii"))
        table: np.ndarray = np.loadtxt(text, delimiter=",", ndmin=2, comments=None)
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(
            f"{where} must have numbers, separated by commas: {shown(error)}"
        ) from error
    if not len(table):
        table = np.empty((0, 2 if name.endswith(_EDGES) else 1))
    if rows is not None and len(table) != rows:
        raise DataError(f"{where} must have {rows} lines, and has {len(table)}")
    if not np.isfinite(table.astype(np.float32)).all():
        raise DataError(f"{where} holds NaN, infinity, or a number too large for float32")
    return table


def _whole(archive: Archive, name: str, table: np.ndarray) -> np.ndarray:
    whole = table.astype(np.int64)
    if (whole != table).any():
        raise DataError(f"{archive.where(name)} must have whole numbers")
    return whole


def _column(archive: Archive, name: str, rows: int | None = None) -> np.ndarray:
    table = _whole(archive, name, _table(archive, name, rows))
    if table.shape[1] != 1:
        raise DataError(f"{archive.where(name)} must have one number a line")
    return table[:, 0]


def _one_hot(archive: Archive, name: str, rows: int) -> np.ndarray | None:
    """Return the labels of a file side by side, each one-hot; None where there is no such file."""
    if name not in archive.names:
        return None
    table = _whole(archive, name, _table(archive, name, rows))
    columns = [np.unique(column, return_inverse=True) for column in table.T]
    return np.concatenate(
        [np.eye(len(values), dtype=np.float32)[place] for values, place in columns], axis=1
    )
