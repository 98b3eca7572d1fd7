"""Which nodes of a graph train, select and test."""

import numpy as np

from gkd import DataError
from gkd_data.node_files import SPLITS, NodeFile
from gkd_data.random_by_purpose import random_state


def official_split(file: NodeFile, split: int) -> dict[str, np.ndarray]:
    """Return one of the file's own splits, a bool mask ``[N]`` for each part.

    Raises:
        DataError: there is no such split, or one of its masks is empty or overlaps another.
    """
    count = len(file.masks["train"])
    if split >= count:
        raise DataError(f"{file.where}: there is no split {split}; its splits are 0 to {count - 1}")
    parts = {name: file.masks[name][split] for name in SPLITS}
    for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
        both = parts[first] & parts[second]
        if both.any():
            raise DataError(
                f"{file.where}: node {int(both.argmax())} is in {first} and in {second} of split "
                f"{split}: what is tested on must not have been trained on"
            )
    return parts


def drawn_split(
    file: NodeFile, nodes: np.ndarray, split: int, train_per_class: int, validation_per_class: int
) -> dict[str, np.ndarray]:
    """Return a split with as many nodes of every class to train on, a bool mask ``[N]`` each.

    Args:
        file: whose labels count.
        nodes: bool ``[N]``, those to draw from.
        split: which of the random splits.
        train_per_class: nodes of each class to train on.
        validation_per_class: nodes of each class to validate on; all others test.

    Raises:
        DataError: a class has too few nodes, or none is left to test on.
    """
    parts = {name: np.zeros(len(nodes), dtype=bool) for name in SPLITS}
    needed = train_per_class + validation_per_class
    for label in np.unique(file.labels[nodes]).tolist():
        members = np.flatnonzero(nodes & (file.labels == label))
        if len(members) < needed:
            raise DataError(
                f"{file.where}: class {label} has {len(members)} nodes, where train_per_class + "
                f"validation_per_class asks for {needed}"
            )
        # By class and split alone, so that a class does not depend on which others there are.
        order = random_state(split, "nodes to train on", label).permutation(members)
        parts["train"][order[:train_per_class]] = True
        parts["validation"][order[train_per_class:needed]] = True
    parts["test"] = nodes & ~parts["train"] & ~parts["validation"]
    return parts


def held_out(test: np.ndarray, split: int, share: float) -> np.ndarray:
    """Return a share of the test nodes, rounded down, drawn for this split: bool ``[N]``."""
    nodes = np.flatnonzero(test)
    order = random_state(split, "nodes held out").permutation(nodes)
    mask = np.zeros(len(test), dtype=bool)
    mask[order[: int(len(nodes) * share)]] = True
    return mask
