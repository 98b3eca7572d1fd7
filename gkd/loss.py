"""What a distillation loss is, and what it sees of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from gkd.errors import ParameterError, known_arguments
from gkd.graph import Graph


@known_arguments
@dataclass(frozen=True, slots=True)
class View:
    """What a loss sees of one network.

    Args:
        logits: output of the network, ``[N, classes]`` (``[B, classes]`` for whole-graph tasks).
        features: output of the tapped sub-module, ``[N, F]``.
        graph: edges among the rows of ``features``.
        batch: sample of each row of ``features``, int64 ``[N]``, ascending; None where all rows
            belong to one sample.
        edge_values: what a loss has computed beforehand on the edges of ``graph``, in their
            order, ``[E]`` or ``[E, C]``; see :meth:`AbstractLoss.target`.
        layers: features of every tap, where a term lists several, in its order; the last of them
            are ``features``.
    """

    logits: Tensor | None = None
    features: Tensor | None = None
    graph: Graph | None = None
    batch: Tensor | None = None
    edge_values: Tensor | None = None
    layers: tuple[Tensor, ...] = ()

    def rows(self, rows: Tensor) -> View:
        """Return the view of some rows, with the edges among them.

        Args:
            rows: int64 ``[M]``, ascending, of the features; of the logits where there are none.

        >>> view = View(logits=torch.eye(3), features=torch.eye(3))
        >>> view.rows(torch.tensor([0, 2])).logits.tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
        """
        count = None if self.features is None else len(self.features)
        graph, values, logits = self.graph, self.edge_values, self.logits
        if graph is not None:
            graph, edges = graph.subgraph(rows)
            values = None if values is None else values[edges]
        if logits is not None and count in (None, len(logits)):  # not those of whole graphs
            logits = logits[rows]
        return replace(
            self,
            logits=logits,
            features=None if self.features is None else self.features[rows],
            graph=graph,
            batch=None if self.batch is None else self.batch[rows],
            edge_values=values,
            layers=tuple(layer[rows] for layer in self.layers),
        )

    @property
    def num_rows(self) -> int:
        """N: rows of the features, of the logits where there are none."""
        tensor = self.logits if self.features is None else self.features
        return 0 if tensor is None else len(tensor)

    @property
    def device(self) -> torch.device:
        """Where it lives."""
        tensor = self.logits if self.features is None else self.features
        return torch.device("cpu") if tensor is None else tensor.device

    def detach(self) -> View:
        """Return the view without gradients, of a network that learns but teaches here."""
        return replace(
            self,
            logits=None if self.logits is None else self.logits.detach(),
            features=None if self.features is None else self.features.detach(),
            layers=tuple(layer.detach() for layer in self.layers),
        )

    def require_logits(self, loss: str) -> Tensor:
        """Return the logits; :class:`ParameterError` naming ``loss`` when there are none."""
        if self.logits is None:
            raise ParameterError(
                f"{loss} compares logits, but a view without logits was given; a loss that always "
                'needs them declares uses = ("logits",)'
            )
        return self.logits

    def require_features(self, loss: str) -> Tensor:
        """Return the features; :class:`ParameterError` naming ``loss`` when there are none."""
        if self.features is None:
            raise ParameterError(
                f"{loss} compares features, but a view without features was given; "
                "name a tap for the student and for the teacher"
            )
        return self.features

    def require_layers(self, loss: str) -> tuple[Tensor, ...]:
        """Return the layers; :class:`ParameterError` naming ``loss`` when there are none."""
        if not self.layers:
            raise ParameterError(
                f"{loss} compares several layers, but a view without layers was given; "
                "name a list of taps for the student and for the teacher"
            )
        return self.layers

    def require_graph(self, loss: str) -> Graph:
        """Return the graph; :class:`ParameterError` naming ``loss`` when there is none."""
        if self.graph is None:
            raise ParameterError(
                f"{loss} compares edges, but a view without a graph was given, of {self.num_rows} "
                "rows; the batch needs an edge_index, whose nodes these rows are, or the term a "
                "graph"
            )
        return self.graph


class SecondPass(Protocol):
    """Runs a network on the batch of a step once more."""

    def __call__(self, network: str = "student", /, **changed: object) -> Tensor:
        """Return its logits.

        Args:
            network: that of :attr:`Step.student`, or of one of :attr:`Step.teachers`.
            **changed: inputs in place of those of the batch, by the batch's names for them.
        """


@dataclass(frozen=True, slots=True)
class Step:
    """What a loss may know of a training step beside its views.

    Everything with a row per node has those of the views: where a term takes some rows, so does
    its step.

    Args:
        labels: of the batch, None where it has none.
        labelled: bool ``[N]``, rows whose labels may be used: the others are those to select and to
            test on.
        nodes: int64 ``[N]``, the name of each row: the batch's ``n_id``, else its number.
        samples: names of the samples of the batch (``ids``), empty where it has none.
        epoch: number of completed epochs, 0 in the first, which a run calls epoch 1.
        number: of steps since the epoch began, from 0.
        batch: that the networks run on, whole.
        generator: for random draws, on the device of the logits; the same for the same seed, epoch,
            number and term, and apart from all other randomness.
        logits: runs a network once more: ``step.logits(step.student, x=noisy)``.
        keys: int64 ``[N]``, a number for each row, in every step the same and no other row's, by
            ``n_id`` or by the names of the samples; None where the batch has neither.
        teachers: names of the networks that the term compares with.
        student: name of the network that the term trains: ``"student"``, or a teacher that learns.
        seeds: int64 ``[S]``, rows of a sampled batch whose neighbourhoods it holds, as those of its
            other nodes were cut; None where the batch is no part.
    """

    labels: Tensor | None
    labelled: Tensor
    nodes: Tensor
    samples: tuple[str, ...]
    epoch: int
    number: int
    batch: object
    generator: torch.Generator
    logits: SecondPass
    keys: Tensor | None = None
    teachers: tuple[str, ...] = ()
    student: str = "student"
    seeds: Tensor | None = None

    @classmethod
    def of(
        cls,
        view: View,
        *,
        labels: Tensor | None = None,
        labelled: Tensor | None = None,
        nodes: Tensor | None = None,
        inputs: Mapping[str, Tensor] = MappingProxyType({}),
        samples: Sequence[str] = (),
        epoch: int = 0,
        number: int = 0,
        seed: int = 0,
        logits: SecondPass | None = None,
    ) -> Step:
        """Return the step of a view, to call a loss that asks for one by hand.

        Args:
            view: of the student.
            labels: of its rows.
            labelled: rows whose labels may be used; None for all.
            nodes: names of its rows, by which they are known again; None for their numbers.
            inputs: attributes of the batch beside labels and names.
            samples: names of the samples.
            epoch: number of completed epochs.
            number: of steps since the epoch began.
            seed: of the generator.
            logits: runs a network once more; None where there is no network.

        >>> step = Step.of(View(logits=torch.zeros(2, 3)), labels=torch.tensor([0, 2]))
        >>> step.labelled, step.nodes
        (tensor([True, True]), tensor([0, 1]))
        """

        def without_networks(network: str = "student", /, **changed: object) -> Tensor:
            raise ParameterError(f"step.logits({network!r}): this step was made without networks")

        count, device = view.num_rows, view.device
        everyone = torch.ones(count, dtype=torch.bool, device=device)
        return cls(
            labels=labels,
            labelled=everyone if labelled is None else labelled,
            nodes=torch.arange(count, device=device) if nodes is None else nodes,
            samples=tuple(samples),
            epoch=epoch,
            number=number,
            batch=SimpleNamespace(y=labels, n_id=nodes, **inputs),
            generator=torch.Generator(device).manual_seed(seed),
            logits=logits or without_networks,
            keys=nodes,
        )

    def rows(self, rows: Tensor) -> Step:
        """Return what concerns some rows."""
        # Labels of whole graphs have no row for each node.
        per_row = self.labels is not None and len(self.labels) == len(self.nodes)
        return replace(
            self,
            labels=self.labels[rows] if per_row and self.labels is not None else self.labels,
            labelled=self.labelled[rows],
            nodes=self.nodes[rows],
            keys=None if self.keys is None else self.keys[rows],
            seeds=None,
        )

    def require_keys(self, loss: str) -> Tensor:
        """Return the keys; :class:`ParameterError` naming ``loss`` when there are none."""
        if self.keys is None:
            raise ParameterError(
                f"{loss} knows rows again, but the batch names neither its nodes (n_id, int64 with "
                "a number for each node) nor its samples (ids)"
            )
        return self.keys

    def require_labels(self, loss: str) -> Tensor:
        """Return the labels; :class:`ParameterError` naming ``loss`` when there are none."""
        if self.labels is None:
            raise ParameterError(f"{loss} needs labels, but the batch has none")
        return self.labels


@dataclass(frozen=True, slots=True)
class Paper:
    """Where a method was published.

    Args:
        authors: their surnames, or the first and "et al.".
        title: of the paper.
        venue: conference or journal, without the year.
        year: of publication.
        url: where it can be read.

    >>> print(Paper("Hinton, Vinyals, Dean", "Distilling the Knowledge in a Neural Network",
    ...     "NIPS Deep Learning Workshop", 2015, "https://arxiv.org/abs/1503.02531").citation)
    Hinton et al., NIPS Deep Learning Workshop 2015
    """

    authors: str
    title: str
    venue: str
    year: int
    url: str

    @property
    def citation(self) -> str:
        """Who, where and when, in a few words."""
        names = self.authors.removesuffix(" et al.").split(", ")
        who = f"{names[0]} et al." if len(names) > 2 or names[0] != self.authors else names[0]
        who = " and ".join(names) if len(names) == 2 else who
        return f"{who}, {self.venue} {self.year}"


class AbstractLoss(nn.Module, ABC):
    """A distillation loss between one student view and one teacher view.

    A subclass validates its hyper-parameters in ``__init__`` and implements :meth:`forward`.
    A loss with learned parts (an adapter) creates them in :meth:`build`. What it keeps between
    steps (a memory bank) is a buffer: then checkpoints have it.

    A loss that needs more than two views asks for it by name, as a keyword of :meth:`forward`:
    ``step``, a :class:`Step`; ``teachers``, the views of all teachers of a term by their names.

    The attributes declare what the loss is like; ``gkd.testing`` holds it to them. A subclass
    overrides those that do not fit, on the class or, where parameters decide, in ``__init__``.

    Attributes:
        uses: what it needs of a view: ``"logits"``, ``"features"``, ``"graph"``; ``"layers"``, too,
            where it compares several. Where a loss says so itself, a teacher whose logits nobody
            needs may stop at its last tap.
        without_gradient: of these, what it only looks at in the student's view.
        exact_gradient: whether its gradient is its slope; it is not where something that follows
            from the student, such as a weight, counts as a constant.
        non_negative: whether it is at least 0 everywhere.
        zero_at_equality: whether it is 0 where the student's view equals the teacher's.
        least_at_equality: whether it is nowhere smaller than where the student's view equals the
            teacher's; not of a loss that pulls elsewhere, too, such as to labels, nor of learned
            parts that begin at random.
        different_widths: whether the features of student and teacher may differ in width.
        bounded_memory: whether it does without a tensor that has features for every edge, or a
            number for every pair of nodes.
        linear_work: whether its work grows in proportion to nodes and edges; not of a loss that
            looks at all pairs of nodes.
        samples_apart: whether what it teaches a sample is the same whatever samples share the
            batch; not of a loss that relates rows of all samples, or normalises over them.
        directed: whether an edge concerns its target alone, and what lies downstream of that; not
            where edges are taken both ways.
        shift_invariant: whether adding a number to all logits of a row changes nothing, as of a
            softmax; asked of losses whose ``likelihoods`` has that.
        fades_with_temperature: whether its gradient fades as its temperature grows, as that of a
            divergence does that is not multiplied by the square of it.
        temperature_names: of the parameters that are a temperature of logits, those it has; a loss
            that calls it otherwise names it, and one whose ``tau`` is none names nothing.
        per_row: whether it returns a value per row, ``[N]``; the engine applies the rows and the
            weigher of its term and takes the mean.
        target_per_sample: whether the :meth:`target` of a batch consists of those of its samples,
            side by side, so that a teacher cache may keep it in place of the teacher's outputs.
        paper: that defines it; None where there is none.
        likelihoods: of the outputs whose logits it takes, as tasks name them: ``"softmax"``,
            ``"sigmoid"``, ``"gaussian"``; empty where outputs may mean anything.
        parity: public code, ``"owner/repository"``, whose values it is tested to equal.
    """

    uses: tuple[str, ...] = ("features", "graph")
    without_gradient: tuple[str, ...] = ()
    exact_gradient: bool = True
    non_negative: bool = True
    zero_at_equality: bool = True
    least_at_equality: bool = True
    different_widths: bool = True
    bounded_memory: bool = True
    linear_work: bool = True
    samples_apart: bool = True
    directed: bool = True
    shift_invariant: bool = True
    fades_with_temperature: bool = False
    temperature_names: tuple[str, ...] = ("temperature", "tau", "T")
    per_row: bool = False
    target_per_sample: bool = False
    paper: Paper | None = None
    likelihoods: tuple[str, ...] = ()
    parity: tuple[str, ...] = ()

    if TYPE_CHECKING:
        forward: Callable[..., Tensor]  # a loss may ask for more, by keyword
    else:

        @abstractmethod
        def forward(self, student: View, teacher: View) -> Tensor:
            """Return a finite scalar, differentiable in the student's tensors only."""

    def target(self, teacher: View) -> View:
        """Return a view that stands for ``teacher`` and is cheaper to compare with.

        A teacher that does not change over the epochs can be viewed once and its target be reused:
        ``loss(student, loss.target(teacher))`` equals ``loss(student, teacher)`` for a student on
        the teacher's graph. Without an override nothing is precomputed.

        What a teacher cache keeps of a target are its logits, its features and its edge values;
        it puts them together again with the graph and the batch vector of any batch.
        """
        return teacher

    def build(self, student: View, teacher: View) -> None:
        """Create learned parts from the first batch's shapes; called once, before the optimiser."""


class AbstractWeigher(nn.Module, ABC):
    """Weights for the rows of a loss that has a value per row.

    A term's loss is then the mean of weight times value; weights of 1 leave it as it was.

    Attributes:
        uses: ``("graph",)`` where it looks at edges: then views of logits alone have the batch's.
    """

    uses: tuple[str, ...] = ()

    @abstractmethod
    def forward(self, student: View, teacher: View, step: Step) -> Tensor:
        """Return finite weights of at least 0, ``[N]``; no gradient flows through them."""
