"""The laws of graph builders."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from gkd.graph import Graph
from gkd.testing.law import law, unless_declared
from gkd.testing.laws.cases import (
    HALVES,
    InPrecision,
    Relabelled,
    in_precision,
    node_relabellings,
)
from gkd.testing.laws.declarations import declarations_are_known
from gkd.testing.laws.global_state import require_left_alone, require_nothing_drawn
from gkd.testing.laws.requirements import (
    require,
    require_bounded,
    require_linear,
    require_unmodified,
)
from gkd.testing.memory_watch import MemoryWatch
from gkd.testing.other_process import call_elsewhere
from gkd.testing.placement_watch import PlacementWatch, accelerator
from gkd.testing.strategies.cloud_problems import Cloud, clouds
from gkd.testing.subject import Subject, fixed_seed
from gkd.testing.work_watch import WorkWatch

Builder = Callable[[Tensor, Tensor | None], Graph]


def graph_of(builder: Builder, cloud: Cloud, seed: int = 0) -> Graph:
    """Return the graph of a cloud; everything random in it comes from ``seed``."""
    with fixed_seed(seed):
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
    # Losses read segments by row pointers: out of order, or twice, an edge would count elsewhere.
    keys = edges[1] * nodes + edges[0]
    require(
        bool((keys.diff() > 0).all()), "the edges are not sorted by (target, source), each once"
    )


def problems(subject: Subject, **options: Any) -> st.SearchStrategy[Cloud]:
    """Return what graph builders are called with."""
    return subject.problems(clouds, **options)


@law("graph", problems=problems, premise=True)
def valid_indices(subject: Subject, cloud: Cloud) -> None:
    """An edge to a node that does not exist reads someone else's memory."""
    require_valid(graph_of(subject.create(), cloud), cloud)


@law(
    "graph",
    problems=lambda subject: problems(subject.afresh).filter(lambda cloud: cloud.batch is not None),
)
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
    cloud = draw(problems(subject, distinct=True))
    width = cloud.features.shape[1]
    shift = draw(st.lists(st.integers(-100, 100), min_size=width, max_size=width))
    return Moved(cloud, torch.tensor(shift, dtype=torch.float64))


@law("graph", problems=_moved, exemption=unless_declared("translation_invariant"))
def translation_invariant(subject: Subject, case: Moved) -> None:
    """Who is near whom does not depend on where the origin is."""
    builder, cloud = subject.create(), case.cloud
    moved = Cloud(cloud.features + case.shift, cloud.batch)
    require_same(graph_of(builder, moved), graph_of(builder, cloud), "after a shift")


@law(
    "graph",
    problems=lambda subject: node_relabellings(
        problems(subject, distinct=True), lambda cloud: (len(cloud.features), cloud.batch)
    ),
)
def equivariant_to_node_relabelling(subject: Subject, case: Relabelled[Cloud]) -> None:
    """Numbers of points are names: they carry no meaning."""
    builder, cloud, order = subject.create(), case.problem, case.order
    before = graph_of(builder, cloud)
    expected = Graph(order.argsort()[before.edge_index], before.num_nodes)
    other = Cloud(cloud.features[order], cloud.batch)
    require_same(graph_of(builder, other), expected, "other order of points")


@law(
    "graph", problems=lambda subject: problems(subject, max_points=3, max_samples=2).map(_collapse)
)
def few_and_coincident_points(subject: Subject, cloud: Cloud) -> None:
    """Clouds may be smaller than the number of neighbours, and points may coincide."""
    require_valid(graph_of(subject.create(), cloud), cloud)


def _collapse(cloud: Cloud) -> Cloud:
    # All points in one place, or a few anywhere: ties, and fewer points than neighbours.
    return Cloud(
        torch.zeros_like(cloud.features) if len(cloud.features) % 2 else cloud.features, cloud.batch
    )


@law("graph", problems=lambda subject: problems(subject))
def inputs_unmodified(subject: Subject, cloud: Cloud) -> None:
    """The network goes on with the same features."""
    tensors = {"features": cloud.features}
    if cloud.batch is not None:
        tensors["batch"] = cloud.batch
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    graph_of(subject.create(), cloud)
    require_unmodified(before, tensors)


@law("graph", problems=problems, share=0.5)
def accepts_features_in_training(subject: Subject, cloud: Cloud) -> None:
    """Graphs are built from features that are still to be differentiated."""
    builder = subject.create()
    training = Cloud((cloud.features * 1).requires_grad_() * 1, cloud.batch)
    require_same(graph_of(builder, training), graph_of(builder, cloud), "with a gradient to come")


@law("graph", problems=lambda subject: in_precision(problems(subject), HALVES), share=0.5)
def half_precision_under_autocast(subject: Subject, case: InPrecision[Cloud]) -> None:
    """In mixed precision a layer hands over half-precision features."""
    cloud = Cloud(case.cast(case.problem.features), case.problem.batch)
    with torch.autocast("cpu", case.dtype):
        require_valid(graph_of(subject.create(), cloud), cloud)


@law("graph", problems=problems, share=0.5)
def device_preserved(subject: Subject, cloud: Cloud) -> None:
    """On an accelerator, a tensor left behind on the CPU ends the training."""
    with PlacementWatch() as watch:
        graph = graph_of(subject.create(), cloud)
        require(not watch.is_stray(graph.edge_index), "the edges are made without device=")
    device = accelerator()
    if device is not None:
        batch = None if cloud.batch is None else cloud.batch.to(device)
        there = Cloud(cloud.features.float().to(device), batch)
        graph = graph_of(subject.create(), there)
        require(
            graph.device.type == device.type, f"points on {device} give edges on {graph.device}"
        )


@law("graph")
def global_state_left_alone(subject: Subject) -> None:
    """What a builder draws, seeds or sets for the whole process, the training goes on with."""
    features = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    require_left_alone(lambda: subject.make(**subject.params), "making it")
    builder = subject.create()
    require_nothing_drawn(lambda: builder(features, None), "a call")


@law("graph", exemption=unless_declared("bounded_memory"))
def bounded_memory(subject: Subject) -> None:
    """Clouds have thousands of points: all pairs of them do not fit."""
    points = 4096
    random = torch.Generator().manual_seed(1)
    # Spread out, so that a fixed radius holds few of them.
    cloud = Cloud(40 * torch.randn(points, 3, generator=random), None)
    builder = subject.create()
    with MemoryWatch() as watch:
        graph = graph_of(builder, cloud)
    require_bounded(watch, f"with {points} points", needed=16 * graph.num_edges)


@law("graph", exemption=unless_declared("linear_work"))
def work_grows_with_the_points(subject: Subject) -> None:
    """Four times the points must not take sixteen times the time."""

    def work(points: int) -> WorkWatch:
        random = torch.Generator().manual_seed(1)
        builder, watch = subject.create(), WorkWatch()
        with watch:
            graph_of(builder, Cloud(40 * torch.randn(points, 3, generator=random), None))
        return watch

    require_linear(work)


@law("graph", problems=problems, share=0.5)
def deterministic_under_a_seed(subject: Subject, cloud: Cloud) -> None:
    """A run can be repeated only if everything random comes from its seed."""
    first, second = (graph_of(subject.create(), cloud, seed=1) for _ in range(2))
    require_same(second, first, "the same seed again")


def _generic_cloud() -> Cloud:
    random = torch.Generator().manual_seed(7)
    features = torch.randn(40, 3, generator=random, dtype=torch.float64)
    return Cloud(features, torch.arange(2).repeat_interleave(20))


@law("graph")
def pickles(subject: Subject) -> None:
    """Distillers hold builders, and launchers and checkpoints send these by pickle."""
    builder, cloud = subject.create(), _generic_cloud()
    copy = pickle.loads(pickle.dumps(builder))
    require_same(graph_of(copy, cloud), graph_of(builder, cloud), "after pickling")


@law("graph")
def works_in_two_processes(subject: Subject) -> None:
    """Several processes train together, and none sees the others' memory."""
    builder, cloud = subject.create(), _generic_cloud()
    there = call_elsewhere(graph_of, builder, cloud)
    require_same(there, graph_of(builder, cloud), "in another process")


declarations = law("graph")(declarations_are_known)
