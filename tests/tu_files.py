"""Small data sets in TUDataset's text layout."""

from pathlib import Path

import numpy as np


def write(
    folder: Path, graphs: int = 12, name: str = "TINY", labels: bool = True, attributes: bool = True
) -> Path:
    """Write rings of 3 to 5 nodes of two classes, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    edges, indicator, start = [], [], 1
    for graph in range(graphs):
        size = 3 + graph % 3
        ring = [(start + i, start + (i + 1) % size) for i in range(size)]
        edges += [*ring, *((b, a) for a, b in ring)]
        indicator += [graph + 1] * size
        start += size
    files = {
        "A": [f"{a}, {b}" for a, b in edges],
        "graph_indicator": indicator,
        "graph_labels": [1 if graph % 2 else -1 for graph in range(graphs)],
        "edge_labels": [a % 2 for a, _ in edges],
    }
    if labels:
        files["node_labels"] = [i % 3 for i in range(len(indicator))]
    if attributes:
        files["node_attributes"] = [f"{a:.3f}, {b:.3f}" for a, b in rng.normal(size=(start - 1, 2))]
    for suffix, lines in files.items():
        (folder / f"{name}_{suffix}.txt").write_text("".join(f"{line}\n" for line in lines))
    return folder
