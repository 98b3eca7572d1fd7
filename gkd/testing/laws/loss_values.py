"""Laws of losses: values."""

from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from torch import Tensor

from gkd.errors import GkdError
from gkd.graph import Graph
from gkd.loss import AbstractLoss, View
from gkd.testing.law import law, require, unless_declared
from gkd.testing.laws.comparison import require_finite, require_unmodified
from gkd.testing.laws.loss_calls import built, mapped, parts, value_of
from gkd.testing.strategies.loss_problems import VIEW_PARTS, LossProblem, loss_problems
from gkd.testing.subject import Subject


def problems(subject: Subject, *, smooth: bool = False) -> SearchStrategy[LossProblem]:
    """Return problems of what the loss declares to use."""
    loss: AbstractLoss = subject.specimen
    return loss_problems(loss.uses, different_widths=loss.different_widths, smooth=smooth)


@law("loss", problems=problems)
def finite_and_scalar(subject: Subject, problem: LossProblem) -> None:
    """A training step descends on one finite number."""
    value = value_of(built(subject, problem), problem)
    require(isinstance(value, Tensor), f"it returns {type(value).__name__}, not a tensor")
    require(value.ndim == 0, f"its shape is {list(value.shape)}, not that of a scalar")
    require_finite(value, "the loss")


@law("loss", problems=problems, exemption=unless_declared("non_negative"))
def non_negative(subject: Subject, problem: LossProblem) -> None:
    """A distance below zero would reward being wrong."""
    value = value_of(built(subject, problem), problem).item()
    require(value >= 0, f"the loss is {value:.6g}")


@law(
    "loss",
    problems=lambda subject: loss_problems(subject.specimen.uses, agreeing=True),
    exemption=unless_declared("zero_at_equality"),
)
def zero_at_equality(subject: Subject, problem: LossProblem) -> None:
    """A student that equals its teacher has nothing left to learn."""
    value = value_of(built(subject, problem), problem).item()
    require(abs(value) <= 1e-9, f"the loss of a student that equals its teacher is {value:.6g}")


def _without_edges(problem: LossProblem) -> LossProblem:
    def bare(view: View) -> View:
        if view.graph is None:
            return view
        return replace(view, graph=Graph(view.graph.edge_index[:, :0], view.graph.num_nodes))

    return LossProblem(bare(problem.student), bare(problem.teacher))


@law("loss", problems=lambda subject: problems(subject).map(_without_edges))
def isolated_nodes_and_empty_edges(subject: Subject, problem: LossProblem) -> None:
    """Batches contain nodes, and whole graphs, without any edge."""
    student = mapped(problem.student, lambda tensor: tensor.clone().requires_grad_())
    loss = built(subject, problem)
    value = value_of(loss, LossProblem(student, problem.teacher))
    require_finite(value, "the loss without edges")
    if value.requires_grad:
        torch.autograd.backward(value)
    for name, tensor in parts(student).items():
        if tensor.grad is not None:
            require_finite(tensor.grad, f"the gradient of the student's {name} without edges")


def _unequal(problem: LossProblem) -> bool:
    return parts(problem.student)["features"].shape != parts(problem.teacher)["features"].shape


def _narrow_only(subject: Subject) -> str:
    if "features" not in subject.specimen.uses:
        return "declared: it does not use features"
    return unless_declared("different_widths")(subject)


@law(
    "loss",
    problems=lambda subject: loss_problems(subject.specimen.uses).filter(_unequal),
    exemption=_narrow_only,
)
def different_widths(subject: Subject, problem: LossProblem) -> None:
    """A student is narrower than its teacher."""
    try:
        value = value_of(built(subject, problem), problem)
    except Exception as error:
        raise AssertionError(
            f"features of different widths raise {type(error).__name__} ({error}); a loss that "
            "needs equal widths declares different_widths = False"
        ) from error
    require(value.ndim == 0, f"its shape is {list(value.shape)}, not that of a scalar")
    require_finite(value, "the loss")


@law("loss", problems=problems)
def inputs_unmodified(subject: Subject, problem: LossProblem) -> None:
    """Other terms, and the backward pass, read the same tensors."""
    tensors = _tensors(problem)
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    value_of(built(subject, problem), problem)
    require_unmodified(before, tensors)


def _tensors(problem: LossProblem) -> dict[str, Tensor]:
    named: dict[str, Tensor] = {}
    for side, view in (("student", problem.student), ("teacher", problem.teacher)):
        named |= {f"the {side}'s {name}": tensor for name, tensor in parts(view).items()}
        if view.graph is not None:
            named[f"the {side}'s edge_index"] = view.graph.edge_index
        if view.batch is not None:
            named[f"the {side}'s batch"] = view.batch
    return named


@dataclass(frozen=True)
class Lacking:
    """A problem whose views lack a part.

    Attributes:
        missing: the part.
        problem: without it.
    """

    missing: str
    problem: LossProblem


@st.composite
def _lacking(draw: st.DrawFn, subject: Subject) -> Lacking:
    missing = draw(st.sampled_from([part for part in VIEW_PARTS if part in subject.specimen.uses]))
    remaining = [part for part in VIEW_PARTS if part != missing]
    return Lacking(missing, draw(loss_problems(remaining)))


@law("loss", problems=_lacking, share=0.5)
def says_what_is_missing(subject: Subject, case: Lacking) -> None:
    """Who forgot a tap or a graph must read which one."""
    try:
        value_of(built(subject, case.problem), case.problem)
    except GkdError as error:
        named = case.missing in str(error)
        require(named, f"without {case.missing} the message does not name it: {error}")
        return
    except Exception as error:
        raise AssertionError(
            f"without {case.missing} it raises {type(error).__name__} ({error}); "
            f"View.require_{case.missing} explains it"
        ) from error
    raise AssertionError(f"it declares that it uses {case.missing}, but did without")
