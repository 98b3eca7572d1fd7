"""Laws of graph builders: which edges there are."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

from gkd.graph import Graph
from gkd.testing.law import law, require, unless_declared
from gkd.testing.laws.cases import Relabelled
from gkd.testing.random_states import seeded
from gkd.testing.strategies.clouds import Cloud, clouds
from gkd.testing.strategies.graphs import relabellings
from gkd.testing.subject import Subject

Builder = Callable[[Tensor, Tensor | None], Graph]


def graph_of(builder: Builder, cloud: Cloud, seed: int = 0) -> Graph:
    """Return the graph of a cloud; everything random in it comes from ``seed``."""
    with seeded(seed):
        return builder(cloud.features, cloud.batch)


def require_valid(graph: object, cloud: Cloud) -> None:
    """Require a graph over the cloud's points, with valid edges, sorted and each once."""
    if not isinstance(graph, Graph):
        raise AssertionError(f"it returns {type(graph).__name__}, not a gkd.Graph")
    nodes, edges = len(cloud.features), graph.edge_index
    require(graph.num_nodes == nodes, f"a graph over {graph.num_nodes} nodes for {nodes} points")
    require(edges.dtype == torch.int64, f"the edges are {edges.dtype}, not int64")
    if edges.numel():
        lowest, highest = int(edges.min()), int(edges.max())
        require(
            lowest >= 0 and highest < nodes, f"edges name nodes {lowest} to {highest} of {nodes}"
        )
    keys = edges[1] * nodes + edges[0]
    require(
        bool((keys.diff() > 0).all()), "the edges are not sorted by (target, source), each once"
    )


@law("graph", problems=lambda subject: clouds())
def valid_indices(subject: Subject, cloud: Cloud) -> None:
    """An edge to a node that does not exist reads someone else's memory."""
    require_valid(graph_of(subject.create(), cloud), cloud)


@law("graph", problems=lambda subject: clouds().filter(lambda cloud: cloud.batch is not None))
def batch_borders_never_crossed(subject: Subject, cloud: Cloud) -> None:
    """Samples of a batch are strangers: which ones share it is chance."""
    graph = graph_of(subject.create(), cloud)
    assert cloud.batch is not None
    crossing = cloud.batch[graph.source] != cloud.batch[graph.target]
    if bool(crossing.any()):
        source, target = graph.edge_index[:, crossing][:, 0].tolist()
        raise AssertionError(
            f"the edge {source}→{target} joins samples {int(cloud.batch[source])} and "
            f"{int(cloud.batch[target])}"
        )


def require_same(result: Graph, expected: Graph, what: str) -> None:
    """Require that two graphs have the same edges."""
    if result == expected:
        return
    before, after = (set(map(tuple, g.edge_index.t().tolist())) for g in (expected, result))
    lost, gained = sorted(before - after)[:3], sorted(after - before)[:3]
    raise AssertionError(f"{what}: loses the edges {lost}, gains {gained} (source, target)")


@dataclass(frozen=True)
class Moved:
    """Points, and how far all of them move.

    Attributes:
        cloud: no two points are equally far from a third.
        shift: whole numbers ``[C]``; the sums are exact.
    """

    cloud: Cloud
    shift: Tensor


@st.composite
def _moved(draw: st.DrawFn, subject: Subject) -> Moved:
    cloud = draw(clouds(distinct=True))
    width = cloud.features.shape[1]
    shift = draw(st.lists(st.integers(-100, 100), min_size=width, max_size=width))
    return Moved(cloud, torch.tensor(shift, dtype=torch.float64))


@law("graph", problems=_moved, exemption=unless_declared("translation_invariant"))
def translation_invariant(subject: Subject, case: Moved) -> None:
    """Who is near whom does not depend on where the origin is."""
    builder, cloud = subject.create(), case.cloud
    moved = Cloud(cloud.features + case.shift, cloud.batch)
    require_same(graph_of(builder, moved), graph_of(builder, cloud), "after a shift")


@st.composite
def _relabelled(draw: st.DrawFn, subject: Subject) -> Relabelled[Cloud]:
    cloud = draw(clouds(distinct=True))
    return Relabelled(cloud, draw(relabellings(len(cloud.features), cloud.batch)))


@law("graph", problems=_relabelled)
def equivariant_to_node_relabelling(subject: Subject, case: Relabelled[Cloud]) -> None:
    """Numbers of points are names: they carry no meaning."""
    builder, cloud, order = subject.create(), case.problem, case.order
    before = graph_of(builder, cloud)
    expected = Graph(order.argsort()[before.edge_index], before.num_nodes)
    other = Cloud(cloud.features[order], cloud.batch)
    require_same(graph_of(builder, other), expected, "other order of points")


@law("graph", problems=lambda subject: clouds(max_points=3, max_samples=2).map(_collapsed))
def few_and_coincident_points(subject: Subject, cloud: Cloud) -> None:
    """Clouds may be smaller than the number of neighbours, and points may coincide."""
    require_valid(graph_of(subject.create(), cloud), cloud)


def _collapsed(cloud: Cloud) -> Cloud:
    return Cloud(
        torch.zeros_like(cloud.features) if len(cloud.features) % 2 else cloud.features, cloud.batch
    )
