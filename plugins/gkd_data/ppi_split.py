"""One split of the PPI archive: four files, checked and turned into graphs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gkd import DataError, Sample
from gkd.data.archive import Archive, single_precision
from gkd.errors import shown
from gkd_data.links import symmetric_edges


@dataclass(frozen=True, slots=True)
class Split:
    """Graphs of one split, one after the other.

    Args:
        features: ``[N, F]``.
        labels: zeros and ones, ``[N, classes]``.
        edges: symmetric, sorted by (target, source), ``[2, E]``.
        graph_ids: number of each graph in the archive, G of them.
        starts: first node of each graph, then N: ``[G + 1]``.
    """

    features: np.ndarray
    labels: np.ndarray
    edges: np.ndarray
    graph_ids: tuple[int, ...]
    starts: np.ndarray

    def samples(self) -> list[Sample]:
        """Return one sample per graph."""
        # Links stay within graphs, so edges sorted by target are sorted by graph as well.
        edge_starts = np.searchsorted(self.edges[1], self.starts)
        samples = []
        for i, graph in enumerate(self.graph_ids):
            nodes = slice(self.starts[i], self.starts[i + 1])
            edges = self.edges[:, edge_starts[i] : edge_starts[i + 1]] - self.starts[i]
            samples.append(
                Sample(
                    id=f"graph-{graph}",
                    x=torch.from_numpy(self.features[nodes].astype(np.float32)),
                    edge_index=torch.from_numpy(edges),
                    y=torch.from_numpy(self.labels[nodes].astype(np.float32)),
                )
            )
        return samples


def split_files(split: str) -> tuple[str, str, str, str]:
    """Return the names of a split's files: graph, features, labels, graph ids."""
    return (
        f"{split}_graph.json",
        f"{split}_feats.npy",
        f"{split}_labels.npy",
        f"{split}_graph_id.npy",
    )


def read_split(archive: Archive, split: str, self_loops: bool) -> Split:
    """Read, check and order one split.

    Args:
        archive: where the files are.
        split: ``"train"``, ``"valid"`` or ``"test"``.
        self_loops: whether self-loops stay.

    Raises:
        DataError: a file is unreadable, or the four do not fit together.
    """
    graph_file, feature_file, label_file, id_file = split_files(split)
    features = archive.array(feature_file, ndim=2)
    labels = archive.array(label_file, ndim=2)
    node_graph = archive.array(id_file, ndim=1)
    num_nodes = len(features)
    for name, array in ((label_file, labels), (id_file, node_graph)):
        if len(array) != num_nodes:
            raise DataError(
                f"{archive.where(name)} has {len(array)} rows, but {feature_file} has {num_nodes}"
            )
    # Standardised, they would vanish instead.
    single_precision(features, archive.where(feature_file))
    # Compared before they are cast: as float32 labels, wrong ones would train on in silence.
    if not np.isin(labels, (0, 1)).all():
        raise DataError(f"{archive.where(label_file)} must hold only zeros and ones")
    graph_ids, starts = _graphs(archive.where(id_file), node_graph)
    links = _links(archive.where(graph_file), archive.json(graph_file), node_graph)
    # Files may have the nodes of several graphs in turns, a split one graph after the other.
    order = np.argsort(node_graph, kind="stable")
    position = np.argsort(order)
    source, target = position[links]
    return Split(
        # float64, as raw features may come in any type, and are still to be standardised.
        features=features[order].astype(np.float64),
        labels=labels[order],
        edges=symmetric_edges(source, target, num_nodes, self_loops),
        graph_ids=graph_ids,
        starts=starts,
    )


def _graphs(where: str, node_graph: np.ndarray) -> tuple[tuple[int, ...], np.ndarray]:
    if len(node_graph) == 0:
        raise DataError(f"{where} is empty: a split needs at least one graph")
    if node_graph.dtype.kind not in "iu":
        raise DataError(f"{where} must hold whole numbers, not {node_graph.dtype}")
    ids, sizes = np.unique(node_graph, return_counts=True)
    # The archive numbers its graphs without gaps: one means that nodes, or files, are missing.
    expected = np.arange(ids[0], ids[0] + len(ids))
    if not np.array_equal(ids, expected):
        gap = int(expected[ids != expected][0])
        raise DataError(
            f"{where}: graphs {ids[0]} to {ids[-1]} are numbered, but {gap} has no node"
        )
    return tuple(ids.tolist()), np.concatenate([[0], np.cumsum(sizes)])


def _links(where: str, content: Any, node_graph: np.ndarray) -> np.ndarray:
    num_nodes = len(node_graph)
    try:
        nodes = content["nodes"]
        ids = {node["id"] for node in nodes}
        # networkx calls them edges, from 3.4 on.
        listed = content["edges" if "links" not in content else "links"]
        links = np.array([[link[end] for link in listed] for end in ("source", "target")])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{where} is not a node-link graph (an object with nodes, each with an id, and links "
            f"or edges, each with a source and a target): {type(error).__name__} {shown(error)}"
        ) from error
    if ids != set(range(num_nodes)) or len(nodes) != num_nodes:
        raise DataError(
            f"{where} has {len(nodes)} nodes; expected ids 0 to {num_nodes - 1}, "
            "one for each row of the features"
        )
    # An array of no links has no integers: numpy makes it float64.
    if links.size == 0:
        return links.astype(np.int64)
    expected = f"expected node ids from 0 to {num_nodes - 1}"
    if links.dtype.kind not in "iu":
        raise DataError(f"{where}: its links join {links.dtype} values; {expected}")
    outside = ((links < 0) | (links >= num_nodes)).any(0)
    if outside.any():
        link = int(np.argmax(outside))
        source, target = links[:, link]
        raise DataError(f"{where}: link {link} joins {source} and {target}; {expected}")
    across = node_graph[links[0]] != node_graph[links[1]]
    if across.any():
        link = int(np.argmax(across))
        source, target = links[:, link]
        raise DataError(
            f"{where}: link {link} joins node {source} of graph {node_graph[source]} "
            f"and node {target} of graph {node_graph[target]}"
        )
    return links
