"""How far two kernels over the nodes of a graph are apart, where edges may count more."""

from collections.abc import Callable

import torch
from torch import Tensor

from gkd import Graph, Step
from gkd.functional.node_pairs import over_pairs
from gkd.functional.paired_rows import drawn_places


def pair_differences(
    student: Callable[[slice], Tensor],
    teacher: Callable[[slice], Tensor],
    graph: Graph,
    delta: float,
) -> Tensor:
    r"""Weighted mean of squared differences over all pairs of nodes, a scalar.

    .. math:: \frac{1}{N^2} \sum_{ij} w_{ij} (k^s_{ij} - k^t_{ij})^2

    Args:
        student: the kernel of consecutive nodes, of which it gets the rows, with all, ``[b, N]``.
        teacher: the other.
        graph: over the N nodes; the weight is 1 on its edges and of a node with itself.
        delta: weight of all other pairs.
    """
    joined = graph.with_self_loops()

    def differences(rows: slice) -> Tensor:
        squares = (student(rows) - teacher(rows)).square()
        if delta != 1:
            first, last = joined.row_pointer[[rows.start, rows.stop]].tolist()
            source, target = joined.edge_index[:, first:last]
            weights = torch.full_like(squares, delta)
            weights[target - rows.start, source] = 1
            squares = squares * weights
        return squares.sum(dim=1)

    count = graph.num_nodes
    return over_pairs(differences, count).sum() / max(count, 1) ** 2


def drawn_nodes(
    student: Tensor, teacher: Tensor, graph: Graph, most: int | None, step: Step
) -> tuple[Tensor, Tensor, Graph]:
    """Return features and graph of at most so many nodes, drawn with the step where there are more.

    Args:
        student: ``[N, F]``.
        teacher: ``[N, F']``.
        graph: over the N nodes.
        most: how many nodes are taken; None for all.
        step: whose generator draws.
    """
    rows = drawn_places(len(student), most, step.generator)
    if rows is None:
        return student, teacher, graph
    rows = rows.to(student.device)
    return student[rows], teacher[rows], graph.subgraph(rows)[0]
