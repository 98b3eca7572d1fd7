"""The engine: a teacher, a student and terms make a loss to train the student with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from gkd.cache.teacher_cache import TeacherCache
from gkd.data.batch_attributes import BatchNodes
from gkd.distillation.finiteness import require_finite
from gkd.distillation.inputs import Inputs, NetworkInputs, inputs_by_network
from gkd.distillation.resolve import ResolvedTerm, network_taps, resolve, term_context
from gkd.distillation.rows import Rows
from gkd.distillation.step_report import StepReport
from gkd.distillation.supervised_loss import SupervisedLoss
from gkd.distillation.taps import Tap, describe, evaluation_mode
from gkd.distillation.task_choice import TaskChoice, find_task
from gkd.distillation.teachers import TeacherViews, freeze_teachers
from gkd.distillation.term import Term
from gkd.distillation.views import NetworkOutputs, network_outputs
from gkd.errors import ParameterError
from gkd.loss import AbstractLoss, View

__all__ = ["Distiller", "StepReport"]


class Distiller(nn.Module):
    r"""Loss of a student on a batch: its task, and what terms ask of it beside a teacher.

    .. math:: L = L_{task}(p_s, y) + \sum_k w_k(epoch) \, L_k(student, teacher)

    Teachers are frozen (``requires_grad`` False), always in evaluation mode, run without gradients
    and are no sub-modules: ``parameters()``, ``state_dict()``, ``train()`` and ``eval()`` concern
    the student and learned adapters. ``.to()`` moves the teachers, too.

    Args:
        teacher: a module, or several by name; then taps of a teacher begin with ``name:``. An empty
            mapping trains the student alone.
        student: a module whose parameters and sub-modules are its own.
        terms: what to distil. Several may use one loss.
        task: name of a task, such as ``"single-label"``; a mapping of its name and parameters; or
            a :class:`gkd.Task`.
        inputs: what networks are called with: names of attributes of the batch, ``("x",
            "edge_index")``, each for the parameter of that name (in order where a network has
            other names); a mapping from parameters to attributes, ``{"h": "x", "adj": "adj_t"}``;
            or ``"batch"`` for the batch itself. ``{"student": ..., "teacher": ...}`` (or the
            names of several teachers) says it of each network; what it leaves out, or None, is
            what a network declares in an attribute ``inputs`` of its own.
        target: attribute of the batch that holds the labels; by default the task's own, ``"y"``.
        mask: rows whose labels train, as of a term: a mask of the batch (``"train_mask"``,
            ``"train_mask[0]"``), ``"seeds"`` of a sampled batch, or ``"all"``. By default all, but
            never where the batch has a ``train_mask``.
        logits: where the logits are in what a network returns, if that is no tensor: ``"[0]"``,
            ``"[key]"``.
        teacher_cache: keeps what the teachers say per sample; for data without augmentation.

    Attributes:
        epoch: epoch that weight schedules read, a whole number from 0 on; set it in your loop.

    Raises:
        TapError: a tap does not exist, never fires, fires several times, or yields no features.
        ParameterError: an argument of the wrong type, or networks whose rows do not correspond.
        UnknownNameError: there is no such loss, task, teacher or graph builder.
        DataError: the batch lacks an attribute, or labels and logits do not fit.
        NonFiniteError: NaN or infinity in a loss or in a teacher's outputs.

    Example:
        >>> from types import SimpleNamespace
        >>> class Difference(AbstractLoss):
        ...     def forward(self, student: View, teacher: View) -> Tensor:
        ...         return (student.logits - teacher.logits).square().mean()
        >>> batch = SimpleNamespace(x=torch.randn(5, 3), y=torch.tensor([0, 1, 1, 0, 1]))
        >>> distiller = Distiller(
        ...     nn.Linear(3, 2), nn.Linear(3, 2), [Term(Difference(), weight=0.5)],
        ...     task="single-label", inputs=["x"],
        ... )
        >>> report = distiller(batch)
        >>> report.total.backward()
        >>> sorted(report.terms), report.weights
        (['difference'], {'difference': 0.5})
    """

    def __init__(
        self,
        teacher: nn.Module | Mapping[str, nn.Module],
        student: nn.Module,
        terms: Sequence[Term] = (),
        *,
        task: TaskChoice,
        inputs: Inputs | Mapping[str, Inputs] | None = None,
        target: str | None = None,
        mask: str | None = None,
        logits: str = "",
        teacher_cache: TeacherCache | None = None,
    ) -> None:
        super().__init__()
        # A plain dict: as sub-modules, teachers would be in parameters(), state_dict() and train().
        self.teachers = freeze_teachers(teacher, student)
        self.student = student
        self.task = find_task(task)
        self.teacher_cache = teacher_cache
        self.epoch = 0
        self.terms = resolve(
            terms, student, self.teachers, task if isinstance(task, str) else self.task
        )
        self.losses = nn.ModuleDict({term.name: term.loss for term in self.terms})
        rows = None if mask is None else Rows.parse(mask)
        self._supervised = SupervisedLoss(self.task, target or self.task.target, rows)
        place = Tap.parse(logits)
        student_views = {term.name: term.student_view for term in self.terms}
        self._student_taps = network_taps("student", student_views, place)
        self._teacher_views = {
            name: TeacherViews(name, self.teachers, self.terms, place) for name in self.teachers
        }
        networks = {"student": student, **self.teachers}
        labels = {name: teacher.label for name, teacher in self._teacher_views.items()}
        self._inputs = {
            name: NetworkInputs(said, networks[name], labels.get(name, name))
            for name, said in inputs_by_network(inputs, networks).items()
        }
        learns = [t for t in self.terms if type(t.loss).build is not AbstractLoss.build]
        self._unbuilt = {term.name for term in learns}

    @property
    def epoch(self) -> int:
        """Epoch that weight schedules read."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        if not isinstance(epoch, int) or isinstance(epoch, bool) or epoch < 0:
            raise ParameterError(f"epoch: expected a whole number from 0 on, got {epoch!r}")
        self._epoch = epoch

    def forward(self, batch: object) -> StepReport:
        """Run the networks on ``batch`` and compute every loss whose weight is above 0.

        Args:
            batch: any object with the attributes in ``inputs`` and ``target``; also
                ``edge_index`` and ``batch`` where terms use graphs or samples.
        """
        self._require_built()
        weights = {term.name: term.schedule.weight_at(self.epoch) for term in self.terms}
        # A term of weight 0 costs nothing, and cannot spoil the step by a NaN times 0.
        active = [term for term in self.terms if weights[term.name] > 0]
        student, views = self._views(batch, active, self.teacher_cache)
        logits = cast(Tensor, student.logits)  # only a teacher's pass is ever partial
        task = self._supervised(logits, batch)
        terms = {name: self._term(name, *pair) for name, pair in views.items()}
        total = task
        for name, value in terms.items():
            total = total + weights[name] * value
        require_finite(task, terms, views, total, logits, self.epoch)
        compared = {term.name: term.student_view.tensor(student) for term in active}
        return StepReport(total, task, terms, weights, logits, compared)

    def prepare(self, batch: object) -> Self:
        """Create the adapters that terms learn, from the shapes of ``batch``; return the distiller.

        Call it after moving the distiller to its device and before making the optimiser. It
        changes neither the student's batch statistics nor adapters that exist, and asks no cache.
        """
        device = next((p.device.type for p in self.student.parameters()), "cpu")
        # Adapters take the dtype of the networks, not that of autocast.
        with evaluation_mode(self.student), torch.no_grad(), torch.autocast(device, enabled=False):
            student, views = self._views(batch, self.terms, None)
            for name in sorted(self._unbuilt):  # in one order, so that a seed gives one adapter
                with term_context(name):
                    self._loss(name).build(*views[name])
                self._loss(name).to(cast(Tensor, student.logits).device)
        self._unbuilt = set()
        return self

    def remember(self, batch: object) -> bool:
        """Have the teacher cache keep what terms need of ``batch``, without the student.

        Returns:
            False where there is no room for all of it.

        Raises:
            ParameterError: the distiller has no cache, or what the teacher says cannot be kept.
        """
        if self.teacher_cache is None:
            raise ParameterError("remember: this distiller was made without a teacher_cache")
        complete = True
        for name, teacher in self._teacher_views.items():
            arguments = self._inputs[name].arguments(batch)
            complete &= teacher.remember(BatchNodes(batch), arguments, self.teacher_cache)
        return complete

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters of the student and of learned adapters, never a teacher's.

        Raises:
            ParameterError: adapters do not exist yet.
        """
        self._require_built()
        return super().named_parameters(prefix, recurse, remove_duplicate)

    def _views(
        self, batch: object, terms: Sequence[ResolvedTerm], cache: TeacherCache | None
    ) -> tuple[NetworkOutputs, dict[str, tuple[View, View]]]:
        """Return the student's outputs, and the pair of views of each term."""
        arguments = {name: inputs.arguments(batch) for name, inputs in self._inputs.items()}
        nodes = BatchNodes(batch)
        wanted = {term.name for term in terms}
        theirs: dict[str, View] = {}
        # Teachers first: their activations are gone before the student's pile up.
        for name, teacher in self._teacher_views.items():
            theirs |= teacher.term_views(nodes, arguments[name], wanted, cache)
        ours = network_outputs(self.student, arguments["student"], self._student_taps)
        views = {}
        for term in terms:
            with term_context(term.name):
                term.student_view.require_gradient(ours)
                student = term.student_view.view(nodes, ours)
                _require_same_rows(student, theirs[term.name])
            views[term.name] = student, theirs[term.name]
        return ours, views

    def _term(self, name: str, student: View, teacher: View) -> Tensor:
        with term_context(name):
            value = self._loss(name)(student=student, teacher=teacher)
            if not isinstance(value, Tensor) or value.ndim:
                raise ParameterError(f"the loss gave {describe(value)}, not a scalar tensor")
        return value

    def _loss(self, name: str) -> AbstractLoss:
        return cast(AbstractLoss, self.losses[name])

    def _require_built(self) -> None:
        if self._unbuilt:
            raise ParameterError(
                f"{', '.join(sorted(self._unbuilt))}: adapters are learned, and made from a batch; "
                "call distiller.prepare(batch) before making the optimiser and before training"
            )

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        # An adapter without its shapes would be reported as "unexpected keys" alone.
        if any(key.startswith(f"{prefix}losses.{n}.") for key in state_dict for n in self._unbuilt):
            self._require_built()
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # .to(), .cuda(), .half() and the like come here: teachers go along, though no sub-modules.
        for teacher in self.teachers.values():
            teacher._apply(fn, recurse)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


def _require_same_rows(student: View, teacher: View) -> None:
    name, ours, theirs = "features", student.features, teacher.features
    if ours is None or theirs is None:
        name, ours, theirs = "logits", student.logits, teacher.logits
    if ours is not None and theirs is not None and len(ours) != len(theirs):
        raise ParameterError(
            f"{name} of the student {list(ours.shape)} and of the teacher {list(theirs.shape)} "
            "differ in their number of rows, so that they do not describe the same nodes"
        )
