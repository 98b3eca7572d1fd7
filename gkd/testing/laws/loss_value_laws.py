"""The laws of losses about what their value, and its gradient, depend on."""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from gkd.graph import Graph
from gkd.hosting.parameters import accepts, signature_of
from gkd.testing.law import law, unless_declared
from gkd.testing.laws.loss_calls import (
    build_loss,
    draws,
    generic_problem,
    problem_for,
    value_of,
)
from gkd.testing.laws.problem_changes import (
    generic_graph,
    likelihood_of,
    map_problem,
    on_graph,
    with_classes_in_order,
    with_leaves,
)
from gkd.testing.laws.requirements import (
    FEW_EDGES,
    ONE_MORE_EDGE,
    require,
    require_close,
    require_linear,
    work_graph,
)
from gkd.testing.strategies.loss_problems import (
    LossProblem,
    copy_view,
    map_tensors,
    parts,
)
from gkd.testing.subject import Subject
from gkd.testing.work_watch import WorkWatch


def _least_anyhow(subject: Subject) -> str:
    loss = subject.specimen
    if loss.non_negative and loss.zero_at_equality:
        return "declared: it is 0 there, and nowhere below"
    return unless_declared("least_at_equality")(subject)


@law("loss", exemption=_least_anyhow)
def least_at_equality(subject: Subject) -> None:
    """Where a student gains by leaving its teacher, the loss drives it away."""
    random = torch.Generator().manual_seed(7)
    problem = problem_for(subject, generic_graph(random), (4, 4), 4, random)
    teachers = {name: copy_view(problem.student) for name in problem.teachers}
    problem = problem.with_views({"student": problem.student, **teachers})
    loss = build_loss(subject, problem)
    equal = value_of(loss, problem).item()
    for size in (1e-2, 0.1, 0.1, 1.0, 1.0, 3.0):
        step = partial(_off_by, size, random)
        value = value_of(loss, replace(problem, student=map_tensors(problem.student, step))).item()
        require(
            value >= equal - 1e-9,
            f"it is {equal:.6g} where the student equals its teacher, and {value:.6g} where the "
            "student is off at random; a loss that pulls elsewhere, too, as to labels, declares "
            "least_at_equality = False",
        )


def _off_by(size: float, random: torch.Generator, tensor: Tensor) -> Tensor:
    return tensor + size * _like(tensor, random)


def _like(tensor: Tensor, random: torch.Generator) -> Tensor:
    return torch.randn(tensor.shape, generator=random, dtype=tensor.dtype)


_TEMPERATURES = (4, 16)


def _temperatures(subject: Subject) -> list[str]:
    """Return the names of parameters that are a temperature, and can be as high as is tried."""
    taken = signature_of(subject.factory).parameters
    return [
        name
        for name in subject.specimen.temperature_names
        if name in taken
        and all(accepts(subject.factory, name, t) is not False for t in _TEMPERATURES)
    ]


def _without_temperature(subject: Subject) -> str:
    if not _temperatures(subject):
        names = ", ".join(subject.specimen.temperature_names) or "nothing"
        return f"it has no temperature; temperature_names says what one is called: {names}"
    if "logits" not in subject.specimen.uses:
        return "declared: it does not use logits"
    return unless_declared("fades_with_temperature", True)(subject)


@law("loss", exemption=_without_temperature)
def gradient_lasts_at_high_temperatures(subject: Subject) -> None:
    """A divergence fades with the square of its temperature, and must be multiplied by that."""
    # Of both, logits of about 1/2 are small: the softmax is nearly linear, as of higher ones.
    for name in _temperatures(subject):
        low, high = (
            _gradient(replace(subject, params={**subject.params, name: temperature}))
            for temperature in _TEMPERATURES
        )
        require(
            high >= low / 3,
            f"from {name} 4 to 16 the gradient of the logits falls from {low:.3g} to {high:.3g}; "
            "a loss that is meant to fade declares fades_with_temperature = True, one whose "
            f"{name} is no temperature declares temperature_names = ()",
        )


def _gradient(subject: Subject) -> float:
    return float(_gradient_of(subject, generic_problem(subject))["logits"].norm())


def _gradient_of(subject: Subject, problem: LossProblem) -> dict[str, Tensor]:
    """Return the gradient of what the student made, by name."""
    problem = with_leaves(problem)
    value = value_of(build_loss(subject, problem), problem)
    if value.requires_grad:
        torch.autograd.backward(value)
    return {
        name: torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
        for name, tensor in parts(problem.student).items()
    }


def _without_logits(subject: Subject) -> str:
    return "" if "logits" in subject.specimen.uses else "declared: it does not use logits"


@law("loss", exemption=lambda subject: _without_logits(subject) or draws(subject))
def invariant_to_class_order(subject: Subject) -> None:
    """Numbers of classes are names: they carry no meaning."""
    problem = generic_problem(subject)
    loss = build_loss(subject, problem)
    other = with_classes_in_order(problem, torch.tensor([2, 0, 3, 1]))
    require_close(value_of(loss, other), value_of(loss, problem), "other order of classes")


def _without_softmax(subject: Subject) -> str:
    if "softmax" not in subject.specimen.likelihoods or likelihood_of(subject) != "softmax":
        return "declared: its logits are not those of a softmax alone"
    return _without_logits(subject) or unless_declared("shift_invariant")(subject)


@law("loss", exemption=_without_softmax)
def invariant_to_a_shift_of_logits(subject: Subject) -> None:
    """Logits of a softmax mean the same with a number added to all of a row, but not of a class."""
    problem = generic_problem(subject)
    loss = build_loss(subject, problem)
    expected = value_of(loss, problem)
    for name, view in problem.views.items():
        assert view.logits is not None
        shifts = torch.zeros(len(view.logits), 1, dtype=view.logits.dtype)
        shifts[3] = 2.0
        shifted = problem.with_views(
            {**problem.views, name: replace(view, logits=view.logits + shifts)}
        )
        what = f"with 2 added to the {name}'s logits of one row"
        require_close(value_of(loss, shifted), expected, what)


@law("loss", exemption=unless_declared("samples_apart"))
def samples_do_not_mix(subject: Subject) -> None:
    """Which samples share a batch is chance: what one is taught must not depend on the others."""
    random = torch.Generator().manual_seed(7)
    one = generic_graph(random)
    nodes = one.num_nodes
    edges = torch.cat([one.edge_index, one.edge_index + nodes], dim=1)
    problem = problem_for(subject, Graph(edges, 2 * nodes), (4, 6), 4, random)
    batch = torch.arange(2).repeat_interleave(nodes)
    problem = problem.with_views({n: replace(v, batch=batch) for n, v in problem.views.items()})

    def with_another(tensor: Tensor) -> Tensor:
        return torch.cat([tensor[:nodes], 0.5 * _like(tensor[nodes:], random)])

    _require_same_direction(
        subject,
        problem,
        map_problem(problem, with_another),
        torch.arange(nodes),
        "of the first sample changes with the second; a loss that relates rows of all samples "
        "declares samples_apart = False",
    )


def _require_same_direction(
    subject: Subject, problem: LossProblem, other: LossProblem, rows: Tensor, what: str
) -> None:
    """Require that the gradient of some rows is the same in both problems, but for a factor."""
    gradients = []
    for each in (problem, other):
        named = _gradient_of(subject, each)
        whole = torch.cat([gradient[rows].flatten() for gradient in named.values()])
        gradients.append(whole / max(whole.norm().item(), 1e-30))
    gap = (gradients[0] - gradients[1]).abs().max().item()
    require(gap <= 1e-6, f"the direction of the gradient {what}")


def _without_edges(subject: Subject) -> str:
    if "graph" not in subject.specimen.uses:
        return "declared: it does not use the graph"
    return unless_declared("samples_apart")(subject) or unless_declared("directed")(subject)


@law("loss", exemption=_without_edges)
def an_edge_concerns_its_target(subject: Subject) -> None:
    """Edges bring a node what its neighbours send: their number at the source plays no part."""
    random = torch.Generator().manual_seed(7)
    problem = problem_for(subject, FEW_EDGES, (4, 6), 4, random)
    # Nothing leads from the target of that edge, and nothing from these to it.
    _require_same_direction(
        subject,
        problem,
        on_graph(problem, ONE_MORE_EDGE),
        torch.tensor([1, 2, 4]),
        "of nodes from which no path leads to the target of an edge changes with this edge: is "
        "something normalised by the source, not by the target? A loss that takes edges both ways "
        "declares directed = False",
    )


@law("loss", exemption=unless_declared("linear_work"))
def work_grows_with_the_graph(subject: Subject) -> None:
    """Four times the graph must not take sixteen times the time."""

    def work(nodes: int) -> WorkWatch:
        random = torch.Generator().manual_seed(0)
        problem = problem_for(subject, work_graph(nodes), (4, 4), 4, random)
        loss = build_loss(subject, problem)
        watch = WorkWatch()
        with watch:
            value_of(loss, problem)
        return watch

    require_linear(work)
