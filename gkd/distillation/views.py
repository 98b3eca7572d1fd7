"""What a loss gets to see of one network: its logits, its features as rows, a graph over them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Tensor

from gkd.data.batch_nodes import BatchNodes
from gkd.distillation.graph_sources import BatchGraph, GraphSource, TappedGraph
from gkd.distillation.layout import Layout
from gkd.distillation.network_outputs import LOGITS, NetworkOutputs, features_key
from gkd.distillation.tapped_rows import tapped_rows
from gkd.distillation.taps import Tap
from gkd.errors import ParameterError, TapError
from gkd.loss import AbstractLoss, View


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
        by_node: whether a cache is asked for any nodes of a graph: then it has logits and features,
            and what follows from several nodes is made of those asked for.
    """

    loss: AbstractLoss
    target: str | None
    weighed: bool = False
    by_node: bool = field(default=False, kw_only=True)

    def of_nodes(self) -> TeacherView:
        """Return the end whose entries are kept by node.

        Raises:
            ParameterError: they cannot be.
        """
        if self.graph_taps:
            raise ParameterError(
                f"teacher cache: {self.label}: the graph that {str(self.graph.tap)!r} outputs "
                "cannot be kept by node; name another graph, or pass teacher_cache=None"
            )
        return replace(self, target=None, by_node=True)

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
        logits = (LOGITS,) if self.needs_logits else ()
        graph = () if self.graph_key is None or self.by_node else (self.graph_key,)
        return (*logits, *map(features_key, self.feature_taps), *graph)

    def cache_entries(self, nodes: BatchNodes, outputs: NetworkOutputs) -> dict[str, View]:
        """Return what to keep of the teacher's outputs for a batch, by cache key."""
        # By node, a graph is that of the nodes asked for: none is built of all.
        view = View() if self.by_node else self.view(nodes, outputs)
        # Of rows that are no nodes nobody knows the sample: a target or a built graph may mix
        # samples there. Then the loss gets the features themselves, and the builder runs again.
        known = view.features is None or view.batch is not None
        if self.target is not None:
            return {self.target: self.loss.target(view) if known else replace(view, graph=None)}
        entries = {LOGITS: View(logits=outputs.logits)} if self.needs_logits else {}
        if self.layout is not None and not self.layout.divisible:
            raise ParameterError(
                f"teacher cache: {self.label}: tap {str(self.tap)!r} of the layout {self.layout} "
                "cannot be divided among the samples, so it cannot be kept; pass teacher_cache=None"
            )
        for tap in self.feature_taps:
            entries[features_key(tap)] = View(features=outputs.features[tap])
        if self.graph_key is not None and not self.by_node:
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
    return parts_used(loss) if declared else None


def parts_used(loss: AbstractLoss) -> tuple[str, ...]:
    """Return the parts of a view that a loss needs.

    Raises:
        ParameterError: it names one by a string, whose letters would be parts.
    """
    uses: object = loss.uses
    if isinstance(uses, str):
        raise ParameterError(f"uses is a tuple of parts of a view: ({uses!r},)")
    return tuple(loss.uses)
