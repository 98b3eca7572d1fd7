"""Terms bound to the networks that they compare."""

import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from torch import Tensor, nn

from gkd.data.rows import Rows
from gkd.data.sampled_batch import SampledBatch
from gkd.data.task import Task
from gkd.distillation.connector import Connector
from gkd.distillation.graph_sources import BatchGraph, graph_source
from gkd.distillation.layout import Layout
from gkd.distillation.loss_call import asked_by, loss_value, row_weights
from gkd.distillation.network_outputs import NetworkTaps
from gkd.distillation.row_memory import RowMemory
from gkd.distillation.schedule import Weight, weight_from
from gkd.distillation.taps import Tap, require_tap
from gkd.distillation.term import Term, component_key, name_and_parameters, term_names
from gkd.distillation.views import TeacherView, ViewSource, declared_uses
from gkd.errors import GkdError, ParameterError, UnknownNameError, suggestion
from gkd.hosting.host import create, current_host
from gkd.loss import AbstractLoss, AbstractWeigher, Step, View

STUDENT = "student"


@dataclass(frozen=True)
class Networks:
    """The networks of a distiller, by name.

    Attributes:
        trained: those that learn, the student first.
        fixed: those that do not: teachers, and the moving average of the student.
        teachers: names that the user gave, trained or fixed.
    """

    trained: Mapping[str, nn.Module]
    fixed: Mapping[str, nn.Module]
    teachers: Collection[str]

    @property
    def all(self) -> dict[str, nn.Module]:
        """Every network."""
        return {**self.trained, **self.fixed}

    def label(self, name: str) -> str:
        """Return what messages call a network."""
        if name not in self.teachers:
            return name
        return "teacher" if len(self.teachers) == 1 else f"teacher {name!r}"


@dataclass(frozen=True)
class ResolvedTerm:
    """A term whose loss and taps exist.

    Attributes:
        name: key in reports, different from every other term's.
        weight: in the total.
        loss: that compares.
        asks: what the loss asks for beside two views: ``"step"``, ``"teachers"``, ``"rows"``.
        student: name of the network that learns from it, ``"student"`` unless others are trained.
        student_view: where its view of that network comes from.
        teacher_views: where its views of the networks it compares with come from, by their names.
        rows: that it takes.
        weigher: of the rows.
        connector: what the student's features go through first, None for nothing.
    """

    name: str
    weight: Weight
    loss: AbstractLoss
    asks: Collection[str]
    student: str
    student_view: ViewSource
    teacher_views: Mapping[str, TeacherView]
    rows: Rows
    weigher: AbstractWeigher | None
    connector: Connector | None

    @property
    def learns(self) -> bool:
        """Whether something of it is made from the first batch."""
        unmade = self.connector is not None and self.connector.map is None
        return unmade or type(self.loss).build is not AbstractLoss.build

    def build(self, student: View, teachers: Mapping[str, View], batch: object) -> None:
        """Make what it learns from the first batch, on its device, of the rows that count.

        Where none does, as in a sampled batch without a labelled row, it is made of all.

        Args:
            student: view of what learns.
            teachers: views of what it is compared with, by name.
            batch: that has the rows.
        """
        rows = self.rows.of(batch, student.num_rows)
        if rows is not None and len(rows):
            student = student.rows(rows)
            teachers = {name: view.rows(rows) for name, view in teachers.items()}
        if self.connector is not None:
            self.connector.build(student, teachers)
            student = self.connector(student, teachers)
        self.loss.build(student, next(iter(teachers.values())))
        self.loss.to(student.device)

    @property
    def remembers(self) -> bool:
        """Whether the loss keeps something of rows, which processes share."""
        return any(isinstance(module, RowMemory) for module in self.loss.modules())

    @property
    def needs_step(self) -> bool:
        """Whether anyone asks for the step."""
        return "step" in self.asks or self.weigher is not None

    def value(
        self, student: View, teachers: Mapping[str, View], batch: object, step: Step | None
    ) -> Tensor:
        """Return the loss, a scalar.

        Args:
            student: view of what learns.
            teachers: views of what it is compared with, by name.
            batch: that has the rows.
            step: None where nobody asks for it.

        Raises:
            ParameterError: the loss gave something else than it declares.
        """
        compared = student.require_logits("rows") if student.features is None else student.features
        rows = self.rows.of(batch, len(compared))
        if isinstance(batch, SampledBatch) and not self.loss.per_row:
            self._require_no_graph()
        # Such as a sampled batch without a labelled row. What remembers rows is called even so:
        # other processes have some, and wait for its part.
        if rows is not None and not len(rows) and not self.remembers:
            return 0.0 * compared.sum()
        if step is not None:
            step = replace(step, seeds=self.rows.seeds_of(batch, len(compared)))
        if rows is not None and not self.loss.per_row:
            student = student.rows(rows)
            teachers = {name: view.rows(rows) for name, view in teachers.items()}
            step = None if step is None else step.rows(rows)
        if self.connector is not None:
            student = self.connector(student, teachers)
        counted = rows if self.loss.per_row else None
        value = loss_value(self.loss, student, teachers, step, self.asks, counted)
        if not self.loss.per_row:
            return value
        if self.weigher is not None:
            assert step is not None
            teacher = next(iter(teachers.values()))
            value = row_weights(self.weigher, student, teacher, step) * value
        value = value if rows is None else value[rows]
        return value.sum() / max(len(value), 1)

    def _require_no_graph(self) -> None:
        if "graph" in (declared_uses(self.loss) or ()):
            has = "per_row" in inspect.signature(type(self.loss).__init__).parameters
            raise ParameterError(
                "this loss gives one number for a whole graph, and would see the edges among the "
                "seeds of a sampled batch alone; "
                + ('rows="seeds" gives it a value for each' if has else "train on the whole graph")
            )


def resolve(terms: Sequence[Term], networks: Networks, task: str | Task) -> list[ResolvedTerm]:
    """Create the losses, and find the taps, networks and graph sources that ``terms`` name.

    Raises:
        ParameterError: ``terms`` is no sequence of terms, names collide, there is no teacher, a
            term does not say which, a loss's parameters are wrong, or it asks for what there is
            not.
        TapError: a tap does not exist; the nearest paths are named.
        UnknownNameError: a loss, a weigher or a graph builder does not exist.
    """
    _require_terms(terms)
    connectors: dict[object, Connector] = {}
    resolved = []
    for name, term in zip(term_names(list(terms)), terms, strict=True):
        given = term.connector
        if given is not None and given not in connectors:
            connectors[given] = (
                Connector(given) if isinstance(given, str) else Connector(name, given)
            )
        with term_context(name):
            connector = None if given is None else connectors[given]
            resolved.append(_resolved(name, term, networks, task, connector))
    return resolved


def _resolved(
    name: str, term: Term, networks: Networks, task: str | Task, connector: Connector | None
) -> ResolvedTerm:
    student, *more = taps_by_network(term.student, networks.trained, STUDENT).items()
    if more:
        raise ParameterError(f"student={term.student!r} names several networks, but one learns")
    teachers = taps_by_network(term.teacher, networks.all, _only_teacher(term, networks))
    weigher = _weigher(term, task)
    rows = Rows.parse(term.rows)
    loss, parameters = _loss(term, task, rows, weighed=weigher is not None)
    asks = asked_by(loss)
    uses = {*(declared_uses(loss) or ()), *(() if weigher is None else weigher.uses)}
    own = _view_source(term, "student", networks, uses, *student)
    theirs = {
        network: _view_source(term, "teacher", networks, uses, network, taps)
        for network, taps in teachers.items()
    }
    if len(theirs) > 1 and "teachers" not in asks:
        raise ParameterError(
            f"teacher={term.teacher!r} names several teachers, but this loss compares with one; a "
            "loss for several has a parameter 'teachers'"
        )
    _require_taps_used(loss, own, *theirs.values())
    # Of some rows, a target must be made anew, unless each row has a value of its own. A weigher
    # may look at what the loss needs no more.
    keeps = len(theirs) == 1 and (loss.per_row or rows == Rows()) and weigher is None
    target = _target_key(loss, parameters, own, *theirs.values()) if keeps else None
    if connector is not None and len(own.feature_taps) != 1:
        raise ParameterError("a connector maps the features of one tap: name one for the student")
    return ResolvedTerm(
        name=name,
        weight=weight_from(term.weight),
        loss=loss,
        asks=asks,
        student=student[0],
        student_view=own,
        teacher_views={
            network: TeacherView(
                view.feature_taps,
                view.graph,
                loss,
                target,
                weigher is not None,
                layout=view.layout,
                label=view.label,
            )
            for network, view in theirs.items()
        },
        rows=rows,
        weigher=weigher,
        connector=connector,
    )


def taps_by_network(
    taps: str | Sequence[str] | None, networks: Collection[str], default: str | None
) -> dict[str, tuple[Tap, ...]]:
    """Return the taps that a term names of each network, whose name may stand before a colon.

    Args:
        taps: as the term has them.
        networks: names that there are.
        default: the network of a tap without a name; None where each needs one.

    Raises:
        UnknownNameError: there is no such network.
        ParameterError: a tap does not say of which network it is.

    >>> taps_by_network(["a:layers.1", "b:"], ["a", "b"], None)
    {'a': (Tap(path='layers.1', call=None, items=(), input=False),), 'b': ()}
    """
    found: dict[str, tuple[Tap, ...]] = {}
    for text in [taps] if isinstance(taps, str | None) else taps:
        name, colon, path = (text or "").partition(":")
        if colon and name in networks:
            tap = (Tap.parse(path),) if path else ()
        elif default is not None:
            name, tap = default, () if text is None else (Tap.parse(text),)
        elif ":" in Tap.parse(text or "").path:
            raise UnknownNameError(f"no teacher {name!r}: {suggestion(name, networks)}")
        else:
            choices = [network for network in networks if network != STUDENT]
            raise ParameterError(
                f"teacher={text!r} does not say which of {len(choices)} teachers; write one of: "
                f"{', '.join(repr(f'{choice}:{text or str()}') for choice in choices)}"
            )
        found[name] = (*found.get(name, ()), *tap)
    return found


def _only_teacher(term: Term, networks: Networks) -> str | None:
    if len(networks.teachers) == 1:
        return next(iter(networks.teachers))
    if not networks.teachers and (term.teacher is None or ":" not in "".join(term.teacher)):
        raise ParameterError(
            "a term needs a teacher to compare with, but there is none; 'student:PATH' compares "
            "with the student itself"
        )
    return None


def network_taps(
    network: str, label: str, terms: Sequence[ResolvedTerm], logits: str
) -> NetworkTaps:
    """Return what to capture of one network.

    Args:
        network: its name.
        label: what messages call it.
        terms: all of them, also those whose weight is 0 for now: a tap that never fires, or an
            output that a cache lacks, shows in the first step.
        logits: where the logits are in the network's output.
    """
    views: list[tuple[str, ViewSource]] = []
    for term in terms:
        views += [(term.name, term.student_view)] if term.student == network else []
        views += [(term.name, view) for name, view in term.teacher_views.items() if name == network]
    features = dict.fromkeys(tap for _, view in views for tap in view.feature_taps)
    graphs = dict.fromkeys(tap for _, view in views for tap in view.graph_taps)
    named = {
        tap: [name for name, view in views if tap in (*view.feature_taps, *view.graph_taps)]
        for tap in features | graphs
    }
    return NetworkTaps(label, logits, tuple(features), tuple(graphs), terms=named)


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


def _parameters(
    kind: str, name: str, given: Mapping[str, object], defaults: Mapping[str, object]
) -> dict[str, object]:
    """Return what a component that a term names is made with: defaults, where it asks for them."""
    asked = current_host().signature(kind, name).parameters
    return {key: value for key, value in defaults.items() if key in asked} | dict(given)


def _weigher(term: Term, task: str | Task) -> AbstractWeigher | None:
    weigher = term.weigher
    if isinstance(weigher, str):
        weigher = {"name": weigher}
    if isinstance(weigher, Mapping):
        name, given = name_and_parameters("weigher", "weigher", weigher)
        weigher = create("weigher", name, **_parameters("weigher", name, given, {"task": task}))
    if not isinstance(weigher, AbstractWeigher | None):
        raise ParameterError(
            f"weigher {weigher!r} is a {type(weigher).__name__}, not a gkd.AbstractWeigher"
        )
    return weigher


def _loss(
    term: Term, task: str | Task, rows: Rows, weighed: bool
) -> tuple[AbstractLoss, dict[str, object] | None]:
    """Return the term's loss, with a value per row where rows are chosen or weighed.

    So a node's value is what it is among all nodes, such as its structure over all neighbours. The
    parameters that it was made with are returned as well, None where the user made it.

    Raises:
        ParameterError: its rows should be weighed, but it has no value per row.
    """
    loss, parameters = term.loss, None
    if isinstance(loss, str):
        per_row = {"per_row": True} if weighed or rows != Rows() else {}
        parameters = _parameters("loss", loss, term.params, {"task": task, **per_row})
        loss = create("loss", loss, **parameters)
    if not isinstance(loss, AbstractLoss):
        raise ParameterError(
            f"loss {term.loss!r} is a {type(loss).__name__}, not a gkd.AbstractLoss"
        )
    if weighed and not loss.per_row:
        raise ParameterError(
            "weigher: this loss gives one number for all rows; one that has a value per row "
            "declares per_row = True"
        )
    return loss, parameters


def _target_key(
    loss: AbstractLoss,
    parameters: Mapping[str, object] | None,
    student: ViewSource,
    teacher: ViewSource,
) -> str | None:
    """Name the loss's target among cache entries; None where it makes none that can be kept."""
    makes_one = loss.target_per_sample and type(loss).target is not AbstractLoss.target
    # A target serves the graph it lies on, and of these only the batch's is known beforehand.
    if not makes_one or teacher.graph != student.graph or not isinstance(teacher.graph, BatchGraph):
        return None
    key = component_key(loss, parameters)
    taps = ",".join(map(str, teacher.feature_taps))
    layout = "" if teacher.layout is None else f" as {teacher.layout}"
    return f"target:{taps or None}{layout}:{teacher.graph.name}:{key}"


def _require_taps_used(loss: AbstractLoss, *views: ViewSource) -> None:
    uses = declared_uses(loss)
    taps = [repr(str(tap)) for view in views for tap in view.feature_taps]
    if taps and uses is not None and "features" not in uses:
        raise ParameterError(
            f"{' and '.join(dict.fromkeys(taps))}: this loss compares {' and '.join(uses)}, and no "
            "features: name no tap, or take a loss that compares them"
        )
    if uses is not None and "layers" not in uses and any(len(v.feature_taps) > 1 for v in views):
        raise ParameterError(
            f"{' and '.join(dict.fromkeys(taps))}: this loss compares one layer; name one tap for "
            'each network, or take a loss that uses "layers"'
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


def _view_source(
    term: Term,
    side: str,
    networks: Networks,
    uses: Collection[str],
    network: str,
    taps: tuple[Tap, ...],
) -> ViewSource:
    """Return where a term's view of a network comes from, by what it says of that side or both."""
    graph, layout = (getattr(term, f"{side}_{key}") for key in ("graph", "layout"))
    graph = term.graph if graph is None else graph
    layout = term.layout if layout is None else layout
    # Logits are not always of nodes: who does not ask for a graph gets none with them.
    compares = not taps and "graph" in uses
    source = ViewSource(
        taps,
        BatchGraph() if graph is None and compares else graph_source(graph),
        layout=None if layout is None or not taps else Layout.parse(layout),
        label=networks.label(network),
    )
    for needed in (*source.feature_taps, *source.graph_taps):
        require_tap(networks.all[network], needed, networks.label(network))
    return source
