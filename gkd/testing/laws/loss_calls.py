"""Calling a loss as a distiller does."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from hypothesis.strategies import SearchStrategy
from torch import Tensor, nn

from gkd.distillation.loss_call import asked_by, loss_value
from gkd.distillation.views import parts_used
from gkd.graph import Graph
from gkd.loss import AbstractLoss
from gkd.testing.laws.problem_changes import generic_graph, likelihood_of, problem_on
from gkd.testing.strategies.loss_problems import LossProblem, loss_problems
from gkd.testing.subject import Subject, fixed_seed


def problems(
    subject: Subject, uses: Sequence[str] | None = None, **options: Any
) -> SearchStrategy[LossProblem]:
    """Return problems of what the loss declares to use, and asks for."""
    loss: AbstractLoss = subject.specimen
    options = {"different_widths": loss.different_widths, **options}
    return subject.problems(
        loss_problems,
        parts_used(loss) if uses is None else tuple(uses),
        asks=tuple(asked_by(loss)),
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


def values_of(
    loss: AbstractLoss, problem: LossProblem, seed: int | None = 0, rows: Tensor | None = None
) -> Tensor:
    """Return what the loss gives, and let it keep what it keeps of the step.

    Args:
        loss: under test.
        problem: what it is called with.
        seed: of what it draws elsewhere than from the step; None leaves the state as it is.
        rows: whose values are looked at; None for all.
    """
    step, asks = problem.new_step(), asked_by(loss)
    with nullcontext() if seed is None else fixed_seed(seed):
        return loss_value(loss, problem.student, problem.teachers, step, asks, rows)


@contextmanager
def buffers_kept(component: nn.Module) -> Iterator[None]:
    """Leave the buffers of a component as they are: what happens inside happens to copies."""
    kept = [(module, dict(module._buffers)) for module in component.modules()]
    for module, buffers in kept:
        for name, buffer in buffers.items():
            module._buffers[name] = None if buffer is None else buffer.clone()
    try:
        yield
    finally:
        for module, buffers in kept:
            module._buffers.clear()
            module._buffers.update(buffers)


def generic_problem(subject: Subject, seed: int = 7) -> LossProblem:
    """Return one fixed problem on which nothing is special: no rows agree, every node has edges."""
    random = torch.Generator().manual_seed(seed)
    return problem_for(subject, generic_graph(random), (4, 6), 4, random)


def problem_for(
    subject: Subject, graph: Graph, widths: tuple[int, int], classes: int, random: torch.Generator
) -> LossProblem:
    """Return a problem with what the loss uses and asks for, see :func:`problem_on`."""
    loss: AbstractLoss = subject.specimen
    ours, theirs = widths
    return problem_on(
        graph,
        parts_used(loss),
        asked_by(loss),
        random,
        widths=(ours, theirs if loss.different_widths else ours),
        classes=classes,
        likelihood=likelihood_of(subject),
    )


def draws(subject: Subject) -> str:
    """Exempt a loss that draws from the step: by the numbers of the nodes."""
    if "step" not in asked_by(subject.specimen):
        return ""
    problem = generic_problem(subject)
    step = problem.new_step()
    assert step is not None
    before = step.generator.get_state()
    try:
        loss = build_loss(subject, problem)
        loss_value(loss, problem.student, problem.teachers, step, asked_by(loss))
    except Exception:  # other laws tell
        return ""
    drew = not torch.equal(before, step.generator.get_state())
    return "it draws at random, from step.generator" if drew else ""
