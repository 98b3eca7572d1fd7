"""The laws of losses."""

from dataclasses import replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from gkd.cache.slices import join_views
from gkd.distillation.loss_call import asked_by
from gkd.graph import Graph
from gkd.loss import AbstractLoss, View
from gkd.testing.law import law, unless_declared
from gkd.testing.laws.cases import (
    FULLS,
    HALVES,
    SCALES,
    InPrecision,
    Lacking,
    Relabelled,
    Reordered,
    edge_reorderings,
    in_precision,
    is_explained,
    node_relabellings,
)
from gkd.testing.laws.declarations import declarations_are_known
from gkd.testing.laws.loss_calls import (
    build_loss,
    draws,
    generic_problem,
    problem_for,
    problems,
    value_of,
    values_of,
)
from gkd.testing.laws.problem_changes import (
    cast_problem,
    in_order,
    moved_to,
    nodes_of,
    on_graph,
    tensors_of,
    with_leaves,
    without_edges,
)
from gkd.testing.laws.requirements import (
    EDGES,
    NODES,
    WIDTH,
    random_graph,
    require,
    require_bounded,
    require_close,
    require_finite,
    require_right_gradient,
    require_unmodified,
)
from gkd.testing.memory_watch import MemoryWatch
from gkd.testing.placement_watch import PlacementWatch, accelerator
from gkd.testing.strategies.loss_problems import (
    VIEW_PARTS,
    LossProblem,
    map_tensors,
    parts,
    with_parts,
)
from gkd.testing.subject import Subject


@law(
    "loss",
    # Of equal widths, as whether they may differ is a question of its own, and the next.
    problems=lambda subject: problems(subject, different_widths=False),
    premise=True,
)
def finite_and_scalar(subject: Subject, problem: LossProblem) -> None:
    """A training step descends on one finite number, or on the mean of one for each row."""
    require_finite(values_of(build_loss(subject, problem), problem), "the loss")


def _of_different_widths(problem: LossProblem) -> bool:
    return parts(problem.student)["features"].shape != parts(problem.teacher)["features"].shape


def _for_equal_widths(subject: Subject) -> str:
    if "features" not in subject.specimen.uses:
        return "declared: it does not use features"
    return unless_declared("different_widths")(subject)


@law(
    "loss",
    problems=lambda subject: problems(subject.afresh, different_widths=True).filter(
        _of_different_widths
    ),
    exemption=_for_equal_widths,
    premise=True,
)
def different_widths(subject: Subject, problem: LossProblem) -> None:
    """A student is narrower than its teacher."""
    try:
        value = value_of(build_loss(subject, problem), problem)
    except Exception as error:
        # Said in the words of the declaration: a message about shapes would not lead there.
        raise AssertionError(
            f"features of different widths raise {type(error).__name__} ({error}); a loss that "
            "needs equal widths declares different_widths = False"
        ) from error
    require_finite(value, "the loss")


@law("loss", problems=problems, exemption=unless_declared("non_negative"))
def non_negative(subject: Subject, problem: LossProblem) -> None:
    """A distance below zero would reward being wrong."""
    value = values_of(build_loss(subject, problem), problem).min().item()
    # A sum of logarithms that cancel is a few units of the last digit off, to either side.
    require(value >= -1e-12, f"the loss is {value:.6g}")


@law(
    "loss",
    problems=lambda subject: problems(subject, agreeing=True),
    exemption=unless_declared("zero_at_equality"),
)
def zero_at_equality(subject: Subject, problem: LossProblem) -> None:
    """A student that equals its teacher has nothing left to learn."""
    value = values_of(build_loss(subject, problem), problem).abs().max().item()
    # Rounding in float64 stays far below that; a loss that is not 0 is far above.
    require(value <= 1e-9, f"the loss of a student that equals its teacher is {value:.6g}")


@law("loss", problems=lambda subject: problems(subject).map(without_edges))
def isolated_nodes_and_empty_edges(subject: Subject, problem: LossProblem) -> None:
    """Batches contain nodes, and whole graphs, without any edge."""
    student = map_tensors(problem.student, lambda tensor: tensor.clone().requires_grad_())
    loss = build_loss(subject, problem)
    value = value_of(loss, replace(problem, student=student))
    require_finite(value, "the loss without edges")
    if value.requires_grad:
        torch.autograd.backward(value)
    for name, tensor in parts(student).items():
        if tensor.grad is not None:
            require_finite(tensor.grad, f"the gradient of the student's {name} without edges")


def _graph(problem: LossProblem) -> Graph:
    assert problem.student.graph is not None
    return problem.student.graph


def _without_graph(subject: Subject) -> str:
    return "" if "graph" in subject.specimen.uses else "declared: it does not use the graph"


@law(
    "loss",
    problems=lambda subject: edge_reorderings(
        problems(subject), lambda problem: _graph(problem).edge_index
    ),
    exemption=_without_graph,
)
def invariant_to_edge_order(subject: Subject, case: Reordered[LossProblem]) -> None:
    """The order in which edges are listed, and listing one twice, means nothing."""
    problem = case.problem
    loss = build_loss(subject, problem)
    expected = value_of(loss, problem)
    graph = Graph(case.edge_index, _graph(problem).num_nodes)
    require_close(value_of(loss, on_graph(problem, graph)), expected, "other order of edges")


@law(
    "loss",
    problems=lambda subject: node_relabellings(problems(subject), nodes_of),
    exemption=draws,
)
def invariant_to_node_relabelling(subject: Subject, case: Relabelled[LossProblem]) -> None:
    """Numbers of nodes are names: they carry no meaning."""
    problem, order = case.problem, case.order
    loss = build_loss(subject, problem)
    expected = value_of(loss, problem)
    require_close(value_of(loss, in_order(problem, order)), expected, "other order of nodes")


@law("loss", problems=problems)
def inputs_unmodified(subject: Subject, problem: LossProblem) -> None:
    """Other terms, and the backward pass, read the same tensors."""
    tensors = tensors_of(problem)
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    value_of(build_loss(subject, problem), problem)
    require_unmodified(before, tensors)


@st.composite
def _lacking_problems(draw: st.DrawFn, subject: Subject) -> Lacking[LossProblem]:
    uses = subject.specimen.uses
    needed = [part for part in VIEW_PARTS if part in uses]
    if "layers" in uses:  # the last of them are the features
        needed.remove("features")
    labels = ["labels"] if "step" in asked_by(subject.specimen) else []
    missing = draw(st.sampled_from([*needed, *labels]))
    remaining = [part for part in VIEW_PARTS if part in uses or part != "layers"]
    # Each by itself is too rare to be drawn beforehand.
    problem = draw(problems(subject.afresh, [part for part in remaining if part != missing]))
    if missing == "labels" and problem.step is not None:
        problem = replace(problem, step=replace(problem.step, labels=None))
    return Lacking(missing, problem)


@law("loss", problems=_lacking_problems, share=0.5)
def says_what_is_missing(subject: Subject, case: Lacking[LossProblem]) -> None:
    """Who forgot a tap, a graph or labels must read which."""
    explained = is_explained(
        case.missing, lambda: value_of(build_loss(subject, case.problem), case.problem)
    )
    # Labels are what a loss may do without.
    if not explained and case.missing != "labels":
        raise AssertionError(f"it declares that it uses {case.missing}, but did without")


@law("loss", problems=problems)
def target_stands_for_the_teacher(subject: Subject, problem: LossProblem) -> None:
    """A cached target replaces the teacher, so it must give the same loss."""
    problem = replace(problem, others={})  # of several teachers nothing is precomputed
    loss = build_loss(subject, problem)
    expected = value_of(loss, problem)
    replaced = replace(problem, teacher=_target(loss, problem.teacher))
    require_close(value_of(loss, replaced), expected, "with target(teacher)")


def _target(loss: AbstractLoss, teacher: View) -> View:
    target: object = loss.target(teacher)
    if not isinstance(target, View):
        raise AssertionError(
            f"target(teacher) returns {type(target).__name__}, not a gkd.View, which forward gets "
            "in the teacher's place: what was computed is its features, logits or edge_values"
        )
    return target


@law("loss", problems=problems, exemption=unless_declared("target_per_sample"))
def targets_of_samples_make_that_of_a_batch(subject: Subject, problem: LossProblem) -> None:
    """Targets are kept by sample, and samples meet in other batches in the next epoch."""
    problem = replace(problem, others={})
    loss, teacher = build_loss(subject, problem), problem.teacher
    expected = value_of(loss, problem)
    # By the code that the cache itself joins with.
    joined = join_views([_target(loss, view) for view in _samples(teacher)])
    target = replace(joined, graph=teacher.graph, batch=teacher.batch)
    value = value_of(loss, replace(problem, teacher=target))
    require_close(value, expected, "with the targets of the samples")


def _samples(view: View) -> list[View]:
    """Return the view of each sample."""
    if view.batch is None:
        return [view]
    sizes = torch.bincount(view.batch).tolist()
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    return [
        replace(view.rows(torch.arange(start, start + size)), batch=None)
        for start, size in zip(starts, sizes, strict=True)
    ]


@law("loss", problems=problems)
def gradient_reaches_the_student(subject: Subject, problem: LossProblem) -> None:
    """What a loss does not send back to the student, the student cannot learn."""
    problem = with_leaves(problem)
    loss = build_loss(subject, problem)
    value = value_of(loss, problem)
    require(value.requires_grad, "the loss has no gradient")
    torch.autograd.backward(value)
    for name, tensor in _learning(loss, problem.student).items():
        require(tensor.grad is not None, f"the student's {name} get no gradient")
        require_finite(tensor.grad, f"the gradient of the student's {name}")
    for name, parameter in loss.named_parameters():
        if parameter.requires_grad:
            require(parameter.grad is not None, f"the learned part {name} gets no gradient")
            require_finite(parameter.grad, f"the gradient of the learned part {name}")


def _learning(loss: AbstractLoss, view: View) -> dict[str, Tensor]:
    """Return the parts of a view that the loss teaches."""
    return {n: tensor for n, tensor in parts(view).items() if n not in loss.without_gradient}


@law("loss")
def gradient_step_lowers_the_loss(subject: Subject) -> None:
    """Following the gradient must bring the student nearer to the teacher."""
    problem = with_leaves(generic_problem(subject))
    loss = build_loss(subject, problem)
    value = value_of(loss, problem)
    require(value.requires_grad, "the loss has no gradient")
    torch.autograd.backward(value)
    for name, tensor in _learning(loss, problem.student).items():
        norm = 0.0 if tensor.grad is None else tensor.grad.norm().item()
        require(norm > 0, f"the gradient of the student's {name} is zero on a generic problem")

    def after_step(size: float) -> LossProblem:
        student = map_tensors(
            problem.student,
            lambda z: z.detach() if z.grad is None else z.detach() - size * z.grad / z.grad.norm(),
        )
        return replace(problem, student=student)

    # Of several sizes, as nothing is known of the curvature: one step may be too far for a steep
    # loss, another too short to show.
    lowest = min(value_of(loss, after_step(size)).item() for size in (1e-2, 1e-3, 1e-4, 1e-5))
    require(lowest < value.item(), f"small steps against the gradient do not lower {value:.6g}")


@law(
    "loss",
    problems=lambda subject: problems(subject, smooth=True),
    exemption=unless_declared("exact_gradient"),
    share=0.4,
)
def gradcheck_in_float64(subject: Subject, problem: LossProblem) -> None:
    """A gradient that is not the slope trains towards something else."""
    loss = build_loss(subject, problem)
    named = parts(problem.student)

    def value(*tensors: Tensor) -> Tensor:
        student = with_parts(problem.student, dict(zip(named, tensors, strict=True)))
        return value_of(loss, replace(problem, student=student))

    require_right_gradient(value, list(named.values()))


@law("loss", problems=problems)
def no_gradient_to_the_teacher(subject: Subject, problem: LossProblem) -> None:
    """A teacher that learns from its student is no teacher."""
    problem = with_leaves(problem)
    value = value_of(build_loss(subject, problem), problem)
    if value.requires_grad:
        torch.autograd.backward(value)
    for teacher, view in problem.teachers.items():
        for name, tensor in parts(view).items():
            got = tensor.grad is not None and bool(torch.any(tensor.grad != 0))
            which = "teacher" if teacher == "teacher" else f"{teacher} teacher"
            require(not got, f"the {which}'s {name} get a gradient; detach them")


@law("loss", problems=lambda subject: in_precision(problems(subject), HALVES, SCALES))
def half_precision_under_autocast(subject: Subject, case: InPrecision[LossProblem]) -> None:
    """Networks train in mixed precision, where squares of ordinary features overflow."""
    problem = with_leaves(cast_problem(case.problem, case.cast))
    with torch.autocast("cpu", case.dtype):
        value = value_of(build_loss(subject, problem), problem)
    require_finite(value, f"the loss in {case.dtype}")
    # Gradients of large half-precision features may overflow; scalers of gradients skip these.
    if case.scale > 1 or not value.requires_grad:
        return
    torch.autograd.backward(value)
    for name, tensor in parts(problem.student).items():
        if tensor.grad is not None:
            require_finite(tensor.grad, f"the gradient of the student's {name} in {case.dtype}")


@law("loss", problems=lambda subject: in_precision(problems(subject), FULLS), share=0.5)
def dtype_preserved(subject: Subject, case: InPrecision[LossProblem]) -> None:
    """Terms are added up: one of another type would change the others'."""
    problem = cast_problem(case.problem, case.cast)
    value = value_of(build_loss(subject, problem), problem)
    require(value.dtype == case.dtype, f"{case.dtype} views give a loss in {value.dtype}")


@law("loss", problems=problems, share=0.5)
def device_preserved(subject: Subject, problem: LossProblem) -> None:
    """On an accelerator, a tensor left behind on the CPU ends the training."""
    problem = with_leaves(problem)
    with PlacementWatch() as watch:
        loss = build_loss(subject, problem)
        watch.settle([*loss.parameters(), *loss.buffers()])
        value = value_of(loss, problem)
        require(not watch.is_stray(value), "the loss is made without device=: it stays on the CPU")
        if value.requires_grad:
            torch.autograd.backward(value)
    device = accelerator()
    if device is not None:
        there = moved_to(problem, device)
        value = value_of(build_loss(subject, there).to(device), there)
        require(value.device.type == device.type, f"views on {device} give {value.device}")
        require_finite(value, f"the loss on {device}")


@law("loss", exemption=unless_declared("bounded_memory"))
def bounded_memory(subject: Subject) -> None:
    """Graphs have many more edges than nodes: features gathered for each do not fit."""
    random = torch.Generator().manual_seed(0)
    problem = problem_for(subject, random_graph(), (WIDTH, 2 * WIDTH), 16, random)
    problem = with_leaves(cast_problem(problem, Tensor.float))
    loss = build_loss(subject, problem)
    with MemoryWatch() as watch:
        value = value_of(loss, problem)
        if value.requires_grad:
            torch.autograd.backward(value)
    width = max(tensor.shape[1] for tensor in parts(problem.teacher).values())
    require_bounded(watch, f"with {NODES} nodes, {EDGES} edges and features of width {width}")


declarations = law("loss")(declarations_are_known)
