"""Logits of classes over the nodes of a graph, as losses along its edges take them."""

from typing import NamedTuple

import torch
from torch import Tensor

from gkd import Graph, Task, View, create
from gkd.errors import ParameterError
from gkd.functional.paired_rows import paired_logits


class OnGraph(NamedTuple):
    """Logits of both networks, and the graph of the nodes.

    Attributes:
        student: ``[N, C]``, C at least 2.
        teacher: ``[N, C]``, without a gradient.
        graph: over the N nodes.
    """

    student: Tensor
    teacher: Tensor
    graph: Graph


class EdgeLogits:
    """Takes the logits of two views, where they are of classes of which one is right.

    Args:
        loss: that asks, for messages.
        task: says what the outputs mean.

    Raises:
        ParameterError: they are no such classes.
    """

    def __init__(self, loss: str, task: str | Task) -> None:
        self.loss = loss
        likelihood = (task if isinstance(task, Task) else create("task", task)).likelihood
        if likelihood != "softmax":
            raise ParameterError(
                f"{loss}: outputs of this task are {likelihood}, but it compares classes of which "
                "one is right, as in 'single-label'"
            )

    def of(self, student: View, teacher: View) -> OnGraph:
        """Return logits and graph.

        Raises:
            ParameterError: no logits or graph, or shapes that do not fit.
        """
        ours, theirs = paired_logits(
            student.require_logits(self.loss), teacher.require_logits(self.loss), self.loss
        )
        graph = student.require_graph(self.loss)
        if graph.num_nodes != len(ours):
            raise ParameterError(
                f"{self.loss}: {graph!r} is not over the {len(ours)} rows of the logits"
            )
        if ours.shape[1] == 1:  # the logit of class 1 against class 0
            ours, theirs = (torch.cat([torch.zeros_like(z), z], dim=1) for z in (ours, theirs))
        return OnGraph(ours, theirs, graph)
