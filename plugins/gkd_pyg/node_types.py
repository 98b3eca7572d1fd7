"""One type of nodes, and edges among them, of graphs that have several."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from gkd import DataError, ParameterError
from gkd.errors import suggestion


@dataclass(frozen=True)
class Types:
    """What to take of a ``HeteroData``.

    Args:
        nodes: type of nodes; None where graphs have one.
        edges: types of edges, ``"paper__cites__paper"``; None for the only one among the nodes.
    """

    nodes: str | None
    edges: Sequence[str] | None

    def of(self, graph: Any, name: str) -> Any:
        """Return a graph of one type of nodes: itself, or that part of it.

        Args:
            graph: of PyTorch Geometric.
            name: messages call it.

        Raises:
            DataError: it has several types of nodes, and none was chosen.
            ParameterError: there is no such type, or the edges join other nodes.
        """
        if not hasattr(graph, "node_types"):
            if self.nodes is not None or self.edges is not None:
                raise ParameterError(f"{name} has nodes of one type: leave out nodes and edges")
            return graph
        if self.nodes is None:
            raise DataError(
                f"{name} is heterogeneous, with nodes of {', '.join(graph.node_types)}: choose a "
                "type by nodes, and edges among them"
            )
        if self.nodes not in graph.node_types:
            near = suggestion(self.nodes, graph.node_types)
            raise ParameterError(f"{name}: nodes: no type {self.nodes!r}; {near}")
        from torch_geometric.data import Data

        parts = [graph[kind] for kind in self._edge_types(graph, name)]
        own, joined = dict(graph[self.nodes]), _joined([dict(part) for part in parts], name)
        if both := [*(own.keys() & joined.keys())]:
            raise DataError(f"{name}: nodes and edges have a {both[0]!r} each; rename one")
        return Data(**own, **joined)

    def _edge_types(self, graph: Any, name: str) -> list[tuple[str, ...]]:
        known = {"__".join(kind): kind for kind in graph.edge_types}
        among = [path for path, kind in known.items() if kind[0] == kind[-1] == self.nodes]
        chosen = among if self.edges is None else self.edges
        if self.edges is None and len(among) != 1:
            said = f"{len(among)} types of edges among {self.nodes}"
            hint = f"name some by edges: {', '.join(among)}" if among else _ADVICE
            raise DataError(f"{name} has {said}; {hint}")
        for path in chosen:
            if path not in known:
                raise ParameterError(f"{name}: edges: no type {path!r}; {suggestion(path, known)}")
            if path not in among:
                source, *_, target = known[path]
                raise ParameterError(
                    f"{name}: edges {path!r} join {source} with {target}, and a graph is of "
                    f"{self.nodes} alone; {'name ' + ' or '.join(among) if among else _ADVICE}"
                )
        return [known[path] for path in chosen]


_ADVICE = "a transform such as AddMetaPaths makes edges of paths over other nodes"


def _joined(parts: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the edges of several types as one, with what is known of all of them."""
    if len(parts) == 1:
        return parts[0]
    joined = {}
    for key in dict.fromkeys(key for part in parts for key in part):
        try:
            values = [part.get(key) for part in parts]
            joined[key] = torch.cat(values, dim=1 if key == "edge_index" else 0)  # type: ignore[arg-type]  # None is caught
        except (TypeError, RuntimeError) as error:
            raise DataError(
                f"{name}: {key} is not of one kind for all edges that were chosen; choose one "
                "type, or leave it out by a transform"
            ) from error
    return joined
