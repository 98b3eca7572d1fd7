"""Where the graph of a view comes from: the batch, a tap, or a builder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, final

from torch import Tensor

from gkd.cache.component_keys import component_key
from gkd.distillation import batch_attributes
from gkd.distillation.network_outputs import NetworkOutputs
from gkd.distillation.tap import Tap
from gkd.errors import ParameterError
from gkd.graph import Graph
from gkd.hosting.catalog import create
from gkd.loss import View

GraphBuilder: TypeAlias = Callable[[Tensor, Tensor | None], Graph]
GraphChoice: TypeAlias = str | Mapping[str, object] | GraphBuilder

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
    def graph(self, view: View, batch: object, outputs: NetworkOutputs) -> Graph | None:
        """Return the graph over the rows of ``view``, None where there is none.

        Args:
            view: logits, features and batch vector of the network.
            batch: what the network ran on.
            outputs: what the network's taps saw.
        """


@final
@dataclass(frozen=True)
class BatchGraph(GraphSource):
    """An edge index of the batch.

    Args:
        name: attribute of the batch.
        required: whether it must be there and fit; otherwise there is no graph.
    """

    name: str = "edge_index"
    required: bool = True

    def graph(self, view: View, batch: object, outputs: NetworkOutputs) -> Graph | None:
        """Return the batch's graph; only on request for views without features."""
        if not self.required:
            missing = getattr(batch, self.name, None) is None
            if missing or view.features is None or len(view.features) != _num_nodes(view, batch):
                return None
        edge_index = batch_attributes.tensor_attribute(batch, self.name, "graph")
        return _over_rows(Graph.of(edge_index, _num_nodes(view, batch)), view, self.name)

    def of_batch(self, batch: object) -> Graph | None:
        """Return the graph over the batch's nodes, if there is one."""
        edge_index = getattr(batch, self.name, None)
        nodes = batch_attributes.num_nodes(batch)
        return None if edge_index is None or nodes is None else Graph.of(edge_index, nodes)


@final
@dataclass(frozen=True)
class TappedGraph(GraphSource):
    """The output of a sub-module: a graph, an edge index, or a tuple that begins with one."""

    tap: Tap

    @property
    def key(self) -> str:  # type: ignore[override]
        """Name of the tap."""
        return str(self.tap)

    def graph(self, view: View, batch: object, outputs: NetworkOutputs) -> Graph:
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

    def graph(self, view: View, batch: object, outputs: NetworkOutputs) -> Graph:
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
    TappedGraph(tap=Tap(path='dynamic', call=None, items=()))
    """
    if choice is None:
        return BatchGraph(required=False)
    if isinstance(choice, str):
        tapped = choice.startswith(_TAP_PREFIX)
        return (
            TappedGraph(Tap.parse(choice.removeprefix(_TAP_PREFIX)))
            if tapped
            else BatchGraph(choice)
        )
    if isinstance(choice, Mapping):
        parameters = dict(choice)
        name = parameters.pop("name", None)
        if not isinstance(name, str):
            raise ParameterError(f"graph: a mapping needs the builder's 'name', got {choice!r}")
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


def _num_nodes(view: View, batch: object) -> int:
    known = batch_attributes.num_nodes(batch)
    return len(_rows(view)) if known is None else known


def _over_rows(graph: object, view: View, origin: str) -> Graph:
    if not isinstance(graph, Graph):
        raise ParameterError(f"{origin} gave a {type(graph).__name__}, not a gkd.Graph")
    if graph.num_nodes != len(_rows(view)):
        raise ParameterError(
            f"{origin} gave a graph of {graph.num_nodes} nodes for "
            f"{list(_rows(view).shape)}: every row must be a node"
        )
    return graph
