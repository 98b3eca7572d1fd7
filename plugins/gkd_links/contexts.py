"""What LLP compares: scores of each node with nodes nearby and anywhere."""

from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor

from gkd import Graph, Step, View
from gkd.errors import ParameterError
from gkd.functional.draws import drawn_below
from gkd.functional.pair_products import pair_dots
from gkd.functional.paired_rows import paired_features, sample_pointer
from gkd.functional.walks import random_walks

Walks = PositiveInt
Hops = PositiveInt
Distant = Annotated[NonNegativeInt, Field(le=100)]
ScoredBy = Literal["embeddings", "network"]


class Scores(NamedTuple):
    """Link probabilities of each node with those of its context.

    Attributes:
        student: ``[N, K]``.
        teacher: ``[N, K]``, without a gradient.
    """

    student: Tensor
    teacher: Tensor


class Contexts:
    """Draws nodes for each node to be scored with: some that walks lead to, some anywhere.

    Args:
        loss: that asks, for messages.
        walks: walks from each node.
        hops: length of a walk, each step of which gives a node.
        distant: nodes from anywhere in the same graph for each that walks give.
        scores: who scores pairs: the products of embeddings, or each network by its own head.
    """

    def __init__(
        self, loss: str, walks: int, hops: int, distant: int, scores: ScoredBy = "embeddings"
    ) -> None:
        self.loss, self.walks, self.hops, self.distant = loss, walks, hops, distant
        self.scored_by = scores

    @property
    def size(self) -> int:
        """K: nodes in a context."""
        return self.walks * self.hops * (1 + self.distant)

    def scores(self, student: View, teacher: View, step: Step) -> Scores:
        """Return the scores of both networks for the same contexts.

        Raises:
            ParameterError: no features or graph, or ones that do not fit each other.
        """
        ours, theirs = paired_features(
            student.require_features(self.loss), teacher.require_features(self.loss), self.loss
        )
        graph = student.require_graph(self.loss)
        if graph.num_nodes != len(ours):
            raise ParameterError(
                f"{self.loss}: {graph!r} is not over the {len(ours)} rows of the features"
            )
        pointer = sample_pointer(student.batch, teacher.batch, ours, self.loss)
        context = self._drawn(graph, pointer, step.generator)
        nodes = torch.arange(len(ours), device=ours.device)
        if self.scored_by == "network":
            pairs = torch.stack([nodes[:, None].expand_as(context), context]).flatten(1)
            teacher_name = step.teachers[0] if step.teachers else "teacher"
            student_scores = self._of_network(step.student, pairs, step)
            with torch.no_grad():
                teacher_scores = self._of_network(teacher_name, pairs, step)
            return Scores(student_scores.view_as(context), teacher_scores.view_as(context))
        with torch.autocast(ours.device.type, enabled=False):
            student_scores, teacher_scores = (
                pair_dots(z, nodes, context).sigmoid() for z in (ours, theirs)
            )
        return Scores(student_scores, teacher_scores)

    def _drawn(self, graph: Graph, pointer: Tensor, generator: torch.Generator) -> Tensor:
        """Nodes of each context, int64 ``[N, K]``."""
        nodes = torch.arange(graph.num_nodes, device=pointer.device)
        starts = nodes.repeat_interleave(self.walks)
        nearby = random_walks(graph, starts, self.hops, generator)[:, 1:]
        nearby = nearby.reshape(graph.num_nodes, self.walks * self.hops)
        sizes = pointer.diff()
        first, size = (each.repeat_interleave(sizes)[:, None] for each in (pointer[:-1], sizes))
        sizes = size.expand(-1, nearby.shape[1] * self.distant)
        anywhere = first + drawn_below(sizes, generator)
        return torch.cat([nearby, anywhere], dim=1)

    def _of_network(self, name: str, pairs: Tensor, step: Step) -> Tensor:
        """Link probabilities by a network's own head, ``[P]``."""
        logits = step.logits(name, edge_label_index=pairs)
        if logits.numel() != pairs.shape[1]:
            raise ParameterError(
                f'{self.loss}: scores="network" needs networks that score the pairs of '
                f"edge_label_index, but for {pairs.shape[1]} of them the {name} gave logits of "
                f'shape {list(logits.shape)}; for embeddings of nodes take scores="embeddings"'
            )
        return logits.flatten().to(torch.promote_types(logits.dtype, torch.float32)).sigmoid()

    def describe(self) -> str:
        """Return the hyper-parameters, for ``print``."""
        return (
            f"walks={self.walks}, hops={self.hops}, distant={self.distant}, "
            f"scores={self.scored_by!r}"
        )
