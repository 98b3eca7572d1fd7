"""Terms bound to the networks that they compare."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

from gkd.cache.keys import component_key
from gkd.distillation.layout import Layout, LayoutChoice
from gkd.distillation.schedule import Schedule, schedule_from
from gkd.distillation.taps import Tap, require_tap
from gkd.distillation.task import Task
from gkd.distillation.term import GraphChoice, Term, term_names
from gkd.distillation.views import (
    BatchGraph,
    NetworkTaps,
    TeacherView,
    ViewSource,
    declared_uses,
    graph_source,
)
from gkd.errors import GkdError, ParameterError, UnknownNameError, suggestion
from gkd.hosting.host import create, current_host
from gkd.loss import AbstractLoss


@dataclass(frozen=True)
class ResolvedTerm:
    """A term whose loss and taps exist.

    Attributes:
        name: key in reports, different from every other term's.
        schedule: its weight.
        teacher: name of the teacher it compares with.
        loss: that compares.
        student_view: where its view of the student comes from.
        teacher_view: where its view of the teacher comes from.
    """

    name: str
    schedule: Schedule
    teacher: str
    loss: AbstractLoss
    student_view: ViewSource
    teacher_view: TeacherView


def resolve(
    terms: Sequence[Term], student: nn.Module, teachers: Mapping[str, nn.Module], task: str | Task
) -> list[ResolvedTerm]:
    """Create the losses, and find the taps, teachers and graph sources that ``terms`` name.

    Raises:
        ParameterError: ``terms`` is no sequence of terms, names collide, there is no teacher, a
            term does not say which, or a loss's parameters are wrong.
        TapError: a tap does not exist; the nearest paths are named.
        UnknownNameError: a loss or a graph builder does not exist.
    """
    _require_terms(terms)
    resolved = []
    for name, term in zip(term_names(list(terms)), terms, strict=True):
        with term_context(name):
            teacher, tap = _teacher_and_tap(term.teacher, teachers)
            label = teacher_label(teacher, teachers)
            ours = _view_source(
                student,
                "student",
                term.student,
                term.graph if term.student_graph is None else term.student_graph,
                term.layout if term.student_layout is None else term.student_layout,
            )
            theirs = _view_source(
                teachers[teacher],
                label,
                tap,
                term.graph if term.teacher_graph is None else term.teacher_graph,
                term.layout if term.teacher_layout is None else term.teacher_layout,
            )
            loss = _create_loss(term, task)
            _require_taps_used(loss, ours, theirs)
            resolved.append(
                ResolvedTerm(
                    name=name,
                    schedule=schedule_from(term.weight),
                    teacher=teacher,
                    loss=loss,
                    student_view=ours,
                    teacher_view=TeacherView(
                        theirs.tap,
                        theirs.graph,
                        loss,
                        _target_key(term, loss, ours, theirs),
                        layout=theirs.layout,
                        label=label,
                    ),
                )
            )
    return resolved


def network_taps(label: str, views: Mapping[str, ViewSource], logits: Tap) -> NetworkTaps:
    """Return what to capture of one network.

    Args:
        label: what messages call it.
        views: by term, where its view of this network comes from. Of all terms, also of those
            whose weight is 0 for now: a tap that never fires, or an output that a cache lacks,
            shows in the first step.
        logits: where the logits are in the network's output.
    """
    features = dict.fromkeys(tap for view in views.values() for tap in view.feature_taps)
    graphs = dict.fromkeys(tap for view in views.values() for tap in view.graph_taps)
    terms = {
        tap: [name for name, view in views.items() if tap in (*view.feature_taps, *view.graph_taps)]
        for tap in features | graphs
    }
    return NetworkTaps(label, logits, tuple(features), tuple(graphs), terms=terms)


def teacher_label(name: str, teachers: Mapping[str, nn.Module]) -> str:
    """Return what messages call a teacher."""
    return "teacher" if len(teachers) == 1 else f"teacher {name!r}"


@contextmanager
def term_context(name: str) -> Iterator[None]:
    """Error context: what is raised inside says that it happened in the term ``name``."""
    try:
        yield
    except GkdError as error:
        error.args = (f"term {name!r}: {error}",)
        raise
    except Exception as error:
        error.add_note(f"while computing the term {name!r}")
        raise


def _create_loss(term: Term, task: str | Task) -> AbstractLoss:
    """Return the term's loss, created with the task or its name if it asks for one."""
    if isinstance(term.loss, AbstractLoss):
        return term.loss
    parameters = dict(term.params)
    if "task" in current_host().signature("loss", term.loss).parameters:
        parameters.setdefault("task", task)
    loss = create("loss", term.loss, **parameters)
    if not isinstance(loss, AbstractLoss):
        raise ParameterError(
            f"loss {term.loss!r} is a {type(loss).__name__}, not a gkd.AbstractLoss"
        )
    return loss


def _target_key(
    term: Term, loss: AbstractLoss, student: ViewSource, teacher: ViewSource
) -> str | None:
    """Name the loss's target among cache entries; None where it makes none that can be kept."""
    makes_one = loss.target_per_sample and type(loss).target is not AbstractLoss.target
    # A target serves the graph it lies on, and of these only the batch's is known beforehand.
    if not makes_one or teacher.graph != student.graph or not isinstance(teacher.graph, BatchGraph):
        return None
    key = component_key(loss, term.params if isinstance(term.loss, str) else None)
    layout = "" if teacher.layout is None else f" as {teacher.layout}"
    return f"target:{teacher.tap}{layout}:{teacher.graph.name}:{key}"


def _require_taps_used(loss: AbstractLoss, *views: ViewSource) -> None:
    uses = declared_uses(loss)
    taps = [repr(str(view.tap)) for view in views if view.tap is not None]
    if taps and uses is not None and "features" not in uses:
        raise ParameterError(
            f"{' and '.join(dict.fromkeys(taps))}: this loss compares {' and '.join(uses)}, and no "
            "features: name no tap, or take a loss that compares them"
        )


def _require_terms(terms: object) -> None:
    if isinstance(terms, str) or not isinstance(terms, Sequence):
        hint = "; write [term]" if isinstance(terms, Term) else ""
        raise ParameterError(
            f"terms: expected a sequence of gkd.Term, got a {type(terms).__name__}{hint}"
        )
    for position, term in enumerate(terms):
        if not isinstance(term, Term):
            raise ParameterError(
                f"terms[{position}]: expected a gkd.Term, got a {type(term).__name__}"
            )


def _teacher_and_tap(text: str | None, teachers: Mapping[str, nn.Module]) -> tuple[str, str | None]:
    if not teachers:
        raise ParameterError("a term needs a teacher to compare with, but there is none")
    name, colon, tap = (text or "").partition(":")
    if colon and name in teachers:
        return name, tap or None
    if len(teachers) == 1:
        return next(iter(teachers)), text
    choices = [f"{teacher}:{text or ''}" for teacher in teachers]
    if colon:
        raise UnknownNameError(f"no teacher {name!r}: {suggestion(name, teachers)}")
    raise ParameterError(
        f"teacher={text!r} does not say which of {len(teachers)} teachers; write one of: "
        f"{', '.join(repr(choice) for choice in choices)}"
    )


def _view_source(
    network: nn.Module,
    label: str,
    tap: str | None,
    graph: GraphChoice | None,
    layout: LayoutChoice | None,
) -> ViewSource:
    source = ViewSource(
        None if tap is None else Tap.parse(tap),
        graph_source(graph),
        layout=None if layout is None or tap is None else Layout.parse(layout),
        label=label,
    )
    for needed in (*source.feature_taps, *source.graph_taps):
        require_tap(network, needed, label)
    return source
