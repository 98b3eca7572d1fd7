"""Problems of losses and weighers: fixed ones, and the same one otherwise."""

from collections.abc import Callable, Collection
from dataclasses import fields, replace

import torch
from torch import Tensor

from gkd.data.task import Likelihood
from gkd.distillation.task_choice import find_task
from gkd.graph import Graph
from gkd.hosting.parameters import signature_of
from gkd.loss import View
from gkd.testing.strategies.labels import labels_of
from gkd.testing.strategies.loss_problems import LossProblem, map_tensors, parts
from gkd.testing.strategies.step_problems import StepProblem
from gkd.testing.subject import Subject


def likelihood_of(subject: Subject) -> Likelihood:
    """Return what logits mean to a component: what its parameter ``task`` says, if it has one."""
    parameter = signature_of(subject.factory).parameters.get("task")
    if parameter is None:
        return "softmax"
    default = "single-label" if parameter.default is parameter.empty else parameter.default
    return find_task(subject.params.get("task", default)).likelihood


def generic_graph(random: torch.Generator) -> Graph:
    """Return a graph every node of which has edges."""
    nodes, degree = 12, 3
    sources = torch.randint(nodes, (nodes * degree,), generator=random)
    return Graph(torch.stack([sources, torch.arange(nodes).repeat_interleave(degree)]), nodes)


def problem_on(
    graph: Graph,
    uses: Collection[str],
    asks: Collection[str],
    random: torch.Generator,
    *,
    widths: tuple[int, int],
    classes: int = 4,
    likelihood: Likelihood = "softmax",
) -> LossProblem:
    """Return a problem on a graph, in float64.

    Args:
        graph: of all views.
        uses: parts that the views have.
        asks: what there is beside two views.
        random: to draw from.
        widths: of the features of student and teachers; a layer of twice the width comes first.
        classes: width of the logits.
        likelihood: what the labels fit.
    """
    nodes = graph.num_nodes

    def normal(columns: int) -> Tensor:
        return torch.randn(nodes, columns, generator=random, dtype=torch.float64)

    def view(width: int) -> View:
        features = 0.5 * normal(width) if "features" in uses else None
        view = View(
            logits=0.5 * normal(classes) if "logits" in uses else None,
            features=features,
            graph=graph if "graph" in uses else None,
        )
        if "layers" not in uses or features is None:
            return view
        return replace(view, layers=(0.5 * normal(2 * width), features))

    student, teacher = map(view, widths)
    others = {"second": view(widths[1])} if "teachers" in asks else {}
    if "step" not in asks:
        return LossProblem(student, teacher, others)
    step = StepProblem(
        labels=labels_of(likelihood, nodes, classes, random),
        labelled=torch.arange(nodes) % 2 == 0,
        nodes=torch.randperm(nodes, generator=random),
        x=normal(3),
        classes=classes,
    )
    return LossProblem(student, teacher, others, step)


def map_problem(problem: LossProblem, function: Callable[[Tensor], Tensor]) -> LossProblem:
    """Return the problem with ``function`` applied to what the networks made, of all views."""
    changed = {name: map_tensors(view, function) for name, view in problem.views.items()}
    return problem.with_views(changed)


def cast_problem(problem: LossProblem, function: Callable[[Tensor], Tensor]) -> LossProblem:
    """Return the problem with ``function`` applied to what networks made and to what they read."""
    problem = map_problem(problem, function)
    if problem.step is None:
        return problem
    return replace(problem, step=replace(problem.step, x=function(problem.step.x)))


def leaf(tensor: Tensor) -> Tensor:
    """Return a copy that collects a gradient."""
    return tensor.detach().clone().requires_grad_()


def with_leaves(problem: LossProblem) -> LossProblem:
    """Return the problem with tensors that collect gradients, on both sides."""
    return map_problem(problem, leaf)


def on_graph(problem: LossProblem, graph: Graph) -> LossProblem:
    """Return the problem with this graph in all views."""
    return problem.with_views({n: replace(v, graph=graph) for n, v in problem.views.items()})


def without_edges(problem: LossProblem) -> LossProblem:
    """Return the problem with graphs without edges, where it has graphs."""
    graph = problem.student.graph
    if graph is None:
        return problem
    return on_graph(problem, Graph(graph.edge_index[:, :0], graph.num_nodes))


def nodes_of(problem: LossProblem) -> tuple[int, Tensor | None]:
    """Return how many nodes a problem has, and the sample of each."""
    return problem.student.num_rows, problem.student.batch


def in_order(problem: LossProblem, order: Tensor) -> LossProblem:
    """Return the problem of the same nodes, the n-th of which was ``order[n]``."""

    def reordered(view: View) -> View:
        view = map_tensors(view, lambda tensor: tensor[order])
        if view.graph is None:
            return view
        edges = order.argsort()[view.graph.edge_index]
        return replace(view, graph=Graph(edges, view.graph.num_nodes))

    other = problem.with_views({name: reordered(view) for name, view in problem.views.items()})
    return other if other.step is None else replace(other, step=other.step.in_order(order))


def with_classes_in_order(problem: LossProblem, order: Tensor) -> LossProblem:
    """Return the problem of the same classes, the c-th of which was ``order[c]``."""

    def reordered(view: View) -> View:
        return view if view.logits is None else replace(view, logits=view.logits[:, order])

    other = problem.with_views({name: reordered(view) for name, view in problem.views.items()})
    step = problem.step
    if step is None:
        return other
    labels = step.labels
    if labels is not None:
        labels = order.argsort()[labels] if labels.ndim == 1 else labels[:, order]
    return replace(other, step=replace(step, labels=labels, class_order=order))


def with_other_labels(problem: LossProblem) -> LossProblem:
    """Return the problem with other labels in the rows whose labels must not be used."""
    step = problem.step
    if step is None or step.labels is None:
        return problem
    labels = step.labels
    # The next class, the other answer or another number.
    changed = (labels + 1) % step.classes if labels.ndim == 1 else 1 - labels
    known = step.labelled if labels.ndim == 1 else step.labelled[:, None]
    return replace(problem, step=replace(step, labels=labels.where(known, changed)))


def moved_to(problem: LossProblem, device: torch.device) -> LossProblem:
    """Return the problem on a device, its numbers in float32, as not all devices have float64."""

    def moved(view: View) -> View:
        graph = None if view.graph is None else view.graph.to(device)
        batch = None if view.batch is None else view.batch.to(device)
        return replace(view, graph=graph, batch=batch)

    problem = map_problem(problem, lambda tensor: tensor.detach().float().to(device))
    there = problem.with_views({name: moved(view) for name, view in problem.views.items()})
    return there if there.step is None else replace(there, step=there.step.to(device))


def tensors_of(problem: LossProblem) -> dict[str, Tensor]:
    """Return all tensors of a problem, by what messages call them."""
    tensors: dict[str, Tensor] = {}
    for side, view in problem.views.items():
        tensors |= {f"the {side}'s {name}": tensor for name, tensor in parts(view).items()}
        if view.graph is not None:
            tensors[f"the {side}'s edge_index"] = view.graph.edge_index
        if view.batch is not None:
            tensors[f"the {side}'s batch"] = view.batch
    if problem.step is not None:
        facts = {field.name: getattr(problem.step, field.name) for field in fields(problem.step)}
        tensors |= {f"the step's {n}": v for n, v in facts.items() if isinstance(v, Tensor)}
    return tensors
