"""Laws of losses: precision, devices, memory."""

from dataclasses import replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from gkd.loss import AbstractLoss, View
from gkd.testing.law import law, require, unless_declared
from gkd.testing.laws.cases import FULLS, HALVES, SCALES, InPrecision
from gkd.testing.laws.comparison import require_finite
from gkd.testing.laws.loss_calls import (
    built,
    mapped,
    mapped_problem,
    only,
    parts,
    value_of,
    with_leaves,
)
from gkd.testing.laws.loss_values import problems
from gkd.testing.laws.memory_bound import EDGES, NODES, WIDTH, random_graph, require_bounded
from gkd.testing.memory import MemoryWatch
from gkd.testing.placement import PlacementWatch, accelerator
from gkd.testing.strategies.loss_problems import LossProblem
from gkd.testing.subject import Subject


@st.composite
def _in_half(draw: st.DrawFn, subject: Subject) -> InPrecision[LossProblem]:
    return InPrecision(draw(problems(subject)), draw(HALVES), draw(SCALES))


@law("loss", problems=_in_half)
def half_precision_under_autocast(subject: Subject, case: InPrecision[LossProblem]) -> None:
    """Networks train in mixed precision, where squares of ordinary features overflow."""
    problem = with_leaves(mapped_problem(case.problem, case.cast))
    with torch.autocast("cpu", case.dtype):
        value = value_of(built(subject, problem), problem)
    require_finite(value, f"the loss in {case.dtype}")
    # Gradients of large half-precision features may overflow; scalers of gradients skip these.
    if case.scale > 1 or not value.requires_grad:
        return
    torch.autograd.backward(value)
    for name, tensor in parts(problem.student).items():
        if tensor.grad is not None:
            require_finite(tensor.grad, f"the gradient of the student's {name} in {case.dtype}")


@st.composite
def _in_full(draw: st.DrawFn, subject: Subject) -> InPrecision[LossProblem]:
    return InPrecision(draw(problems(subject)), draw(FULLS))


@law("loss", problems=_in_full, share=0.5)
def dtype_preserved(subject: Subject, case: InPrecision[LossProblem]) -> None:
    """Terms are added up: one of another type would change the others'."""
    problem = mapped_problem(case.problem, case.cast)
    value = value_of(built(subject, problem), problem)
    require(value.dtype == case.dtype, f"{case.dtype} views give a loss in {value.dtype}")


@law("loss", problems=problems, share=0.5)
def device_preserved(subject: Subject, problem: LossProblem) -> None:
    """On an accelerator, a tensor left behind on the CPU ends the training."""
    problem = with_leaves(problem)
    with PlacementWatch() as watch:
        loss = built(subject, problem)
        watch.settle([*loss.parameters(), *loss.buffers()])
        value = value_of(loss, problem)
        require(not watch.is_stray(value), "the loss is made without device=: it stays on the CPU")
        if value.requires_grad:
            torch.autograd.backward(value)
    device = accelerator()
    if device is not None:
        there = LossProblem(*(_moved(v, device) for v in (problem.student, problem.teacher)))
        value = value_of(built(subject, there).to(device), there)
        require(value.device.type == device.type, f"views on {device} give {value.device}")
        require_finite(value, f"the loss on {device}")


def _moved(view: View, device: torch.device) -> View:
    def move(tensor: Tensor) -> Tensor:
        return tensor.detach().float().to(device)

    graph = None if view.graph is None else view.graph.to(device)
    batch = None if view.batch is None else view.batch.to(device)
    return replace(mapped(view, move), graph=graph, batch=batch)


@law("loss", exemption=unless_declared("bounded_memory"))
def bounded_memory(subject: Subject) -> None:
    """Graphs have many more edges than nodes: features gathered for each do not fit."""
    widths = (WIDTH, 2 * WIDTH if subject.specimen.different_widths else WIDTH)
    student, teacher = (_large_view(subject.specimen, width) for width in widths)
    problem = with_leaves(LossProblem(student, teacher))
    loss = built(subject, problem)
    with MemoryWatch() as watch:
        value = value_of(loss, problem)
        if value.requires_grad:
            torch.autograd.backward(value)
    require_bounded(watch, f"with {NODES} nodes, {EDGES} edges and features of width {max(widths)}")


def _large_view(loss: AbstractLoss, width: int) -> View:
    random = torch.Generator().manual_seed(width)
    view = View(
        logits=torch.randn(NODES, 16, generator=random),
        features=torch.randn(NODES, width, generator=random),
        graph=random_graph(),
    )
    return only(view, loss.uses)
