"""Files of node classification in both public layouts, for tests."""

from pathlib import Path

import numpy as np

NODES, CLASSES = 24, 3
# Two rings and a pair: one component of 16 nodes, one of 6, one of 2. A self-loop, a link twice.
LINKS = np.array(
    [(i, (i + 1) % 16) for i in range(16)]
    + [(16 + i, 16 + (i + 1) % 6) for i in range(6)]
    + [(22, 23), (23, 22), (5, 5), (0, 1)]
)


def platonov(splits: int = 2) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    order = np.stack([random.permutation(NODES) for _ in range(splits)])
    return {
        "node_features": random.normal(size=(NODES, 4)).astype(np.float32),
        "node_labels": np.arange(NODES) % CLASSES,
        "edges": LINKS,
        "train_masks": order < 12,
        "val_masks": (order >= 12) & (order < 18),
        "test_masks": order >= 18,
    }


def csr(dense: np.ndarray, name: str) -> dict[str, np.ndarray]:
    rows, columns = np.nonzero(dense)
    counts = np.bincount(rows, minlength=len(dense))
    return {
        f"{name}_data": dense[rows, columns].astype(np.float32),
        f"{name}_indices": columns.astype(np.int32),
        f"{name}_indptr": np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        f"{name}_shape": np.array(dense.shape),
    }


def shchur() -> dict[str, np.ndarray]:
    """The same graph, features and labels, without splits."""
    other = platonov()
    links = np.zeros((NODES, NODES))
    links[tuple(LINKS.T)] = 1
    return {
        **csr(links, "adj"),
        **csr(other["node_features"], "attr"),
        "labels": other["node_labels"].astype(np.int8),
    }


def write(file: Path, arrays: dict[str, np.ndarray]) -> Path:
    np.savez_compressed(file, **arrays)
    return file
