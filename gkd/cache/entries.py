"""What the terms of a distiller need of one teacher, and the pieces of it that can be kept."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gkd.cache.component_keys import component_key
from gkd.distillation.declared_uses import declared_uses
from gkd.distillation.graph_source import BatchGraph, TappedGraph
from gkd.distillation.network_outputs import NetworkOutputs, NetworkTaps
from gkd.distillation.resolved_term import ResolvedTerm, blaming
from gkd.distillation.tap import Tap
from gkd.distillation.term import Term
from gkd.distillation.view_source import ViewSource, samples_of_rows
from gkd.loss import AbstractLoss, View

Pieces = Mapping[str, View]
"""Parts of what a teacher says of a batch or a sample, and targets made of them, by name."""


@dataclass(frozen=True)
class TeacherTerm:
    """What one term needs of its teacher.

    Args:
        name: of the term.
        teacher: that it compares with.
        source: where its view of the teacher comes from.
        loss: of the term.
        target: what the loss's target is called among the pieces; None where none can be kept.
    """

    name: str
    teacher: str
    source: ViewSource
    loss: AbstractLoss
    target: str | None

    @classmethod
    def of(cls, term: Term, resolved: ResolvedTerm, loss: AbstractLoss) -> "TeacherTerm":
        """Find out whether the term has a target that can be kept."""
        source, target = resolved.teacher_view, None
        # A target serves the graph it lies on, and of these only the batch's is known beforehand.
        shared = source.graph == resolved.student_view.graph
        if loss.target_per_sample and shared and isinstance(source.graph, BatchGraph):
            key = component_key(loss, term.params if isinstance(term.loss, str) else None)
            target = f"target:{source.tap}:{source.graph.name}:{key}"
        return cls(resolved.name, resolved.teacher, source, loss, target)

    def alternatives(self) -> Iterator[Sequence[str]]:
        """Yield groups of pieces that each make the term's view, the best to keep first."""
        if self.target is not None:
            yield [self.target]
        outputs = [*(["logits"] if self.needs_logits else []), *self._features]
        if self.source.graph_piece is not None:
            yield [*outputs, self.source.graph_piece]
        if not isinstance(self.source.graph, TappedGraph):
            yield outputs

    def pieces(self, batch: object, outputs: NetworkOutputs) -> Pieces:
        """Return what to keep of the teacher's outputs for ``batch``."""
        view, source = self.source.view(batch, outputs), self.source
        # Of rows that are no nodes nobody knows the sample, so that a loss may have mixed them.
        known = view.features is None or view.batch is not None
        if self.target is not None and known:
            target = self.loss.target(view)
            if target is not view:
                return {self.target: target}
        pieces = {"logits": View(logits=outputs.logits)} if self.needs_logits else {}
        for name, tap in self._features.items():
            pieces[name] = View(features=outputs.features[tap])
        if source.graph_piece is not None and (known or source.graph.tap is not None):
            pieces[source.graph_piece] = View(graph=view.graph)
        return pieces

    def view(self, batch: object, pieces: Pieces) -> View:
        """Return the view that the loss gets, made from pieces of the whole batch."""
        if self.target is not None and self.target in pieces:
            return self._view_of_target(batch, pieces[self.target])
        logits = pieces["logits"].logits if self.needs_logits else None
        features = {
            tap: pieces[name].require_features(self.name) for name, tap in self._features.items()
        }
        name = self.source.graph_piece
        graph = pieces[name].graph if name is not None and name in pieces else None
        return self.source.view(batch, NetworkOutputs(logits, features, {}), graph)

    def _view_of_target(self, batch: object, target: View) -> View:
        assert isinstance(self.source.graph, BatchGraph)
        rows = target.features
        samples = None if rows is None else samples_of_rows(rows, batch)
        return replace(target, graph=self.source.graph.of_batch(batch), batch=samples)

    @property
    def needs_logits(self) -> bool:
        """Whether the loss may look at the teacher's logits."""
        uses = declared_uses(self.loss)
        return self.source.tap is None or uses is None or "logits" in uses

    @property
    def _features(self) -> Mapping[str, Tap]:
        return {f"features:{tap}": tap for tap in self.source.feature_taps}


@dataclass(frozen=True)
class TeacherTerms:
    """What all terms of a distiller need of one teacher.

    Args:
        taps: what to capture when the teacher runs.
        terms: those that compare with this teacher.
    """

    taps: NetworkTaps
    terms: Sequence[TeacherTerm]

    @classmethod
    def of(cls, taps: NetworkTaps, terms: Sequence[TeacherTerm]) -> "TeacherTerms":
        """Let the teacher's passes end early where no term needs its logits."""
        partial = bool(taps.captured) and not any(term.needs_logits for term in terms)
        return cls(replace(taps, partial=partial), terms)

    @property
    def graphs(self) -> list[str]:
        """Attributes of the batch with the graphs that targets lie on."""
        sources = [term.source.graph for term in self.terms if term.target is not None]
        return [graph.name for graph in sources if isinstance(graph, BatchGraph)]

    def views(
        self, batch: object, outputs: NetworkOutputs, names: Collection[str]
    ) -> dict[str, View]:
        """Return the views of the terms ``names`` from a run of the teacher."""
        return self._views(names, lambda term: term.source.view(batch, outputs))

    def views_of_pieces(
        self, batch: object, pieces: Pieces, names: Collection[str]
    ) -> dict[str, View]:
        """Return the views of the terms ``names`` from pieces of the whole batch."""
        return self._views(names, lambda term: term.view(batch, pieces))

    def pieces(self, batch: object, outputs: NetworkOutputs) -> Pieces:
        """Return what to keep of a run of the teacher on ``batch``."""
        pieces: dict[str, View] = {}
        for term in self.terms:
            with blaming(term.name):
                pieces |= term.pieces(batch, outputs)
        return pieces

    def _views(
        self, names: Collection[str], view: Callable[[TeacherTerm], View]
    ) -> dict[str, View]:
        views = {}
        for term in self.terms:
            if term.name in names:
                with blaming(term.name):
                    views[term.name] = view(term)
        return views

    def possible(self) -> list[str]:
        """Names of all pieces that may be of use."""
        groups = [group for term in self.terms for group in term.alternatives()]
        return list(dict.fromkeys(name for group in groups for name in group))

    def choice(self, available: Collection[str]) -> list[str] | None:
        """Names of pieces that suffice for every term, None where the available ones do not."""
        chosen: list[str] = []
        for term in self.terms:
            groups = [g for g in term.alternatives() if all(name in available for name in g)]
            if not groups:
                return None
            chosen += groups[0]
        return list(dict.fromkeys(chosen))
