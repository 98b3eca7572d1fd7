"""nodes: one graph of one's own, or of the public node files, whose nodes are classified."""

from copy import copy
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeInt, PositiveInt

from gkd import DataError, Graph, Sample
from gkd.errors import validated
from gkd.functional.paired_rows import directions
from gkd_data.in_memory import InMemoryDataset
from gkd_data.links import component_of_each, edges_among
from gkd_data.node_files import NodeFile, read_node_file
from gkd_data.node_splits import drawn_split, held_out, official_split
from gkd_data.positions import neighbour_means, walk_positions

Share = Annotated[float, Field(gt=0, lt=1)]


class Nodes(InMemoryDataset):
    """One graph, some nodes of which train, some select and some test.

    A sample is the graph: ``x [N, F]``, ``edge_index [2, E]``, ``y [N]``, bool ``train_mask``,
    ``val_mask`` and ``test_mask [N]``, and ``n_id [N]``, the numbers of its nodes in the file.
    Links become edges in both directions, each once; self-loops are left out, since models add
    their own. Two layouts are read:

        node_features [N, F], node_labels [N], edges [L, 2], and train_masks, val_masks and
        test_masks [S, N] of the official splits, as Platonov et al. publish theirs

        adj_{data,indices,indptr,shape}, attr_{data,indices,indptr,shape} (or attr_matrix [N, F])
        and labels [N], as those of shchur/gnn-benchmark: sparse matrices by rows

    Without official splits, as many nodes of every class train and validate, all others test:
    GLNN's protocol with its 20, 30 and ``largest_component``.

    In the ``inductive`` setting, a share of the test nodes and all their edges are absent from the
    graph to train and to validate on; these nodes test, on the whole graph. ``production`` trains
    the same and tests on all test nodes: those that the training graph has on that graph, the
    others on the whole one; either part, ``observed`` and ``unseen``, is scored by itself, too.

    Args:
        file: the ``.npz`` file.
        split: which of the official splits, or of the random ones; ``"seed"``: each seed of a run
            takes the one of its own number.
        setting: ``transductive``, ``inductive`` or ``production``.
        held_out_share: of the test nodes, rounded down, in the latter two.
        largest_component: leave out what the most nodes are not joined with.
        normalise: divide the features of each node by the sum of their absolute values.
        train_per_class: nodes of each class to train on, where there are no official splits.
        validation_per_class: nodes of each class to validate on, there.
        positions: how many numbers to append to the features of each node that say where it is in
            the graph: a vector of unit length, alike for nodes that random walks meet together, as
            NOSMOG gives them to its students. A node that the training graph lacks gets the mean
            of its neighbours there.
        metric: that networks are selected and compared by; by default the area under the ROC curve
            of two classes, the accuracy of more.

    Raises:
        DataError: the file is missing, damaged or laid out otherwise, or a split of it cannot be
            had.

    Source: Platonov et al., A critical look at the evaluation of GNNs under heterophily, ICLR 2023;
    Shchur et al., Pitfalls of Graph Neural Network Evaluation, 2018; the settings are those of
    Zhang et al., Graph-less Neural Networks, ICLR 2022, section 5.1.
    """

    inputs = ("x", "edge_index")
    rows = MappingProxyType({"train": "train_mask", "validation": "val_mask", "test": "test_mask"})
    example_parameters = (
        {"file": "node/minesweeper.npz"},
        {"file": "node/cora.npz", "split": "seed", "setting": "production"},
    )

    @validated
    def __init__(
        self,
        file: str | Path,
        split: NonNegativeInt | Literal["seed"] = 0,
        setting: Literal["transductive", "inductive", "production"] = "transductive",
        held_out_share: Share = 0.2,
        largest_component: bool = False,
        normalise: bool = False,
        train_per_class: PositiveInt = 20,
        validation_per_class: PositiveInt = 30,
        positions: NonNegativeInt = 0,
        metric: Literal["accuracy", "mean_class_accuracy", "roc_auc", "average_precision"]
        | None = None,
    ) -> None:
        path = Path(file).expanduser()
        found = read_node_file(path)
        if normalise:
            total = np.abs(found.features).sum(1, keepdims=True)
            found = replace(found, features=found.features / np.where(total == 0, 1, total))
        everything = np.ones(len(found.labels), dtype=bool)
        if largest_component:
            component = component_of_each(found.edges, len(everything))
            everything = component == np.bincount(component).argmax()
        self._name, self._file, self._nodes = path.stem, found, everything
        self._setting, self._held_out_share = setting, held_out_share
        self._per_class = train_per_class, validation_per_class
        self._positions = positions
        self.num_features = found.features.shape[1] + positions
        self.num_classes = int(found.labels.max()) + 1
        # Of two classes one is often rare, as mines are: accuracy would praise who never finds one.
        usual = "roc_auc" if self.num_classes == 2 else "accuracy"
        self.task = {"name": "single-label", "metric": metric or usual}
        self._split_per_seed = split == "seed"
        self._take(0 if split == "seed" else split)

    def for_seed(self, seed: int) -> "Nodes":
        """Return the data with the split of that number, where the split is ``"seed"``."""
        if not self._split_per_seed:
            return self
        other = copy(self)
        other._take(seed)
        return other

    def _take(self, split: int) -> None:
        """Assign the samples of one split."""
        file, nodes = self._file, self._nodes
        if file.masks:
            parts = {name: mask & nodes for name, mask in official_split(file, split).items()}
        else:
            parts = drawn_split(file, nodes, split, *self._per_class)
        for name, mask in parts.items():
            if not mask.any():
                raise DataError(f"{file.where}: split {split} has no node for {name}")
        name = f"{self._name}-{split}"
        if self._setting == "transductive":
            whole = _sample(name, self._with_positions(nodes), nodes, parts)
            self.train = self.validation = self.test = [whole]
            return
        hidden = held_out(parts["test"], split, self._held_out_share)
        if not hidden.any() or not (parts["test"] & ~hidden).any():
            raise DataError(
                f"{file.where}: {int(parts['test'].sum())} test nodes are too few to hold out the "
                f"share {self._held_out_share}"
            )
        seen = {**parts, "test": parts["test"] & ~hidden}
        file = self._with_positions(nodes & ~hidden)
        observed = _sample(f"{name}-observed", file, nodes & ~hidden, seen)
        # Of the whole graph only the hidden nodes test: the others are scored without them.
        complete = _sample(name, file, nodes, {**parts, "test": hidden})
        self.train = self.validation = [observed]
        self.test = [complete]
        if self._setting == "production":
            self.test = [observed, complete]
            self.test_parts = {"observed": [observed], "unseen": [complete]}

    def _with_positions(self, observed: np.ndarray) -> NodeFile:
        """Return the file with the positions of nodes, in the graph of those observed."""
        file, kept = self._file, torch.from_numpy(observed)
        if not self._positions:
            return file
        graph = Graph(torch.from_numpy(edges_among(file.edges, observed)), int(kept.sum()))
        found = torch.zeros(len(kept), self._positions, dtype=torch.float64)
        # Their lengths, large at nodes of few edges, would drown the features.
        found[kept] = directions(walk_positions(graph, self._positions), dim=1)
        everywhere = Graph(torch.from_numpy(file.edges), len(kept))
        found = neighbour_means(found, kept, everywhere)
        features = np.concatenate([file.features, found.numpy()], axis=1)
        return replace(file, features=features.astype(file.features.dtype))


def _sample(id: str, file: NodeFile, kept: np.ndarray, parts: dict[str, np.ndarray]) -> Sample:
    return Sample(
        id=id,
        x=torch.from_numpy(file.features[kept]),
        edge_index=torch.from_numpy(edges_among(file.edges, kept)),
        y=torch.from_numpy(file.labels[kept]),
        train_mask=torch.from_numpy(parts["train"][kept]),
        val_mask=torch.from_numpy(parts["validation"][kept]),
        test_mask=torch.from_numpy(parts["test"][kept]),
        n_id=torch.from_numpy(np.flatnonzero(kept)),
    )
