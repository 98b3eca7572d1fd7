"""Laws of graph builders: training, precision, devices, memory, other processes."""

import pickle

import torch
from hypothesis import strategies as st

from gkd.testing.law import law, require, unless_declared
from gkd.testing.laws.cases import HALVES, InPrecision
from gkd.testing.laws.comparison import require_unmodified
from gkd.testing.laws.graph_edges import Builder, graph_of, require_same, require_valid
from gkd.testing.laws.memory_bound import require_bounded
from gkd.testing.memory import MemoryWatch
from gkd.testing.other_process import elsewhere
from gkd.testing.placement import PlacementWatch, accelerator
from gkd.testing.strategies.clouds import Cloud, clouds
from gkd.testing.subject import Subject


@law("graph", problems=lambda subject: clouds())
def inputs_unmodified(subject: Subject, cloud: Cloud) -> None:
    """The network goes on with the same features."""
    tensors = {"features": cloud.features}
    if cloud.batch is not None:
        tensors["batch"] = cloud.batch
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    graph_of(subject.create(), cloud)
    require_unmodified(before, tensors)


@law("graph", problems=lambda subject: clouds(), share=0.5)
def accepts_features_in_training(subject: Subject, cloud: Cloud) -> None:
    """Graphs are built from features that are still to be differentiated."""
    builder = subject.create()
    training = Cloud((cloud.features * 1).requires_grad_() * 1, cloud.batch)
    require_same(graph_of(builder, training), graph_of(builder, cloud), "with a gradient to come")


@st.composite
def _in_half(draw: st.DrawFn, subject: Subject) -> InPrecision[Cloud]:
    return InPrecision(draw(clouds()), draw(HALVES))


@law("graph", problems=_in_half, share=0.5)
def half_precision_under_autocast(subject: Subject, case: InPrecision[Cloud]) -> None:
    """In mixed precision a layer hands over half-precision features."""
    cloud = Cloud(case.cast(case.problem.features), case.problem.batch)
    with torch.autocast("cpu", case.dtype):
        require_valid(graph_of(subject.create(), cloud), cloud)


@law("graph", problems=lambda subject: clouds(), share=0.5)
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


@law("graph", problems=lambda subject: clouds(), share=0.5)
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
    there = elsewhere(_edges_of, builder, cloud)
    here = graph_of(builder, cloud).edge_index.tolist()
    require(there == here, "in another process the edges are others")


def _edges_of(builder: Builder, cloud: Cloud) -> list[list[int]]:
    edges: list[list[int]] = graph_of(builder, cloud).edge_index.tolist()
    return edges
