"""Calling a loss as a distiller does."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from hypothesis.strategies import SearchStrategy
from torch import Tensor

from gkd.distillation.loss_call import asked_by, loss_value
from gkd.distillation.task import Likelihood
from gkd.distillation.task_choice import find_task
from gkd.graph import Graph
from gkd.hosting.parameters import signature_of
from gkd.loss import AbstractLoss, View
from gkd.testing.strategies.labels import labels_of
from gkd.testing.strategies.loss_problems import LossProblem, loss_problems, map_tensors
from gkd.testing.strategies.step_problems import StepProblem
from gkd.testing.subject import Subject, fixed_seed


def problems(
    subject: Subject, uses: Sequence[str] | None = None, **options: Any
) -> SearchStrategy[LossProblem]:
    """Return problems of what the loss declares to use, and asks for."""
    loss: AbstractLoss = subject.specimen
    options = {"different_widths": loss.different_widths, **options}
    return loss_problems(
        loss.uses if uses is None else uses,
        asks=asked_by(loss),
        likelihood=likelihood_of(subject),
        **options,
    )


def build_loss(subject: Subject, problem: LossProblem, seed: int = 0) -> AbstractLoss:
    """Return a new loss whose learned parts fit the problem."""
    loss: AbstractLoss = subject.create(seed)
    with fixed_seed(seed):
        loss.build(problem.student, problem.teacher)
    return loss


def value_of(loss: AbstractLoss, problem: LossProblem, seed: int = 0) -> Tensor:
    """Return the loss, a scalar: of a value per row, the mean.

    Everything random in it comes from ``seed`` and the step's. What the loss keeps in its buffers
    is afterwards as before, so that calls can be compared.
    """
    with buffers_kept(loss):
        return values_of(loss, problem, seed).mean()


def values_of(loss: AbstractLoss, problem: LossProblem, seed: int = 0) -> Tensor:
    """Return what the loss gives, and let it keep what it keeps of the step."""
    with fixed_seed(seed):
        return loss_value(
            loss, problem.student, problem.teachers, problem.new_step(), asked_by(loss)
        )


@contextmanager
def buffers_kept(loss: AbstractLoss) -> Iterator[None]:
    """Leave the buffers of a loss as they are: what happens inside happens to copies."""
    kept = [(module, dict(module._buffers)) for module in loss.modules()]
    for module, buffers in kept:
        for name, buffer in buffers.items():
            module._buffers[name] = None if buffer is None else buffer.clone()
    try:
        yield
    finally:
        for module, buffers in kept:
            module._buffers.clear()
            module._buffers.update(buffers)


def likelihood_of(subject: Subject) -> Likelihood:
    """Return what logits mean to a component: what its parameter ``task`` says, if it has one."""
    parameter = signature_of(subject.factory).parameters.get("task")
    if parameter is None:
        return "softmax"
    default = "single-label" if parameter.default is parameter.empty else parameter.default
    return find_task(subject.params.get("task", default)).likelihood


def map_problem(problem: LossProblem, function: Callable[[Tensor], Tensor]) -> LossProblem:
    """Return the problem with ``function`` applied to what the networks made, of all views."""
    changed = {name: map_tensors(view, function) for name, view in problem.views.items()}
    return problem.with_views(changed)


def cast_problem(problem: LossProblem, function: Callable[[Tensor], Tensor]) -> LossProblem:
    """Return the problem with ``function`` applied to what networks made and to what they read."""
    problem = map_problem(problem, function)
    if problem.step is None:
        return problem
    return replace(problem, step=replace(problem.step, x=function(problem.step.x)))


def leaf(tensor: Tensor) -> Tensor:
    """Return a copy that collects a gradient."""
    return tensor.detach().clone().requires_grad_()


def with_leaves(problem: LossProblem) -> LossProblem:
    """Return the problem with tensors that collect gradients, on both sides."""
    return map_problem(problem, leaf)


def generic_problem(subject: Subject, seed: int = 7) -> LossProblem:
    """Return one fixed problem on which nothing is special: no rows agree, every node has edges."""
    nodes, degree, width = 12, 3, 4
    random = torch.Generator().manual_seed(seed)
    sources = torch.randint(nodes, (nodes * degree,), generator=random)
    graph = Graph(torch.stack([sources, torch.arange(nodes).repeat_interleave(degree)]), nodes)
    wider = width + 2 if subject.specimen.different_widths else width
    return problem_on(subject, graph, (width, wider), 4, random)


def problem_on(
    subject: Subject, graph: Graph, widths: tuple[int, int], classes: int, random: torch.Generator
) -> LossProblem:
    """Return a problem on a graph, in float64, with what the loss uses and asks for.

    Args:
        subject: the loss.
        graph: of all views.
        widths: of the features of student and teachers; a layer of twice the width comes first.
        classes: width of the logits.
        random: to draw from.
    """
    loss: AbstractLoss = subject.specimen
    asks, nodes = asked_by(loss), graph.num_nodes

    def normal(columns: int) -> Tensor:
        return torch.randn(nodes, columns, generator=random, dtype=torch.float64)

    def view(width: int) -> View:
        features = 0.5 * normal(width) if "features" in loss.uses else None
        view = View(
            logits=0.5 * normal(classes) if "logits" in loss.uses else None,
            features=features,
            graph=graph if "graph" in loss.uses else None,
        )
        if "layers" not in loss.uses or features is None:
            return view
        return replace(view, layers=(0.5 * normal(2 * width), features))

    student, teacher = map(view, widths)
    others = {"second": view(widths[1])} if "teachers" in asks else {}
    if "step" not in asks:
        return LossProblem(student, teacher, others)
    step = StepProblem(
        labels=labels_of(likelihood_of(subject), nodes, classes, random),
        labelled=torch.arange(nodes) % 2 == 0,
        nodes=torch.randperm(nodes, generator=random),
        x=normal(3),
        classes=classes,
    )
    return LossProblem(student, teacher, others, step)
