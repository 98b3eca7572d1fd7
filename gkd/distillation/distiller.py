"""The engine: a teacher, a student and terms make a loss to train the student with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from gkd.cache.teacher_cache import TeacherCache
from gkd.data.batch_attributes import ChangedBatch
from gkd.data.batch_nodes import BatchNodes
from gkd.data.rows import Rows
from gkd.data.shared_batch import own_share
from gkd.distillation.finiteness import require_finite
from gkd.distillation.gradient_share import GradientShares
from gkd.distillation.in_place import tensors_of, unchanged
from gkd.distillation.inputs import Inputs, NetworkInputs, inputs_by_network
from gkd.distillation.joint_outputs import gather_outputs
from gkd.distillation.learned_weights import TASK, learned_weights
from gkd.distillation.logits import logits_by_network
from gkd.distillation.modes import evaluation_mode
from gkd.distillation.moving_average import MovingAverage
from gkd.distillation.network_outputs import NetworkOutputs, network_outputs
from gkd.distillation.resolve import (
    STUDENT,
    ResolvedTerm,
    network_taps,
    resolve,
    term_context,
)
from gkd.distillation.schedule import (
    GradientShare,
    Schedule,
    TaskWeight,
    task_weight_from,
)
from gkd.distillation.step import Moment, make_step
from gkd.distillation.step_report import StepReport
from gkd.distillation.supervised_loss import SupervisedLoss
from gkd.distillation.task_choice import TaskChoice, find_task
from gkd.distillation.teachers import AVERAGE, TeacherRun, networks_by_name
from gkd.distillation.term import Term
from gkd.errors import ParameterError, UnknownNameError, known_arguments, suggestion
from gkd.functional.network_input import device_of
from gkd.loss import View

Compared = tuple[View, dict[str, View]]
"""Views of one term: of what learns, and of what it is compared with, by name."""

__all__ = ["Distiller", "StepReport"]


@known_arguments
class Distiller(nn.Module):
    r"""Loss of a student on a batch: its task, and what terms ask of it beside a teacher.

    .. math:: L = w_0 L_{task}(p_s, y) + \sum_k w_k(epoch) \, L_k(student, teacher)

    Teachers are frozen (``requires_grad`` False), always in evaluation mode, run without gradients
    and are no sub-modules: ``parameters()``, ``state_dict()``, ``train()`` and ``eval()`` concern
    the student and learned adapters. ``.to()`` moves the teachers, too. Teachers in ``trained``
    learn with the student: each has the task's loss as well, is in its mode of training, and
    may stand on the side of the student in a term. What is compared with gets no gradient.

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
            ``"[key]"`` or ``"[field]"``, of all networks or by name, ``{"teacher": "[0]"}``. By
            default what a network declares in an attribute ``logits``, or its item of that name.
        task_weight: of the task's loss, as the weight of a term; no share of itself.
        trained: names of teachers that learn, too.
        ema: decay of a moving average of the student's weights, which terms may name ``"ema:"``;
            call :meth:`update_average` after every step of the optimiser.
        teacher_cache: keeps what the teachers say per sample; for data without augmentation.
        teacher_autocast: dtype that teachers which do not learn compute in, under autocast, such as
            ``torch.bfloat16``; their answers are float32. By default they do as the student does.

    Attributes:
        epoch: number of completed epochs, 0 in the first, which weight schedules read; set it in
            your loop.
        seed: of what losses draw, by default that of torch; to be set where several processes that
            are seeded differently compute one loss.

    Raises:
        TapError: a tap does not exist, never fires, fires several times, or yields no features.
        ParameterError: an argument that is unknown or of the wrong type, or networks whose rows do
            not correspond.
        UnknownNameError: there is no such loss, task, teacher or graph builder.
        DataError: the batch lacks an attribute, or labels and logits do not fit.
        NonFiniteError: NaN or infinity in a loss or in a teacher's outputs.

    Example:
        >>> from types import SimpleNamespace
        >>> from gkd import AbstractLoss
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
        logits: str | Mapping[str, str] | None = None,
        task_weight: float | Mapping[str, object] | TaskWeight = 1.0,
        trained: Collection[str] = (),
        ema: float | None = None,
        teacher_cache: TeacherCache | None = None,
        teacher_autocast: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.student = student
        self.average = None if ema is None else MovingAverage(student, ema)
        networks = self._networks = networks_by_name(teacher, student, trained, self.average)
        # A plain dict: as sub-modules, teachers would be in parameters(), state_dict() and train().
        self.teachers = {name: networks.fixed[name] for name in networks.fixed if name != AVERAGE}
        self.peers = nn.ModuleDict(
            {name: networks.trained[name] for name in networks.trained if name != STUDENT}
        )
        self.task = find_task(task)
        self.task_weight = task_weight_from(task_weight)
        _require_kinds(target, teacher_cache)
        self.teacher_cache = teacher_cache
        self.terms = resolve(terms, networks, task if isinstance(task, str) else self.task)
        self.losses = nn.ModuleDict({term.name: term.loss for term in self.terms})
        self.weighers = nn.ModuleDict(
            {term.name: term.weigher for term in self.terms if term.weigher is not None}
        )
        shares = {t.name: t.weight for t in self.terms if isinstance(t.weight, GradientShare)}
        self.shares = GradientShares(shares) if shares else None
        self.learned = learned_weights(self.task_weight, self.terms)
        rows = None if mask is None else Rows.parse(mask)
        self._supervised = SupervisedLoss(self.task, target or self.task.target, rows)
        self._moment = Moment()
        given = {STUDENT: student, **self.teachers, **self.peers}
        places, said = logits_by_network(logits, given), inputs_by_network(inputs, given)
        places[AVERAGE], said[AVERAGE] = places[STUDENT], said[STUDENT]
        self._taps = {
            name: network_taps(name, networks.label(name), self.terms, places[name])
            for name in networks.all
        }
        self._inputs = {
            name: NetworkInputs(said[name], network, networks.label(name))
            for name, network in networks.all.items()
        }
        self._fixed = {
            n: TeacherRun(n, networks, self.terms, self._inputs[n], places[n], teacher_autocast)
            for n in networks.fixed
        }
        self.connectors = nn.ModuleDict(
            {term.connector.name: term.connector for term in self.terms if term.connector}
        )
        self._unbuilt = {term.name for term in self.terms if term.learns}

    @property
    def epoch(self) -> int:
        """Epoch that weight schedules read."""
        return self._moment.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        if not isinstance(epoch, int) or isinstance(epoch, bool) or epoch < 0:
            raise ParameterError(f"epoch: expected a whole number from 0 on, got {epoch!r}")
        self._moment = Moment(epoch, seed=self._moment.seed)

    @property
    def seed(self) -> int | None:
        """Seed of what losses draw."""
        return self._moment.seed

    @seed.setter
    def seed(self, seed: int | None) -> None:
        self._moment = replace(self._moment, seed=seed)

    def forward(self, batch: object) -> StepReport:
        """Run the networks on ``batch`` and compute every loss whose weight is above 0.

        Args:
            batch: one object with the attributes in ``inputs`` and ``target``, also ``edge_index``
                and ``batch`` where terms use graphs or samples: of PyTorch Geometric, a
                :class:`gkd.Batch`, ``types.SimpleNamespace(x=x, y=y)``; no bare tensor.
        """
        self._require_built()
        if self.average is not None and self.training and torch.is_grad_enabled():
            self.average.require_updates(self.student)
        weights = {
            term.name: term.weight.weight_at(self.epoch)
            for term in self.terms
            if isinstance(term.weight, Schedule)
        }
        # A term of weight 0 costs nothing, and cannot spoil the step by a NaN times 0.
        active = [term for term in self.terms if weights.get(term.name, 1) > 0]
        nodes = BatchNodes(batch)
        outputs = self._run_networks(nodes, active, self.teacher_cache)
        views = {term.name: self._views(term, outputs, nodes) for term in active}
        learning = (STUDENT, *self.peers)
        logits = {name: cast(Tensor, outputs[name].logits) for name in learning}
        tasks = {
            name: self._supervised(each, batch, self._moment.generator("task", each.device))
            for name, each in logits.items()
        }
        terms = {term.name: self._value(term, views[term.name], nodes) for term in active}
        supervised = sum((tasks[name] for name in self.peers), tasks[STUDENT])
        compared = {term.name: term.student_view.tensor(outputs[term.student]) for term in active}
        if self.shares is not None:
            if self.training and torch.is_grad_enabled():
                self.shares.measure(self._moment.number, supervised, terms, compared)
            weights |= {name: self.shares.weight(name) for name in self.shares.shares}
        if isinstance(self.task_weight, Schedule):
            weights[TASK] = self.task_weight.weight_at(self.epoch)
        losses = {TASK: supervised, **terms}
        parts = [
            value if weights[name] == 1 else weights[name] * value
            for name, value in losses.items()
            if name in weights
        ]
        if self.learned is not None:
            learned, found = self.learned(losses)
            parts, weights = [*parts, learned], weights | found
        total = sum(parts[1:], parts[0])
        task_weight = weights.pop(TASK)
        given = {name for each in self._inputs.values() for name in each.attributes}
        require_finite(tasks, terms, views, total, logits, self.epoch, batch, given)
        task = tasks.pop(STUDENT)
        if torch.is_grad_enabled():
            self._moment = replace(self._moment, number=self._moment.number + 1)
        return StepReport(
            total, task, terms, weights, logits[STUDENT], compared, tasks, task_weight
        )

    def prepare(self, batch: object) -> Self:
        """Create the adapters that terms learn, from a batch; return the distiller.

        What is made of values, and not of shapes alone, follows from the rows that its term takes.
        Call it after moving the distiller to its device and before making the optimiser. It
        changes neither the student's batch statistics nor adapters that exist, and asks no cache.
        """
        device = device_of(self.student).type
        with ExitStack() as stack:
            for network in (self.student, *self.peers.values()):
                stack.enter_context(evaluation_mode(network))
            # Adapters take the dtype of the networks, not that of autocast.
            stack.enter_context(torch.no_grad())
            stack.enter_context(torch.autocast(device, enabled=False))
            nodes = BatchNodes(batch)
            outputs = self._run_networks(nodes, self.terms, None)
            views = {term.name: self._views(term, outputs, nodes) for term in self.terms}
            # In one order, so that a seed gives one adapter.
            for term in sorted(self.terms, key=lambda term: term.name):
                if term.name in self._unbuilt:
                    with term_context(term.name):
                        term.build(*views[term.name], batch)
        self._unbuilt = set()
        return self

    def outputs(self, name: str, batch: object) -> NetworkOutputs:
        """Run a network as it is on ``batch``, and return what terms may need of it.

        Args:
            name: ``"student"``, or that of a teacher.
            batch: whole, or a part of one.
        """
        arguments = self._inputs[name].arguments(batch)
        return network_outputs(self._networks.all[name], arguments, self._taps[name])

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """All networks by name, ``"student"`` first."""
        return self._networks.all

    def update_average(self) -> None:
        """Take the student's weights into their moving average.

        Raises:
            ParameterError: the distiller has none.
        """
        if self.average is None:
            raise ParameterError("update_average: this distiller was made without ema")
        self.average.update(self.student)

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
        for name in self.teachers:
            complete &= self._fixed[name].remember(BatchNodes(batch), self.teacher_cache)
        return complete

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters of what learns: student, trained teachers and adapters; no fixed teacher's.

        Raises:
            ParameterError: adapters do not exist yet.
        """
        self._require_built()
        fixed = f"{prefix}{'.' if prefix else ''}average."
        for name, parameter in super().named_parameters(prefix, recurse, remove_duplicate):
            if not name.startswith(fixed):
                yield name, parameter

    def _run_networks(
        self, nodes: BatchNodes, terms: Sequence[ResolvedTerm], cache: TeacherCache | None
    ) -> dict[str, NetworkOutputs]:
        """Return the outputs for a batch of what learns, and of what terms compare it with."""
        batch, share = nodes.batch, own_share(nodes.batch)
        compared = {name for term in terms for name in term.teacher_views}
        # Teachers first: their activations are gone before the student's pile up. The average
        # moves with every step, so that nothing of it can be kept.
        fixed = {
            name: teacher.answer(nodes, None if name == AVERAGE else cache)
            for name, teacher in self._fixed.items()
            if name in compared
        }
        learning = {
            name: gather_outputs(self.outputs(name, share), batch)
            for name in (STUDENT, *self.peers)
        }
        return fixed | learning

    def _views(
        self, term: ResolvedTerm, outputs: Mapping[str, NetworkOutputs], nodes: BatchNodes
    ) -> Compared:
        with term_context(term.name):
            teachers = {
                name: view.view(nodes, outputs[name]).detach()
                for name, view in term.teacher_views.items()
            }
            term.student_view.require_gradient(outputs[term.student])
            student = term.student_view.view(nodes, outputs[term.student])
            for teacher in teachers.values():
                _require_same_rows(student, teacher)
        return student, teachers

    def _value(self, term: ResolvedTerm, views: Compared, nodes: BatchNodes) -> Tensor:
        step, student = None, views[0]
        with term_context(term.name):
            if term.needs_step:
                step = make_step(
                    self._moment,
                    term.name,
                    term.student,
                    list(term.teacher_views),
                    student,
                    nodes,
                    self._supervised,
                    self._second_pass,
                )
            with ExitStack() as stack:
                for name, view in {term.student: student, **views[1]}.items():
                    whose = f"the view of {name!r}"
                    stack.enter_context(unchanged(whose, tensors_of(view), "the loss"))
                return term.value(*views, nodes.batch, step)

    def _second_pass(self, batch: object, network: str = STUDENT, /, **changed: object) -> Tensor:
        """Return the logits of a network on the batch with other inputs."""
        if network not in self._inputs:
            raise UnknownNameError(f"no network {network!r}; {suggestion(network, self._inputs)}")
        arguments = self._inputs[network].arguments(ChangedBatch(batch, changed))
        module = self._networks.all[network]
        logits = network_outputs(
            module, arguments, replace(self._taps[network], features=(), graphs=())
        ).logits
        return cast(Tensor, logits)

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
        adapters = [f"{prefix}connectors.", *(f"{prefix}losses.{name}." for name in self._unbuilt)]
        if any(key.startswith(tuple(adapters)) for key in state_dict):
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


def _require_kinds(target: object, teacher_cache: object) -> None:
    if not isinstance(target, str | None):
        raise ParameterError(
            f"target: expected the name of an attribute of the batch, such as 'y', got {target!r}"
        )
    if not isinstance(teacher_cache, TeacherCache | None):
        raise ParameterError(
            "teacher_cache: expected a gkd.cache.TeacherCache, such as gkd.cache.TeacherCache(), "
            f"got {teacher_cache!r}"
        )
