"""Terms bound to the networks they compare."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

from gkd.distillation.graph_source import GraphChoice, graph_source
from gkd.distillation.network_outputs import NetworkTaps
from gkd.distillation.schedule import Schedule, schedule_from
from gkd.distillation.tap import Tap
from gkd.distillation.taps import require_tap
from gkd.distillation.task import Task
from gkd.distillation.teachers import teacher_label
from gkd.distillation.term import Term, term_names
from gkd.distillation.view_source import ViewSource
from gkd.errors import GkdError, ParameterError, UnknownNameError, suggestion
from gkd.hosting.catalog import create, signature
from gkd.loss import AbstractLoss


@dataclass(frozen=True)
class ResolvedTerm:
    """A term whose taps exist.

    Attributes:
        name: key in reports, different from every other term's.
        schedule: its weight.
        teacher: name of the teacher it compares with.
        student_view: where its view of the student comes from.
        teacher_view: where its view of the teacher comes from.
    """

    name: str
    schedule: Schedule
    teacher: str
    student_view: ViewSource
    teacher_view: ViewSource


def resolved_terms(
    terms: Sequence[Term], student: nn.Module, teachers: Mapping[str, nn.Module]
) -> list[ResolvedTerm]:
    """Find the taps, teachers and graph sources that ``terms`` name.

    Raises:
        ParameterError: ``terms`` is no sequence of terms, names collide, there is no teacher, or a
            term does not say which.
        TapError: a tap does not exist; the nearest paths are named.
        UnknownNameError: a graph builder does not exist.
    """
    _require_terms(terms)
    resolved = []
    for name, term in zip(term_names(list(terms)), terms, strict=True):
        with blaming(name):
            teacher, tap = _teacher_and_tap(term.teacher, teachers)
            label = teacher_label(teacher, teachers)
            resolved.append(
                ResolvedTerm(
                    name=name,
                    schedule=schedule_from(term.weight),
                    teacher=teacher,
                    student_view=_view_source(
                        student, "student", term.student, _first(term.student_graph, term.graph)
                    ),
                    teacher_view=_view_source(
                        teachers[teacher], label, tap, _first(term.teacher_graph, term.graph)
                    ),
                )
            )
    return resolved


def student_taps(terms: Iterable[ResolvedTerm], logits: Tap) -> NetworkTaps:
    """Return what ``terms`` need of the student."""
    return _network_taps("student", {term.name: term.student_view for term in terms}, logits)


def teacher_taps(
    terms: Iterable[ResolvedTerm], logits: Tap, teachers: Mapping[str, nn.Module]
) -> dict[str, NetworkTaps]:
    """Return what ``terms`` need of each teacher, by its name."""
    views: dict[str, dict[str, ViewSource]] = {name: {} for name in teachers}
    for term in terms:
        views[term.teacher][term.name] = term.teacher_view
    return {
        name: _network_taps(teacher_label(name, teachers), views[name], logits) for name in teachers
    }


def loss_of(term: Term, task: Task) -> AbstractLoss:
    """Return the term's loss, created with the task's name if it asks for a task.

    Raises:
        UnknownNameError: there is no such loss.
        ParameterError: its parameters are wrong, or what the plugin made is not a loss.
    """
    if isinstance(term.loss, AbstractLoss):
        return term.loss
    parameters = dict(term.params)
    if "task" in signature("loss", term.loss).parameters:
        parameters.setdefault("task", task.name)
    loss = create("loss", term.loss, **parameters)
    if not isinstance(loss, AbstractLoss):
        raise ParameterError(
            f"loss {term.loss!r} is a {type(loss).__name__}, not a gkd.AbstractLoss"
        )
    return loss


@contextmanager
def blaming(term: str) -> Iterator[None]:
    """Context in which errors say that they happened in ``term``."""
    try:
        yield
    except GkdError as error:
        error.args = (f"term {term!r}: {error}",)
        raise
    except Exception as error:
        error.add_note(f"while computing the term {term!r}")
        raise


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


def _first(own: GraphChoice | None, shared: GraphChoice | None) -> GraphChoice | None:
    return shared if own is None else own


def _view_source(
    network: nn.Module, label: str, tap: str | None, graph: GraphChoice | None
) -> ViewSource:
    source = ViewSource(None if tap is None else Tap.parse(tap), graph_source(graph))
    for needed in (*source.feature_taps, *source.graph_taps):
        require_tap(network, needed, label)
    return source


def _network_taps(label: str, views: Mapping[str, ViewSource], logits: Tap) -> NetworkTaps:
    # Of all terms, also of those whose weight is 0 for now: a tap that never fires, or an output
    # that a cache lacks, shows in the first step.
    features = dict.fromkeys(tap for view in views.values() for tap in view.feature_taps)
    graphs = dict.fromkeys(tap for view in views.values() for tap in view.graph_taps)
    terms = {
        tap: [name for name, view in views.items() if tap in (*view.feature_taps, *view.graph_taps)]
        for tap in features | graphs
    }
    return NetworkTaps(label, logits, tuple(features), tuple(graphs), terms=terms)
