"""Where the graph of a network's view comes from: the batch, a tap, or a builder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from torch import Tensor

from gkd.data.batch_nodes import BatchNodes
from gkd.distillation.network_outputs import NetworkOutputs
from gkd.distillation.taps import Tap
from gkd.distillation.term import GraphBuilder, GraphChoice, component_key, name_and_parameters
from gkd.errors import ParameterError
from gkd.graph import Graph
from gkd.hosting.host import create
from gkd.loss import View

_TAP_PREFIX = "tap:"


class GraphSource(ABC):
    """Where the graph of one network's view comes from.

    Attributes:
        tap: of the sub-module that outputs it, if one does.
        key: names a graph that depends on the network; None where it is the batch's.
    """

    tap: Tap | None = None
    key: str | None = None

    @abstractmethod
    def graph(self, view: View, nodes: BatchNodes, outputs: NetworkOutputs) -> Graph | None:
        """Return the graph over the rows of ``view``, None where there is none.

        Args:
            view: logits, features and batch vector of the network.
            nodes: what the network ran on.
            outputs: what the network's taps saw.
        """


@final
@dataclass(frozen=True)
class BatchGraph(GraphSource):
    """An edge index of the batch, or a sparse adjacency matrix.

    Args:
        name: attribute of the batch.
        required: whether it must be there and fit; otherwise ``adj_t`` stands for it, and where
            that is missing, too, there is no graph.
    """

    name: str = "edge_index"
    required: bool = True

    def graph(self, view: View, nodes: BatchNodes, outputs: NetworkOutputs) -> Graph | None:
        """Return the batch's graph; only on request for views without features."""
        edges = nodes.edges(self.name, self.required)
        if edges is None:
            return None
        others = view.features is None or nodes.number not in {None, len(view.features)}
        if others and not self.required:
            return None
        number = len(_rows(view)) if nodes.number is None else nodes.number
        return _over_rows(Graph.of(edges, number), view, self.name)

    def of_batch(self, nodes: BatchNodes) -> Graph | None:
        """Return the graph over the batch's nodes, if there is one."""
        edges, number = nodes.edges(self.name, self.required), nodes.number
        return None if edges is None or number is None else Graph.of(edges, number)


@final
@dataclass(frozen=True)
class TappedGraph(GraphSource):
    """The output of a sub-module: a graph, an edge index, or a tuple that begins with one."""

    tap: Tap

    @property
    def key(self) -> str:  # type: ignore[override]
        """Name of the tap."""
        return str(self.tap)

    def graph(self, view: View, nodes: BatchNodes, outputs: NetworkOutputs) -> Graph:
        """Return the tapped graph."""
        tapped = outputs.graphs[self.tap]
        graph = tapped if isinstance(tapped, Graph) else Graph.of(tapped, len(_rows(view)))
        return _over_rows(graph, view, f"{_TAP_PREFIX}{self.tap}")


@final
@dataclass(frozen=True)
class BuiltGraph(GraphSource):
    """A graph built from the view's features, such as that of the nearest neighbours."""

    builder: GraphBuilder
    key: str

    def graph(self, view: View, nodes: BatchNodes, outputs: NetworkOutputs) -> Graph:
        """Return the builder's graph of the features."""
        if view.features is None:
            raise ParameterError("a graph builder needs features: name a tap for this network")
        graph = self.builder(view.features.detach(), view.batch)
        return _over_rows(graph, view, "the graph builder")


def graph_source(choice: GraphChoice | None) -> GraphSource:
    """Graph source that a term names.

    Args:
        choice: None for the batch's ``edge_index`` where it has one; the name of another
            attribute; ``"tap:PATH"``; a builder, or a mapping with its ``name`` and parameters.

    Raises:
        ParameterError: none of these.
        UnknownNameError: there is no such builder.

    >>> graph_source("tap:dynamic")
    TappedGraph(tap=Tap(path='dynamic', call=None, items=(), input=False))
    """
    if choice is None:
        return BatchGraph(required=False)
    if isinstance(choice, str):
        if choice.startswith(_TAP_PREFIX):
            return TappedGraph(Tap.parse(choice.removeprefix(_TAP_PREFIX)))
        return BatchGraph(choice)
    if isinstance(choice, Mapping):
        name, parameters = name_and_parameters("graph", "builder", choice)
        builder = create("graph", name, **parameters)
        return BuiltGraph(builder, component_key(builder, parameters))
    if callable(choice):
        return BuiltGraph(choice, component_key(choice, None))
    raise ParameterError(
        "graph: expected an attribute of the batch, 'tap:PATH', a builder or a mapping with its "
        f"name, got {choice!r}"
    )


def _rows(view: View) -> Tensor:
    return view.require_logits("graph") if view.features is None else view.features


def _over_rows(graph: object, view: View, origin: str) -> Graph:
    if not isinstance(graph, Graph):
        raise ParameterError(f"{origin} gave a {type(graph).__name__}, not a gkd.Graph")
    if graph.num_nodes != len(_rows(view)):
        hint = "; name taps, whose features have a row for each" if view.features is None else ""
        raise ParameterError(
            f"{origin} gave a graph of {graph.num_nodes} nodes for "
            f"{list(_rows(view).shape)}: every row must be a node{hint}"
        )
    return graph
