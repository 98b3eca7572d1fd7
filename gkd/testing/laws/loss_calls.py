"""Calling a loss as a distiller does."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gkd.graph import Graph
from gkd.loss import AbstractLoss, View
from gkd.testing.strategies.loss_problems import LossProblem
from gkd.testing.subject import Subject, fixed_seed


def build_loss(subject: Subject, problem: LossProblem, seed: int = 0) -> AbstractLoss:
    """Return a new loss whose learned parts fit the problem."""
    loss: AbstractLoss = subject.create(seed)
    with fixed_seed(seed):
        loss.build(problem.student, problem.teacher)
    return loss


def value_of(loss: AbstractLoss, problem: LossProblem, seed: int = 0) -> Tensor:
    """Return the loss; everything random in it comes from ``seed``."""
    with fixed_seed(seed):
        value: Tensor = loss(problem.student, problem.teacher)
    return value


def parts(view: View) -> dict[str, Tensor]:
    """Tensors of a view that a gradient can have."""
    named = {"logits": view.logits, "features": view.features}
    return {name: tensor for name, tensor in named.items() if tensor is not None}


def map_tensors(view: View, function: Callable[[Tensor], Tensor]) -> View:
    """Return the view with ``function`` applied to logits and features."""
    changed: dict[str, Any] = {name: function(tensor) for name, tensor in parts(view).items()}
    return replace(view, **changed)


def map_problem(problem: LossProblem, function: Callable[[Tensor], Tensor]) -> LossProblem:
    """Return the problem with ``function`` applied to logits and features of both sides."""
    return LossProblem(
        map_tensors(problem.student, function), map_tensors(problem.teacher, function)
    )


def leaf(tensor: Tensor) -> Tensor:
    """Return a copy that collects a gradient."""
    return tensor.detach().clone().requires_grad_()


def with_leaves(problem: LossProblem) -> LossProblem:
    """Return the problem with tensors that collect gradients, on both sides."""
    return map_problem(problem, leaf)


def generic_problem(
    loss: AbstractLoss, nodes: int = 12, width: int = 4, degree: int = 3
) -> LossProblem:
    """Return one fixed problem on which nothing is special: no rows agree, every node has edges."""
    random = torch.Generator().manual_seed(7)
    sources = torch.randint(nodes, (nodes * degree,), generator=random)
    targets = torch.arange(nodes).repeat_interleave(degree)
    graph = Graph(torch.stack([sources, targets]), nodes)
    widths = (width, width + 2 if loss.different_widths else width)
    student, teacher = (
        View(
            logits=0.5 * torch.randn(nodes, 4, generator=random, dtype=torch.float64),
            features=0.5 * torch.randn(nodes, columns, generator=random, dtype=torch.float64),
            graph=graph,
        )
        for columns in widths
    )
    return LossProblem(only(student, loss.uses), only(teacher, loss.uses))


def only(view: View, uses: tuple[str, ...]) -> View:
    """Return the view without what is not among ``uses``."""
    return View(
        logits=view.logits if "logits" in uses else None,
        features=view.features if "features" in uses else None,
        graph=view.graph if "graph" in uses else None,
        batch=view.batch,
    )
