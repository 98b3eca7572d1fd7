"""Teachers: frozen, in evaluation mode, without gradients."""

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from gkd.cache.teacher_cache import Question, TeacherCache
from gkd.data.batch import Batch
from gkd.data.batch_nodes import BatchNodes
from gkd.data.sample import is_edge_index
from gkd.data.sampled_batch import SampledBatch
from gkd.data.shared_batch import own_share
from gkd.distillation.graph_sources import BatchGraph
from gkd.distillation.inputs import Arguments, NetworkInputs
from gkd.distillation.joint_outputs import gather_outputs
from gkd.distillation.modes import switch_to_evaluation
from gkd.distillation.moving_average import MovingAverage
from gkd.distillation.network_outputs import NetworkOutputs, alike, network_outputs
from gkd.distillation.resolve import (
    STUDENT,
    Networks,
    ResolvedTerm,
    network_taps,
    term_context,
)
from gkd.distillation.views import TeacherView
from gkd.errors import ParameterError, suggestion
from gkd.functional.network_input import device_of
from gkd.graph.graph import recall_graph
from gkd.loss import View

SOLE_TEACHER = "teacher"
AVERAGE = "ema"
"""Name of the moving average of the student's weights, where there is one."""

_AT_RANDOM = (
    "answers at random, also in evaluation mode: two runs on one batch differ (dropout without "
    "training=self.training, noise, or random sampling)"
)


def networks_by_name(
    teacher: nn.Module | Mapping[str, nn.Module],
    student: nn.Module,
    trained: Collection[str] = (),
    average: MovingAverage | None = None,
) -> Networks:
    """Return the networks of a distiller, the teachers that do not learn frozen.

    Args:
        teacher: a module, or several by name.
        student: that learns from them.
        trained: names of teachers that learn, too.
        average: of the student's weights.

    Raises:
        ParameterError: a teacher is no module, its name is unusable, ``trained`` names none, or it
            shares sub-modules or parameters with the student, which would be frozen with it.
    """
    if isinstance(teacher, nn.Module):
        teacher = {SOLE_TEACHER: teacher}
    if not isinstance(teacher, Mapping):
        raise ParameterError(
            f"teacher: expected a module or a mapping of modules, got {type(teacher).__name__}"
        )
    if not isinstance(student, nn.Module):
        raise ParameterError(f"student: expected a module, got {type(student).__name__}")
    for name, module in teacher.items():
        if not isinstance(name, str) or not name or ":" in name or name in (STUDENT, AVERAGE):
            raise ParameterError(
                "teacher: a name must be a non-empty string without a colon, and neither "
                f"{STUDENT!r} nor {AVERAGE!r}, got {name!r}"
            )
        if not isinstance(module, nn.Module):
            raise ParameterError(
                f"teacher {name!r}: expected a module, got {type(module).__name__}; weights, such "
                "as a state dict, are loaded into a module first"
            )
        _require_separate(name, module, student)
    for name in [trained] if isinstance(trained, str) else trained:
        if isinstance(trained, str) or name not in teacher:
            raise ParameterError(
                f"trained: expected a list of teachers' names, got {trained!r}; "
                f"{suggestion(name, teacher)}"
            )
        if not any(parameter.requires_grad for parameter in teacher[name].parameters()):
            raise ParameterError(
                f"trained: no parameter of {name!r} requires a gradient, so that it cannot learn; "
                "another distiller may have frozen it: give it a copy, or requires_grad_(True)"
            )
    fixed = {name: module for name, module in teacher.items() if name not in trained}
    for module in fixed.values():
        for parameter in module.parameters():  # TorchScript modules have no requires_grad_
            parameter.requires_grad_(False)
        switch_to_evaluation(module)
    if average is not None:
        fixed[AVERAGE] = average.network
    learning = {name: teacher[name] for name in trained}
    return Networks({STUDENT: student, **learning}, fixed, list(teacher))


class TeacherRun:
    """Runs one teacher for the terms that compare with it, or asks a cache.

    Attributes:
        teacher: the network.
        label: what messages call it.

    Args:
        name: of the teacher.
        networks: all of them.
        terms: of the distiller; those that compare with this teacher are taken.
        inputs: what the teacher is called with.
        logits: where the logits are in the teacher's output.
        autocast: what the teacher computes in; None as everything around it does.
    """

    def __init__(
        self,
        name: str,
        networks: Networks,
        terms: Sequence[ResolvedTerm],
        inputs: NetworkInputs,
        logits: str,
        autocast: torch.dtype | None = None,
    ) -> None:
        self.teacher = networks.fixed[name]
        if autocast not in (None, torch.float32, torch.bfloat16, torch.float16):
            raise ParameterError(
                "teacher_autocast: expected torch.float32, torch.bfloat16 or torch.float16, got "
                f"{autocast!r}"
            )
        # The average of the student's weights computes as the student does.
        self._autocast = None if name == AVERAGE else autocast
        self._inputs = inputs
        self.label = networks.label(name)
        self._ends = {
            term.name: term.teacher_views[name] for term in terms if name in term.teacher_views
        }
        taps = network_taps(name, self.label, terms, logits)
        # Where no term needs the logits, a pass may end with the last tap.
        ends_there = bool(taps.captured) and not any(e.needs_logits for e in self._ends.values())
        self._taps = replace(taps, partial=ends_there)
        self._random: bool | None = None  # nobody knows before the first run
        self._told = False
        self._about_graph: tuple[Batch, list[int | None], Question] | None = None

    def answer(self, nodes: BatchNodes, cache: TeacherCache | None) -> NetworkOutputs:
        """Return what the teacher says of a batch, for all terms that compare with it.

        Args:
            nodes: of the batch.
            cache: where to find what is kept of whole batches; None to run the teacher.
        """
        with self._frozen():
            if cache is not None:
                question, rows = self._question(nodes)
                entries = cache.views(question, rows)
                return NetworkOutputs.of_entries(entries, self._taps.features)
            own = self._outputs(self._inputs.arguments(own_share(nodes.batch)))
            if self._random and not self._told:
                self._told = True
                warnings.warn(
                    f"the {self.label} {_AT_RANDOM}; terms compare with another draw in every step",
                    stacklevel=2,
                )
            return gather_outputs(own, nodes.batch)

    def remember(self, nodes: BatchNodes, cache: TeacherCache) -> bool:
        """Have ``cache`` keep what all terms need of a batch; False where there is no room."""
        with self._frozen():
            return cache.remember(self._question(nodes)[0])

    def _question(self, nodes: BatchNodes) -> tuple[Question, Tensor | None]:
        """Return what a cache is asked about a batch, and of which rows the answer should be.

        Of a sampled batch, it is the whole graph, asked about in the same words in every step.
        """
        if not isinstance(nodes.batch, SampledBatch):
            return self._question_of(nodes, self._ends), None
        whole = nodes.batch.whole
        if whole is None:
            raise ParameterError(
                "teacher cache: the sampled batch does not know the graph that it is a part of, as "
                "it was copied; take batches as gkd.NeighbourLoader yields them"
            )
        # Not hashed in every step; who changes the graph raises the versions of its tensors.
        versions = [None if z.is_inference() else z._version for _, z in whole.items()]
        known = self._about_graph
        if known is None or known[0] is not whole or known[1] != versions:
            ends = {}
            for term, end in self._ends.items():
                with term_context(term):
                    ends[term] = end.of_nodes()
            known = whole, versions, self._question_of(BatchNodes(whole), ends)
            self._about_graph = known
        return known[2], nodes.batch.node_numbers

    def _question_of(self, nodes: BatchNodes, ends: Mapping[str, TeacherView]) -> Question:
        arguments = self._inputs.arguments(nodes.batch)
        keys = [*dict.fromkeys(key for end in ends.values() for key in end.cache_keys)]
        content = self._content(nodes, arguments, ends)
        run = partial(self._run, nodes, ends)
        # A batch that is handed over whole may hold more another time.
        call = f"({self._inputs} of {', '.join(arguments.content)}){self._taps.logits}"
        return Question(self.teacher, self.label, call, keys, nodes, content, run)

    def _content(
        self, nodes: BatchNodes, arguments: Arguments, ends: Mapping[str, TeacherView]
    ) -> dict[str, object]:
        """Return all that cache entries follow from: the inputs, and the edges of targets."""
        content = dict(arguments.content)
        for term, end in ends.items():
            if end.target is not None and isinstance(end.graph, BatchGraph):
                with term_context(term):
                    edges = nodes.edges(end.graph.name, end.graph.required)
                if end.graph.name not in content:
                    content[f"{end.graph.name}: edge_index"] = edges
        for name, value in content.items():
            if is_edge_index(name) and isinstance(value, Tensor) and nodes.number is not None:
                graph = recall_graph(value, nodes.number)
                # Repeated edges, which a graph has once, count: it must have the very same.
                if graph is not None and torch.equal(graph.edge_index, value):
                    content[name] = graph
        return content

    def _run(self, nodes: BatchNodes, ends: Mapping[str, TeacherView]) -> dict[str, View]:
        """Run the teacher, and return what a cache keeps of the batch, by key."""
        batch = nodes.batch
        by_node = any(end.by_node for end in ends.values())
        if by_node and isinstance(batch, Batch):  # the whole graph, which stays where it is
            batch = batch.to(device_of(self.teacher))
        outputs = self._outputs(self._inputs.arguments(batch))
        if self._random:
            raise ParameterError(
                f"teacher cache: the {self.label} {_AT_RANDOM}; its outputs cannot be kept: pass "
                "teacher_cache=None, in a recipe [teacher] cache = false"
            )
        entries: dict[str, View] = {}
        for name, end in ends.items():
            with term_context(name):
                entries |= end.cache_entries(nodes, outputs)
        for key, view in entries.items() if by_node else ():
            if view.num_rows != nodes.number:
                raise ParameterError(
                    f"teacher cache: {self.label}: {key} has {view.num_rows} rows for "
                    f"{nodes.number} nodes, so it cannot be kept by node; pass teacher_cache=None"
                )
        return entries

    def _outputs(self, arguments: Arguments) -> NetworkOutputs:
        """Run the teacher; what has a precision of its own answers in float32 at least."""
        outputs = self._answers(arguments)
        return outputs if self._autocast is None else outputs.widened()

    def _answers(self, arguments: Arguments) -> NetworkOutputs:
        """Run the teacher; the first time, find out whether it answers at random."""
        if self._random is not None:
            return network_outputs(self.teacher, arguments, self._taps)
        device = device_of(self.teacher)
        before = _random_states(device)
        outputs = network_outputs(self.teacher, arguments, self._taps)
        self._random = False
        # A second run is made of those alone that have drawn numbers, and takes none of the user's.
        if not all(map(torch.equal, before, _random_states(device))):
            others = [] if device.type == "cpu" else [device]
            kind = "cuda" if device.type == "cpu" else device.type
            with torch.random.fork_rng(others, device_type=kind):
                again = network_outputs(self.teacher, arguments, self._taps)
            self._random = not all(alike(one, two) for _, one, two in outputs.pairs(again))
        return outputs

    @contextmanager
    def _frozen(self) -> Iterator[None]:
        switch_to_evaluation(self.teacher)  # each time: the user's code may have switched it back
        # Around what asks the cache, too, which keeps answers of each precision apart.
        with torch.no_grad(), self._precision():
            yield

    def _precision(self) -> AbstractContextManager[object]:
        if self._autocast is None:
            return nullcontext()
        device = device_of(self.teacher).type
        if self._autocast is torch.float32:
            return torch.autocast(device, enabled=False)
        return torch.autocast(device, dtype=self._autocast)


def _random_states(device: torch.device) -> list[Tensor]:
    """Return the states of the generators that modules draw from."""
    states = [torch.get_rng_state()]
    if device.type != "cpu" and hasattr(torch.get_device_module(device), "get_rng_state"):
        states.append(torch.get_device_module(device).get_rng_state(device))
    return states


def _require_separate(name: str, teacher: nn.Module, student: nn.Module) -> None:
    own = {id(part): path for path, part in (*student.named_modules(), *student.named_parameters())}
    for part in (*teacher.modules(), *teacher.parameters()):
        if id(part) in own:
            raise ParameterError(
                f"teacher {name!r} shares {own[id(part)] or 'itself'!r} with the student, which "
                "freezing the teacher would freeze; give it a copy.deepcopy"
            )
