"""The laws of losses that have a value per row, or ask for the step."""

from dataclasses import replace

import torch
from hypothesis import strategies as st

from gkd.distillation.loss_call import asked_by
from gkd.hosting.parameters import signature_of
from gkd.testing.law import law, unless_declared
from gkd.testing.laws.cases import Chosen, Relabelled, node_relabellings
from gkd.testing.laws.global_state import require_left_alone, require_undrawn
from gkd.testing.laws.loss_calls import (
    buffers_kept,
    build_loss,
    draws,
    generic_problem,
    problems,
    value_of,
    values_of,
)
from gkd.testing.laws.problem_changes import in_order, nodes_of, with_leaves, with_other_labels
from gkd.testing.laws.requirements import require, require_close
from gkd.testing.strategies.loss_problems import LossProblem, parts
from gkd.testing.subject import Subject

_GENERATOR = "draw with generator=step.generator, of forward(self, student, teacher, *, step)"


def _without_rows(subject: Subject) -> str:
    return unless_declared("per_row")(subject) or draws(subject)


@law(
    "loss",
    problems=lambda subject: node_relabellings(problems(subject), nodes_of),
    exemption=_without_rows,
)
def values_go_with_their_rows(subject: Subject, case: Relabelled[LossProblem]) -> None:
    """The engine takes and weighs a node's value by the node's row: it must be of that node."""
    loss = build_loss(subject, case.problem)
    with buffers_kept(loss):
        expected = values_of(loss, case.problem)[case.order]
    with buffers_kept(loss):
        values = values_of(loss, in_order(case.problem, case.order))
    require_close(values, expected, "other order of nodes")


def _without_choice(subject: Subject) -> str:
    chosen = "per_row" in signature_of(subject.factory).parameters
    return "" if chosen else "it has no parameter per_row"


@law("loss", problems=problems, exemption=_without_choice)
def all_rows_make_the_loss(subject: Subject, problem: LossProblem) -> None:
    """A term that takes all rows, or weighs them by 1, is the term that does neither."""
    whole, rows = (
        value_of(build_loss(chosen, problem), problem)
        for chosen in (
            replace(subject, params={**subject.params, "per_row": per_row})
            for per_row in (False, True)
        )
    )
    require_close(rows, whole, "the mean of its values with per_row = True")


@st.composite
def _chosen_rows(draw: st.DrawFn, subject: Subject) -> Chosen[LossProblem]:
    problem = draw(problems(subject).filter(lambda problem: problem.student.num_rows > 0))
    rows = draw(st.sets(st.integers(0, problem.student.num_rows - 1), min_size=1))
    return Chosen(problem, torch.tensor(sorted(rows)))


def _for_all_rows(subject: Subject) -> str:
    if "rows" not in asked_by(subject.specimen):
        return "it does not ask for the rows that count"
    return unless_declared("per_row")(subject) and _without_choice(subject)


@law(
    "loss",
    problems=_chosen_rows,
    exemption=_for_all_rows,
)
def rows_that_count_are_as_among_all(subject: Subject, case: Chosen[LossProblem]) -> None:
    """To leave out the work for rows that nobody looks at changes nothing at those that count."""
    if not _without_choice(subject):
        subject = replace(subject, params={**subject.params, "per_row": True})
    loss = build_loss(subject, case.problem)
    found = []
    for rows in (None, case.rows):
        problem = with_leaves(case.problem)
        with buffers_kept(loss):
            values = values_of(loss, problem, rows=rows)[case.rows]
        # Not their sum alone, in which what was confused may cancel.
        torch.autograd.backward((values * torch.arange(1, len(values) + 1)).sum())
        leaves = parts(problem.student).values()
        found.append((values, [leaf.grad for leaf in leaves if leaf.grad is not None]))
    (expected, slopes), (values, others) = found
    require_close(values, expected, "with the rows that count alone")
    for slope, other in zip(slopes, others, strict=True):
        require_close(other, slope, "the gradient with the rows that count alone")


def _without_step(subject: Subject) -> str:
    return "" if "step" in asked_by(subject.specimen) else "it does not ask for the step"


@law("loss", problems=problems, exemption=_without_step)
def labels_of_other_rows_play_no_part(subject: Subject, problem: LossProblem) -> None:
    """Labels to select and to test on must not train; step.labelled tells them apart."""
    loss = build_loss(subject, problem)
    what = "with other labels where step.labelled is False"
    require_close(value_of(loss, with_other_labels(problem)), value_of(loss, problem), what)


@law("loss", problems=problems)
def draws_from_the_step_alone(subject: Subject, problem: LossProblem) -> None:
    """What a loss draws elsewhere changes what dropout draws, and no resume brings it back."""
    loss = build_loss(subject, problem)
    first, second = (value_of(loss, problem, seed) for seed in (0, 1))
    require(
        torch.equal(first, second),
        f"the same step gives {first.item()} and {second.item()} under another global seed; "
        f"{_GENERATOR}",
    )
    with buffers_kept(loss):
        require_undrawn(lambda: values_of(loss, problem, seed=None), "it", f"; {_GENERATOR}")


@law("loss")
def global_state_left_alone(subject: Subject) -> None:
    """What a loss seeds or sets for the whole process, the networks' training goes on with."""
    problem = generic_problem(subject)
    require_left_alone(lambda: _made(subject, problem), "making it")
    loss = build_loss(subject, problem)
    with buffers_kept(loss):
        require_left_alone(lambda: values_of(loss, problem, seed=None), "a call")


def _made(subject: Subject, problem: LossProblem) -> None:
    subject.make(**subject.params).build(problem.student, problem.teacher)
