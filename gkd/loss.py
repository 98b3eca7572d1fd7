"""What a distillation loss is, and what it sees of a network."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from gkd.errors import ParameterError
from gkd.graph import Graph


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
    """

    logits: Tensor | None = None
    features: Tensor | None = None
    graph: Graph | None = None
    batch: Tensor | None = None
    edge_values: Tensor | None = None

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

    def require_graph(self, loss: str) -> Graph:
        """Return the graph; :class:`ParameterError` naming ``loss`` when there is none."""
        if self.graph is None:
            raise ParameterError(
                f"{loss} compares edges, but a view without a graph was given; "
                "the batch needs an edge_index, or the term a graph"
            )
        return self.graph


class AbstractLoss(nn.Module, ABC):
    """A distillation loss between one student view and one teacher view.

    A subclass validates its hyper-parameters in ``__init__`` and implements :meth:`forward`.
    A loss with learned parts (an adapter) creates them in :meth:`build`.

    The attributes declare what the loss is like; ``gkd.testing`` holds it to them. A subclass
    overrides those that do not fit, on the class or, where parameters decide, in ``__init__``.

    Attributes:
        uses: what it needs of a view: ``"logits"``, ``"features"``, ``"graph"``. Where a loss says
            so itself, a teacher whose logits nobody needs may stop at its last tap.
        non_negative: whether it is at least 0 everywhere.
        zero_at_equality: whether it is 0 where the student's view equals the teacher's.
        different_widths: whether the features of student and teacher may differ in width.
        bounded_memory: whether it does without a tensor that has features for every edge, or a
            number for every pair of nodes.
        target_per_sample: whether the :meth:`target` of a batch consists of those of its samples,
            side by side, so that a teacher cache may keep it in place of the teacher's outputs.
    """

    uses: tuple[str, ...] = ("features", "graph")
    non_negative: bool = True
    zero_at_equality: bool = True
    different_widths: bool = True
    bounded_memory: bool = True
    target_per_sample: bool = False

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
