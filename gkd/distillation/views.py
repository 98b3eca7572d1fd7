"""What a loss gets to see of one network: its outputs, features and graph."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast, final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from gkd.cache.keys import component_key
from gkd.data.batch_nodes import BatchNodes
from gkd.distillation.inputs import Arguments
from gkd.distillation.layout import Layout
from gkd.distillation.logits import logits_of
from gkd.distillation.tapped_rows import tapped_rows
from gkd.distillation.taps import Tap, capture, features_of, graph_of
from gkd.distillation.term import GraphBuilder, GraphChoice
from gkd.errors import ParameterError, TapError
from gkd.graph import Graph
from gkd.hosting.host import create
from gkd.loss import AbstractLoss, View

_TAP_PREFIX = "tap:"
_LOGITS = "logits"  # cache key


def _key(tap: Tap) -> str:
    """Return the cache key of tapped features."""
    return f"features:{tap}"


@dataclass(frozen=True, slots=True)
class NetworkOutputs:
    """What the terms need of one network for one batch.

    Attributes:
        logits: ``[N, classes]``, or ``[B, classes]`` for whole graphs; None if nobody needs them.
        features: by tap, as the sub-module returned them.
        graphs: by tap, a graph or an edge index ``[2, E]``.
        made: by cache key, graphs and targets that were made of all this before.
    """

    logits: Tensor | None
    features: Mapping[Tap, Tensor]
    graphs: Mapping[Tap, Graph | Tensor]
    made: Mapping[str, View] = field(default_factory=dict)

    @classmethod
    def of_entries(cls, entries: Mapping[str, View], taps: Collection[Tap]) -> NetworkOutputs:
        """Return the outputs that cache entries of a batch stand for.

        Args:
            entries: by key, see :meth:`TeacherView.cache_entries`.
            taps: of features.
        """
        kept = {tap: entries[_key(tap)].features for tap in taps if _key(tap) in entries}
        return cls(
            logits=entries[_LOGITS].logits if _LOGITS in entries else None,
            features=cast(Mapping[Tap, Tensor], kept),
            graphs={},
            made=entries,
        )


@dataclass(frozen=True, slots=True)
class NetworkTaps:
    """What to capture of one network.

    Attributes:
        name: of the network, for messages.
        logits: where they are in what the network returns; see :func:`logits_of`.
        features: taps that yield features.
        graphs: taps that yield a graph, or a tuple that begins with an edge index.
        partial: whether the logits are not needed, so that the pass may end with the last tap.
        terms: names of those that ask for each tap, for messages.
    """

    name: str
    logits: str = ""
    features: Collection[Tap] = ()
    graphs: Collection[Tap] = ()
    partial: bool = False
    terms: Mapping[Tap, Sequence[str]] = field(default_factory=dict)

    @property
    def captured(self) -> frozenset[Tap]:
        """All taps."""
        return frozenset([*self.features, *self.graphs])


def network_outputs(network: nn.Module, arguments: Arguments, taps: NetworkTaps) -> NetworkOutputs:
    """Call ``network`` with ``arguments``, and collect what ``taps`` ask for.

    Where logits are not needed, the first pass shows how often taps fire; later ones end there.

    Raises:
        TapError: the output holds no logits, or a tap yields nothing usable.
    """
    enough = _firings.get(network, {}).get(taps.captured) if taps.partial else None
    output: object = None
    with capture(network, taps.captured, taps.name, enough, taps.terms) as captured:
        output = network(*arguments.positional, **arguments.named)
    outputs = NetworkOutputs(
        logits=None if taps.partial else logits_of(output, taps.logits, taps.name),
        features={
            tap: features_of(captured.value(tap), captured.place(tap)) for tap in taps.features
        },
        graphs={tap: graph_of(captured.value(tap), captured.place(tap)) for tap in taps.graphs},
    )
    if taps.partial:
        _firings.setdefault(network, {})[taps.captured] = captured.num_calls
    return outputs


_firings: WeakKeyDictionary[nn.Module, dict[frozenset[Tap], int]] = WeakKeyDictionary()


@dataclass(frozen=True)
class ViewSource:
    """One end of a term.

    Args:
        feature_taps: taps that must yield features; none for a view of the logits alone.
        graph: source of the view's graph.
        layout: what the axes of the tapped tensor are; None for what the batch says of them.
        label: what messages call the network.
    """

    feature_taps: tuple[Tap, ...]
    graph: GraphSource
    layout: Layout | None = field(default=None, kw_only=True)
    label: str = field(default="network", kw_only=True)
    _recognised: dict[str, Layout] = field(
        default_factory=dict, kw_only=True, compare=False, repr=False
    )

    @property
    def tap(self) -> Tap | None:
        """Tap of the view's features: the last one."""
        return self.feature_taps[-1] if self.feature_taps else None

    @property
    def graph_taps(self) -> Collection[Tap]:
        """Taps that must yield a graph."""
        return (self.graph.tap,) if isinstance(self.graph, TappedGraph) else ()

    def tensor(self, outputs: NetworkOutputs) -> Tensor:
        """Return what the term compares, as the network computed it."""
        return cast(Tensor, outputs.logits) if self.tap is None else outputs.features[self.tap]

    def require_gradient(self, outputs: NetworkOutputs) -> None:
        """Check that what the term compares depends on the network's weights, as its logits do.

        A loss's value says nothing of it: where gradients are off, or everything is frozen, a
        constant is what it should be.

        Raises:
            TapError: gradients are on and reach the logits, but not a tap.
        """
        logits = outputs.logits
        if logits is None or not logits.requires_grad or not torch.is_grad_enabled():
            return
        for tap in self.feature_taps:
            if not outputs.features[tap].requires_grad:
                raise TapError(
                    f"{self.label}: tap {str(tap)!r} carries no gradient, so that this term cannot "
                    "train the student: what leads there is frozen, detached, or runs under "
                    "no_grad or checkpoint(..., use_reentrant=True), which hides it from autograd; "
                    "tap a sub-module that trains, or checkpoint with use_reentrant=False"
                )

    @property
    def graph_key(self) -> str | None:
        """Cache key of a graph that follows from the network; None where it is the batch's."""
        if self.graph.key is None:
            return None
        read_as = "" if self.layout is None else f" as {self.layout}"
        built_on = "" if self.graph.tap is not None else f"{self.tap}{read_as}:"
        return f"graph:{built_on}{self.graph.key}"

    def view(self, nodes: BatchNodes, outputs: NetworkOutputs) -> View:
        """Return the view for one batch, its features as rows.

        Args:
            nodes: what the network ran on.
            outputs: of the network.
        """
        if self.tap is None:
            view = View(logits=outputs.logits)
        else:
            layers = []
            for tap in self.feature_taps:
                place = f"{self.label}: tap {str(tap)!r}"
                tapped = outputs.features[tap]
                features, samples = tapped_rows(tapped, nodes, self.layout, place, self._recognised)
                layers.append(features)
            view = View(logits=outputs.logits, features=features, batch=samples)
            if len(layers) > 1:
                view = replace(view, layers=tuple(layers))
        made = None if self.graph_key is None else outputs.made.get(self.graph_key)
        if made is None or made.graph is None:
            return replace(view, graph=self.graph.graph(view, nodes, outputs))
        return replace(view, graph=made.graph)


@dataclass(frozen=True)
class TeacherView(ViewSource):
    """The end of a term at its teacher, whose view may come from a cache.

    Args:
        loss: of the term.
        target: cache key of the loss's target; None where the teacher's outputs are kept.
        weighed: whether the rows get weights, which may follow from the logits.
    """

    loss: AbstractLoss
    target: str | None
    weighed: bool = False

    @property
    def needs_logits(self) -> bool:
        """Whether anyone may look at the teacher's logits."""
        uses = declared_uses(self.loss)
        return self.weighed or self.tap is None or uses is None or "logits" in uses

    @property
    def cache_keys(self) -> tuple[str, ...]:
        """Names of the cache entries that make the view: the same for every batch."""
        if self.target is not None:
            return (self.target,)
        logits = (_LOGITS,) if self.needs_logits else ()
        graph = () if self.graph_key is None else (self.graph_key,)
        return (*logits, *map(_key, self.feature_taps), *graph)

    def cache_entries(self, nodes: BatchNodes, outputs: NetworkOutputs) -> dict[str, View]:
        """Return what to keep of the teacher's outputs for a batch, by cache key."""
        view = self.view(nodes, outputs)
        # Of rows that are no nodes nobody knows the sample: a target or a built graph may mix
        # samples there. Then the loss gets the features themselves, and the builder runs again.
        known = view.features is None or view.batch is not None
        if self.target is not None:
            return {self.target: self.loss.target(view) if known else replace(view, graph=None)}
        entries = {_LOGITS: View(logits=outputs.logits)} if self.needs_logits else {}
        if self.layout is not None and not self.layout.divisible:
            raise ParameterError(
                f"teacher cache: {self.label}: tap {str(self.tap)!r} of the layout {self.layout} "
                "cannot be divided among the samples, so it cannot be kept; pass teacher_cache=None"
            )
        for tap in self.feature_taps:
            entries[_key(tap)] = View(features=outputs.features[tap])
        if self.graph_key is not None:
            kept = known or self.graph.tap is not None
            entries[self.graph_key] = View(graph=view.graph if kept else None)
        return entries

    def view(self, nodes: BatchNodes, outputs: NetworkOutputs) -> View:
        """Return the view for one batch; the loss's target, where that was made before."""
        if self.target is None or self.target not in outputs.made:
            return super().view(nodes, outputs)
        target = outputs.made[self.target]
        rows = target.features
        samples = None if rows is None else nodes.samples_of(len(rows))
        return replace(target, batch=samples, graph=cast(BatchGraph, self.graph).of_batch(nodes))


def declared_uses(loss: AbstractLoss) -> tuple[str, ...] | None:
    """Return what the loss's class says of itself, None where it says nothing.

    The default of the base class must not take anything away from a loss that is silent.
    """
    kinds = type(loss).__mro__
    declared = any("uses" in vars(kind) for kind in kinds[: kinds.index(AbstractLoss)])
    return tuple(loss.uses) if declared else None


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


def _over_rows(graph: object, view: View, origin: str) -> Graph:
    if not isinstance(graph, Graph):
        raise ParameterError(f"{origin} gave a {type(graph).__name__}, not a gkd.Graph")
    if graph.num_nodes != len(_rows(view)):
        raise ParameterError(
            f"{origin} gave a graph of {graph.num_nodes} nodes for "
            f"{list(_rows(view).shape)}: every row must be a node"
        )
    return graph
