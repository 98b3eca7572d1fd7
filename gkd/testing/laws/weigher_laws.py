"""The laws of weighers."""

import io
import pickle
from dataclasses import replace
from typing import Any

import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from torch import Tensor

from gkd.distillation.loss_call import row_weights
from gkd.graph import Graph
from gkd.loss import AbstractWeigher
from gkd.testing.law import law, unless_declared
from gkd.testing.laws.cases import (
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
from gkd.testing.laws.global_state import require_left_alone, require_nothing_drawn
from gkd.testing.laws.loss_calls import buffers_kept
from gkd.testing.laws.problem_changes import (
    cast_problem,
    generic_graph,
    in_order,
    likelihood_of,
    moved_to,
    nodes_of,
    on_graph,
    problem_on,
    tensors_of,
    with_leaves,
    with_other_labels,
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
    require_linear,
    require_unmodified,
    work_graph,
)
from gkd.testing.memory_watch import MemoryWatch
from gkd.testing.other_process import call_elsewhere
from gkd.testing.placement_watch import PlacementWatch, accelerator
from gkd.testing.strategies.loss_problems import LossProblem, loss_problems
from gkd.testing.subject import Subject, fixed_seed
from gkd.testing.work_watch import WorkWatch

_PARTS = ("logits", "features", "graph")


def problems(subject: Subject, **options: Any) -> SearchStrategy[LossProblem]:
    """Return problems with all that a weigher may look at."""
    return subject.problems(
        loss_problems, _PARTS, asks=("step",), likelihood=likelihood_of(subject), **options
    )


def weights_of(weigher: AbstractWeigher, problem: LossProblem, seed: int = 0) -> Tensor:
    """Return the weights as the engine takes them, in float64.

    What the weigher keeps in its buffers is afterwards as before, so that calls can be compared.
    """
    step = problem.new_step()
    assert step is not None
    with fixed_seed(seed), buffers_kept(weigher):
        return row_weights(weigher, problem.student, problem.teacher, step).double()


@law("weigher", problems=problems, premise=True)
def finite_and_one_per_row(subject: Subject, problem: LossProblem) -> None:
    """Each row is weighed, and one NaN ruins a run."""
    require_finite(weights_of(subject.create(), problem), "the weights")


@law("weigher", problems=problems)
def at_least_zero(subject: Subject, problem: LossProblem) -> None:
    """A weight below zero would drive the student away from its teacher."""
    lowest = weights_of(subject.create(), problem).min().item()
    require(lowest >= 0, f"a weight is {lowest:.6g}")


@law("weigher", problems=lambda subject: problems(subject).map(without_edges))
def isolated_nodes_and_empty_edges(subject: Subject, problem: LossProblem) -> None:
    """Batches contain nodes, and whole graphs, without any edge."""
    weights = weights_of(subject.create(), problem)
    require_finite(weights, "the weights without edges")
    lowest = weights.min().item()
    require(lowest >= 0, f"without edges a weight is {lowest:.6g}")


def _edges(problem: LossProblem) -> Tensor:
    assert problem.student.graph is not None
    return problem.student.graph.edge_index


@law("weigher", problems=lambda subject: edge_reorderings(problems(subject), _edges))
def invariant_to_edge_order(subject: Subject, case: Reordered[LossProblem]) -> None:
    """The order in which edges are listed, and listing one twice, means nothing."""
    problem, weigher = case.problem, subject.create()
    other = on_graph(problem, Graph(case.edge_index, nodes_of(problem)[0]))
    require_close(weights_of(weigher, other), weights_of(weigher, problem), "other order of edges")


@law("weigher", problems=lambda subject: node_relabellings(problems(subject), nodes_of))
def equivariant_to_node_relabelling(subject: Subject, case: Relabelled[LossProblem]) -> None:
    """A weight belongs to a node, whatever the node's number."""
    weigher = subject.create()
    expected = weights_of(weigher, case.problem)[case.order]
    weights = weights_of(weigher, in_order(case.problem, case.order))
    require_close(weights, expected, "other order of nodes")


@law("weigher", problems=problems)
def inputs_unmodified(subject: Subject, problem: LossProblem) -> None:
    """The loss, and the backward pass, read the same tensors."""
    tensors = tensors_of(problem)
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    weights_of(subject.create(), problem)
    require_unmodified(before, tensors)


@st.composite
def _lacking_problems(draw: st.DrawFn, subject: Subject) -> Lacking[LossProblem]:
    missing = draw(st.sampled_from([*_PARTS, "labels"]))
    problem = draw(problems(subject))
    if missing == "labels":
        assert problem.step is not None
        return Lacking(missing, replace(problem, step=replace(problem.step, labels=None)))
    without: dict[str, Any] = {missing: None}
    views = {name: replace(view, **without) for name, view in problem.views.items()}
    return Lacking(missing, problem.with_views(views))


@law("weigher", problems=_lacking_problems)
def says_what_is_missing(subject: Subject, case: Lacking[LossProblem]) -> None:
    """Who forgot a tap, a graph or labels must read which; a weigher may do without."""
    is_explained(case.missing, lambda: weights_of(subject.create(), case.problem))


@law("weigher", problems=problems)
def labels_of_other_rows_play_no_part(subject: Subject, problem: LossProblem) -> None:
    """Labels to select and to test on must not train; step.labelled tells them apart."""
    weigher, other = subject.create(), with_other_labels(problem)
    what = "with other labels where step.labelled is False"
    require_close(weights_of(weigher, other), weights_of(weigher, problem), what)


@law("weigher", problems=problems)
def needs_no_gradient(subject: Subject, problem: LossProblem) -> None:
    """Weights are constants to the student, and a teacher's outputs carry no gradient."""
    weigher = subject.create()
    expected = weights_of(weigher, with_leaves(problem))
    with torch.no_grad():
        weights = weights_of(weigher, problem)
    require_close(weights, expected, "without gradients")


@law("weigher", problems=lambda subject: in_precision(problems(subject), HALVES, SCALES))
def half_precision_under_autocast(subject: Subject, case: InPrecision[LossProblem]) -> None:
    """Networks train in mixed precision, where squares of ordinary features overflow."""
    problem = cast_problem(case.problem, case.cast)
    with torch.autocast("cpu", case.dtype):
        weights = weights_of(subject.create(), problem)
    require_finite(weights, f"the weights in {case.dtype}")


@law("weigher", problems=problems, share=0.5)
def dtype_no_wider(subject: Subject, problem: LossProblem) -> None:
    """Weights in float64 would make the loss one of float64, and the other terms with it."""
    problem = cast_problem(problem, Tensor.float)
    step = problem.new_step()
    assert step is not None
    weights = row_weights(subject.create(), problem.student, problem.teacher, step)
    kept = torch.promote_types(weights.dtype, torch.float32) == torch.float32
    require(kept, f"views in float32 give weights in {weights.dtype}")


@law("weigher", problems=problems, share=0.5)
def device_preserved(subject: Subject, problem: LossProblem) -> None:
    """On an accelerator, a tensor left behind on the CPU ends the training."""
    with PlacementWatch() as watch:
        weigher = subject.create()
        watch.settle([*weigher.parameters(), *weigher.buffers()])
        step = problem.new_step()
        assert step is not None
        weights = row_weights(weigher, problem.student, problem.teacher, step)
        require(not watch.is_stray(weights), "the weights are made without device=")
    device = accelerator()
    if device is not None:
        # The MPS backend has no float64, in which the other laws look at weights.
        there = moved_to(problem, device)
        step = there.new_step()
        assert step is not None
        weights = row_weights(subject.create().to(device), there.student, there.teacher, step)
        require(weights.device.type == device.type, f"views on {device} give {weights.device}")


@law("weigher", problems=problems, share=0.2)
def global_state_left_alone(subject: Subject, problem: LossProblem) -> None:
    """What a weigher draws, seeds or sets for the whole process, the training goes on with."""
    require_left_alone(lambda: subject.make(**subject.params), "making it")
    weigher, step = subject.create(), problem.new_step()
    assert step is not None
    require_nothing_drawn(
        lambda: row_weights(weigher, problem.student, problem.teacher, step), "a call"
    )


@law("weigher", exemption=unless_declared("bounded_memory"))
def bounded_memory(subject: Subject) -> None:
    """Graphs have many more edges than nodes: features gathered for each do not fit."""
    random = torch.Generator().manual_seed(0)
    problem = cast_problem(_problem(subject, random_graph(), random, WIDTH), Tensor.float)
    weigher = subject.create()
    step = problem.new_step()
    assert step is not None
    with MemoryWatch() as watch:
        row_weights(weigher, problem.student, problem.teacher, step)
    require_bounded(watch, f"with {NODES} nodes, {EDGES} edges and features of width {WIDTH}")


def _problem(subject: Subject, graph: Graph, random: torch.Generator, width: int) -> LossProblem:
    return problem_on(
        graph, _PARTS, ("step",), random, widths=(width, width), likelihood=likelihood_of(subject)
    )


@law("weigher", exemption=unless_declared("linear_work"))
def work_grows_with_the_graph(subject: Subject) -> None:
    """Four times the graph must not take sixteen times the time."""

    def work(nodes: int) -> WorkWatch:
        random = torch.Generator().manual_seed(0)
        problem = _problem(subject, work_graph(nodes), random, 4)
        weigher, watch = subject.create(), WorkWatch()
        with watch:
            weights_of(weigher, problem)
        return watch

    require_linear(work)


@law("weigher", problems=problems, share=0.5)
def deterministic_under_a_seed(subject: Subject, problem: LossProblem) -> None:
    """A run can be repeated only if what is drawn comes from step.generator."""
    first, second = (weights_of(subject.create(), problem, seed) for seed in (0, 1))
    require(
        torch.equal(first, second),
        f"the same step gives {first.tolist()} and {second.tolist()} under another global seed",
    )


@law("weigher")
def state_dict_round_trip(subject: Subject) -> None:
    """A resumed run continues from what the checkpoint holds, and from nothing else."""
    weigher, problem = _used(subject)
    file = io.BytesIO()
    torch.save(weigher.state_dict(), file)
    file.seek(0)
    # From another seed: what the state dict leaves out would agree by chance otherwise.
    resumed = subject.create(seed=1)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    require_close(
        weights_of(resumed, problem), weights_of(weigher, problem), "after loading the state dict"
    )


def _used(subject: Subject) -> tuple[AbstractWeigher, LossProblem]:
    """Return a weigher that has seen a step, so that its state is not that of a new one."""
    random = torch.Generator().manual_seed(7)
    seen, problem = (_problem(subject, generic_graph(random), random, 4) for _ in range(2))
    weigher: AbstractWeigher = subject.create()
    step = seen.new_step()
    assert step is not None
    row_weights(weigher, seen.student, seen.teacher, step)
    return weigher, problem


@law("weigher")
def pickles(subject: Subject) -> None:
    """Launchers and checkpoints send components by pickle."""
    weigher, problem = _used(subject)
    copy = pickle.loads(pickle.dumps(weigher))
    require_close(weights_of(copy, problem), weights_of(weigher, problem), "after pickling")


@law("weigher")
def works_in_two_processes(subject: Subject) -> None:
    """Several processes train together, and none sees the others' memory."""
    weigher, problem = _used(subject)
    there = call_elsewhere(weights_of, weigher, problem)
    require_close(there, weights_of(weigher, problem), "in another process")


declarations = law("weigher")(declarations_are_known)
