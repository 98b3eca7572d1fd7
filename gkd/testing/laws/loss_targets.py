"""Laws of losses: what stands for a teacher."""

from dataclasses import replace

import torch

from gkd.cache.slices import joined_views
from gkd.graph import Graph
from gkd.loss import View
from gkd.testing.law import law, unless_declared
from gkd.testing.laws.comparison import require_close
from gkd.testing.laws.loss_calls import built, parts, value_of
from gkd.testing.laws.loss_values import problems
from gkd.testing.strategies.loss_problems import LossProblem
from gkd.testing.subject import Subject


@law("loss", problems=problems)
def target_stands_for_the_teacher(subject: Subject, problem: LossProblem) -> None:
    """A cached target replaces the teacher, so it must give the same loss."""
    loss = built(subject, problem)
    expected = value_of(loss, problem)
    replaced = LossProblem(problem.student, loss.target(problem.teacher))
    require_close(value_of(loss, replaced), expected, "with target(teacher)")


@law("loss", problems=problems, exemption=unless_declared("target_per_sample"))
def targets_of_samples_make_that_of_a_batch(subject: Subject, problem: LossProblem) -> None:
    """Targets are kept by sample, and samples meet in other batches in the next epoch."""
    loss, teacher = built(subject, problem), problem.teacher
    expected = value_of(loss, problem)
    joined = joined_views([loss.target(view) for view in _samples(teacher)])
    target = replace(joined, graph=teacher.graph, batch=teacher.batch)
    value = value_of(loss, LossProblem(problem.student, target))
    require_close(value, expected, "with the targets of the samples")


def _samples(view: View) -> list[View]:
    """Return the view of each sample."""
    if view.batch is None:
        return [view]
    sizes = torch.bincount(view.batch).tolist()
    rows = {name: torch.split_with_sizes(tensor, sizes) for name, tensor in parts(view).items()}
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    return [
        View(
            **{name: pieces[index] for name, pieces in rows.items()},
            graph=None if view.graph is None else _subgraph(view.graph, start, sizes[index]),
        )
        for index, start in enumerate(starts)
    ]


def _subgraph(graph: Graph, start: int, size: int) -> Graph:
    inside = (graph.target >= start) & (graph.target < start + size)
    return Graph(graph.edge_index[:, inside] - start, size)
