"""Where the view that a loss gets of one network comes from."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from gkd.distillation.graph_source import GraphSource, TappedGraph
from gkd.distillation.network_outputs import NetworkOutputs
from gkd.distillation.tap import Tap
from gkd.graph import Graph
from gkd.loss import View


@dataclass(frozen=True)
class ViewSource:
    """One end of a term.

    Args:
        tap: of the features; None for a view of the logits alone.
        graph: source of the view's graph.
    """

    tap: Tap | None
    graph: GraphSource

    @property
    def feature_taps(self) -> Collection[Tap]:
        """Taps that must yield features."""
        return () if self.tap is None else (self.tap,)

    @property
    def graph_taps(self) -> Collection[Tap]:
        """Taps that must yield a graph."""
        return (self.graph.tap,) if isinstance(self.graph, TappedGraph) else ()

    @property
    def graph_piece(self) -> str | None:
        """Name of a graph that comes from the network, among the pieces of what it said."""
        if self.graph.key is None:
            return None
        built_on = "" if self.graph.tap is not None else f"{self.tap}:"
        return f"graph:{built_on}{self.graph.key}"

    def tensor(self, outputs: NetworkOutputs) -> Tensor:
        """Return what the term compares, as the network computed it."""
        return cast(Tensor, outputs.logits) if self.tap is None else outputs.features[self.tap]

    def view(self, batch: object, outputs: NetworkOutputs, graph: Graph | None = None) -> View:
        """Return the view for one batch; ``[B, N, F]`` features become ``[B·N, F]``.

        Args:
            batch: what the network ran on.
            outputs: of the network.
            graph: the view's, where it is known.
        """
        if self.tap is None:
            view = View(logits=outputs.logits)
        else:
            features = outputs.features[self.tap]
            samples = samples_of_rows(features, batch)
            features = features.flatten(0, 1) if features.ndim == 3 else features
            view = View(logits=outputs.logits, features=features, batch=samples)
        if graph is None:
            graph = self.graph.graph(view, batch, outputs)
        return replace(view, graph=graph)


def samples_of_rows(features: Tensor, batch: object) -> Tensor | None:
    """Return the sample of each row; None where the rows are not the batch's nodes."""
    if features.ndim == 3:
        samples, nodes, _ = features.shape
        return torch.arange(samples, device=features.device).repeat_interleave(nodes)
    vector = getattr(batch, "batch", None)
    fits = isinstance(vector, Tensor) and vector.shape == features.shape[:1]
    return vector if fits else None
