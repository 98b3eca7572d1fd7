"""The laws of tasks."""

import pickle
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import get_args

import torch
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics import MetricCollection

from gkd.data.task import Likelihood, Task
from gkd.errors import DataError
from gkd.testing.law import law
from gkd.testing.laws.cases import FULLS, HALVES, InPrecision, in_precision
from gkd.testing.laws.declarations import declarations_are_known
from gkd.testing.laws.global_state import require_left_alone, require_nothing_drawn
from gkd.testing.laws.requirements import (
    require,
    require_close,
    require_finite,
    require_right_gradient,
)
from gkd.testing.other_process import call_elsewhere
from gkd.testing.placement_watch import PlacementWatch, accelerator
from gkd.testing.strategies.task_problems import TaskProblem, task_problems
from gkd.testing.subject import Subject, fixed_seed

_STEPS, _RATE = 100, 0.5  # of the gradient, enough to tell right labels from wrong ones
# Labels that data sets mark as missing, or that are there by mistake.
_ODD_LABELS = (float("nan"), -1, -100, 1_000_000, 0.5)


def loss_of(task: Task, problem: TaskProblem) -> Tensor:
    """Return the loss; everything random in it comes from one seed."""
    with fixed_seed(0):
        return task.loss(problem.outputs, problem.y)


def scores_of(task: Task, *batches: TaskProblem) -> dict[str, Tensor]:
    """Return the metrics of batches, as evaluation computes them."""
    metrics = task.metrics(batches[0].num_classes)
    with warnings.catch_warnings():  # about metrics that few labels leave undefined
        warnings.simplefilter("ignore")
        for batch in batches:
            metrics.update(batch.outputs.float(), batch.y)
        return {name: value.double() for name, value in metrics.compute().items()}


def problems(subject: Subject) -> st.SearchStrategy[TaskProblem]:
    """Draw problems of the task under test."""
    return task_problems(subject.specimen)


@law("task", premise=True)
def says_what_it_is(subject: Subject) -> None:
    """Losses go by what outputs mean, and training and reports by the main metric and its sense."""
    task: Task = subject.specimen
    for attribute in ("likelihood", "metric", "target"):
        require(hasattr(task, attribute), f"it has no attribute {attribute}")
    likelihoods = get_args(Likelihood)
    require(
        task.likelihood in likelihoods,
        f"likelihood is {task.likelihood!r}, not one of {', '.join(likelihoods)}",
    )
    require(isinstance(task.target, str), f"target is {task.target!r}, not a name")
    metrics: object = task.metrics(3)
    if not isinstance(metrics, MetricCollection):
        raise AssertionError(
            f"metrics() returns {type(metrics).__name__}, not a torchmetrics.MetricCollection"
        )
    require(
        task.metric in metrics,
        f"metric is {task.metric!r}, but its metrics are {', '.join(map(str, metrics))}",
    )
    sense = metrics[task.metric].higher_is_better
    require(
        isinstance(sense, bool),
        f"{task.metric} does not say whether higher is better: higher_is_better is {sense}",
    )


@law("task", problems=problems, premise=True)
def finite_and_scalar(subject: Subject, problem: TaskProblem) -> None:
    """A training step descends on one finite number."""
    task: Task = subject.create()
    try:
        task.check(problem.outputs, problem.y)
    except DataError as error:
        raise AssertionError(
            f"check refuses outputs and labels of its likelihood, {task.likelihood!r}: {error}; a "
            "task of others returns both from a method example(num_rows, num_classes, generator)"
        ) from error
    value = loss_of(task, problem)
    require(isinstance(value, Tensor), f"the loss is a {type(value).__name__}, not a tensor")
    require(value.ndim == 0, f"the loss has the shape {list(value.shape)}")
    require_finite(value, "the loss")


@law("task", problems=problems, share=0.5)
def no_rows_give_zero(subject: Subject, problem: TaskProblem) -> None:
    """A batch may have no labelled row, and must not end the training."""
    task: Task = subject.create()
    empty = problem.rows(torch.arange(0))
    outputs = empty.outputs.clone().requires_grad_()
    task.check(outputs, empty.y)
    value = loss_of(task, replace(empty, outputs=outputs))
    require(value.ndim == 0 and value.item() == 0, f"without rows the loss is {value.tolist()}")
    require(value.requires_grad, "without rows the loss has no gradient: backward() raises")
    torch.autograd.backward(value)


@dataclass(frozen=True)
class Rewritten:
    """A problem, and another list of its rows.

    Attributes:
        problem: outputs and labels.
        order: int64, numbers of rows.
    """

    problem: TaskProblem
    order: Tensor


@st.composite
def _rewritten(draw: st.DrawFn, subject: Subject, times: int) -> Rewritten:
    problem = draw(problems(subject))
    numbers = [*range(len(problem.y))] * times
    return Rewritten(problem, torch.tensor(draw(st.permutations(numbers))))


@law("task", problems=lambda subject: _rewritten(subject, times=1))
def invariant_to_the_order_of_rows(subject: Subject, case: Rewritten) -> None:
    """Rows have no order: nodes of a graph are numbered by chance."""
    task: Task = subject.create()
    other = case.problem.rows(case.order)
    require_close(loss_of(task, other), loss_of(task, case.problem), "in another order, the loss")
    expected = scores_of(task, case.problem)
    for name, value in scores_of(task, other).items():
        require_close(value, expected[name], f"in another order, {name}", rtol=1e-5)


@law("task", problems=lambda subject: _rewritten(subject, times=2), share=0.5)
def mean_over_rows(subject: Subject, case: Rewritten) -> None:
    """A sum over rows would weigh terms and learning rates by the size of a batch."""
    task: Task = subject.create()
    value = loss_of(task, case.problem.rows(case.order))
    require_close(value, loss_of(task, case.problem), "with every row twice, the loss")


@law("task", problems=problems)
def inputs_unmodified(subject: Subject, problem: TaskProblem) -> None:
    """Terms and metrics read the same tensors."""
    tensors = {"outputs": problem.outputs, "y": problem.y}
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    task: Task = subject.create()
    task.check(problem.outputs, problem.y)
    loss_of(task, problem)
    scores_of(task, problem)
    for name, tensor in tensors.items():
        same = torch.equal(tensor.nan_to_num(), before[name].nan_to_num())
        require(same, f"{name} was modified in place")


@law("task", problems=problems)
def gradient_step_lowers_the_loss(subject: Subject, problem: TaskProblem) -> None:
    """What the loss does not send back to the outputs, a network cannot learn."""
    task: Task = subject.create()
    outputs = problem.outputs.clone().requires_grad_()
    value = loss_of(task, replace(problem, outputs=outputs))
    require(value.requires_grad, "the loss has no gradient")
    torch.autograd.backward(value)
    require(outputs.grad is not None, "the outputs get no gradient")
    require_finite(outputs.grad, "the gradient of the outputs")
    assert outputs.grad is not None
    moved = replace(problem, outputs=problem.outputs - 1e-3 * outputs.grad)
    slope = float(outputs.grad.square().sum())
    require(
        loss_of(task, moved).item() <= value.item() - 1e-4 * slope,
        "a small step along the gradient does not lower the loss",
    )


@law("task", problems=problems, share=0.4)
def gradcheck_in_float64(subject: Subject, problem: TaskProblem) -> None:
    """A gradient that is not the slope trains towards something else."""
    task: Task = subject.create()
    require_right_gradient(
        lambda outputs: loss_of(task, replace(problem, outputs=outputs)), [problem.outputs]
    )


def _with_odd_labels(problem: TaskProblem) -> Iterator[tuple[str, TaskProblem]]:
    """Yield the problem with an odd label in its first row, and what was written there."""
    for label in _ODD_LABELS:
        if problem.y.is_floating_point() or isinstance(label, int):
            y = problem.y.clone()
            y[0] = label
            yield f"the label {label}", replace(problem, y=y)
    yield "labels of another dtype", replace(problem, y=problem.y.to(torch.complex64))
    yield "a label too few", replace(problem, y=problem.y[1:])
    yield "outputs of whole numbers", replace(problem, outputs=problem.outputs.long())


def _accepts(task: Task, problem: TaskProblem, what: str) -> bool:
    try:
        task.check(problem.outputs, problem.y)
    except DataError:
        return False
    except Exception as error:
        raise AssertionError(
            f"check refuses {what} by a {type(error).__name__}, not a gkd.DataError: {error}"
        ) from error
    return True


@law("task", problems=problems)
def check_refuses_what_the_loss_cannot_take(subject: Subject, problem: TaskProblem) -> None:
    """What passes the check is trained on: it must not raise later, nor turn the weights to NaN."""
    task: Task = subject.create()
    for what, odd in _with_odd_labels(problem):
        if _accepts(task, odd, what):
            try:
                value = loss_of(task, odd)
            except Exception as error:
                raise AssertionError(
                    f"check accepts {what}, of which the loss raises {type(error).__name__}"
                ) from error
            require_finite(value, f"check accepts {what}, of which the loss")


@law("task", problems=lambda subject: task_problems(subject.specimen, min_rows=2))
def metrics_take_the_rows_of_the_loss(subject: Subject, problem: TaskProblem) -> None:
    """A label that is not trained on, being unknown, cannot be tested on either."""
    task: Task = subject.create()
    others = problem.rows(torch.arange(1, len(problem.y)))
    for what, odd in _with_odd_labels(problem):
        if len(odd.y) != len(odd.outputs) or not _accepts(task, odd, what):
            continue
        expected_loss = loss_of(task, others)
        if not bool(task.known(odd.y)[0].any()):
            require_close(
                loss_of(task, odd).double(),
                expected_loss.double(),
                f"known() leaves out {what}, the loss",
            )
        if torch.allclose(loss_of(task, odd).double(), expected_loss.double(), equal_nan=True):
            expected = scores_of(task, others)
            for name, value in scores_of(task, odd).items():
                require_close(value, expected[name], f"the loss leaves out {what}, {name} does not")


@dataclass(frozen=True)
class Cut:
    """A problem in two batches.

    Attributes:
        problem: outputs and labels.
        place: rows in the first batch.
    """

    problem: TaskProblem
    place: int


@st.composite
def _cut(draw: st.DrawFn, subject: Subject) -> Cut:
    problem = draw(task_problems(subject.specimen, min_rows=2))
    return Cut(problem, draw(st.integers(0, len(problem.y))))


@law("task", problems=_cut)
def metrics_pool_over_batches(subject: Subject, case: Cut) -> None:
    """A split is scored as a whole, however it is cut into batches."""
    task: Task = subject.create()
    numbers = torch.arange(len(case.problem.y))
    parts = [case.problem.rows(numbers[: case.place]), case.problem.rows(numbers[case.place :])]
    expected = scores_of(task, case.problem)
    for name, value in scores_of(task, *parts).items():
        require_close(value, expected[name], f"in two batches, {name}", rtol=1e-4, atol=1e-5)


@law("task", problems=lambda subject: task_problems(subject.specimen, min_rows=2), share=0.5)
def fitting_improves_the_main_metric(subject: Subject, problem: TaskProblem) -> None:
    """The best epoch is chosen by the main metric: what lowers the loss must not make it worse."""
    task: Task = subject.create()
    higher = task.metrics(problem.num_classes)[task.metric].higher_is_better
    worse, better = (
        scores_of(task, _moved(task, problem, rate))[task.metric] for rate in (-_RATE, _RATE)
    )
    if bool(worse.isfinite() & better.isfinite()):
        improved = better >= worse if higher else better <= worse
        require(
            bool(improved),
            f"{task.metric} is {float(better):.4g} of outputs that fit the labels and "
            f"{float(worse):.4g} of others, where {'higher' if higher else 'lower'} is better",
        )


def _moved(task: Task, problem: TaskProblem, rate: float) -> TaskProblem:
    """Return the problem with outputs that have gone down the gradient, or up it."""
    outputs = problem.outputs
    for _ in range(_STEPS):
        leaf = outputs.detach().requires_grad_()
        (slope,) = torch.autograd.grad(loss_of(task, replace(problem, outputs=leaf)), leaf)
        # Of one length, or squares would grow beyond all bounds on the way up.
        outputs = leaf.detach() - rate * slope / slope.norm().clamp(min=1)
    return replace(problem, outputs=outputs)


@law("task", problems=lambda subject: in_precision(problems(subject), HALVES))
def half_precision(subject: Subject, case: InPrecision[TaskProblem]) -> None:
    """Networks train in mixed precision, where a mean over many rows needs more digits."""
    outputs = case.cast(case.problem.outputs).requires_grad_()
    value = loss_of(subject.create(), replace(case.problem, outputs=outputs))
    single = torch.promote_types(value.dtype, torch.float32) == value.dtype
    require(single, f"the loss of outputs in {case.dtype} is in {value.dtype}")
    require_finite(value, f"the loss in {case.dtype}")


@law("task", problems=lambda subject: in_precision(problems(subject), FULLS), share=0.5)
def dtype_preserved(subject: Subject, case: InPrecision[TaskProblem]) -> None:
    """Who asks for float64 needs its digits; more of them than asked for do no harm."""
    outputs = case.cast(case.problem.outputs)
    value = loss_of(subject.create(), replace(case.problem, outputs=outputs))
    kept = torch.promote_types(value.dtype, case.dtype) == value.dtype
    require(kept, f"outputs in {case.dtype} give a loss in {value.dtype}")


@law("task", problems=problems, share=0.5)
def device_preserved(subject: Subject, problem: TaskProblem) -> None:
    """On an accelerator, a tensor left behind on the CPU ends the training."""
    task: Task = subject.create()
    with PlacementWatch() as watch:
        value = loss_of(task, problem)
        require(not watch.is_stray(value), "the loss is made without device=")
    device = accelerator()
    if device is not None:
        there = replace(problem, outputs=problem.outputs.float().to(device), y=problem.y.to(device))
        value = loss_of(task, there)
        require(value.device.type == device.type, f"outputs on {device} give {value.device}")


@law("task", problems=problems, share=0.2)
def global_state_left_alone(subject: Subject, problem: TaskProblem) -> None:
    """What a task draws, seeds or sets for the whole process, the training goes on with."""
    require_left_alone(lambda: subject.make(**subject.params), "making it")
    task: Task = subject.create()
    require_nothing_drawn(lambda: task.loss(problem.outputs, problem.y), "the loss")
    require_nothing_drawn(lambda: scores_of(task, problem), "a metric")


@law("task", problems=problems, share=0.5)
def deterministic_under_a_seed(subject: Subject, problem: TaskProblem) -> None:
    """A run can be repeated only if everything random comes from its seed."""
    first, second = (loss_of(subject.create(), problem) for _ in range(2))
    require(torch.equal(first, second), f"the same seed gives {first.item()}, {second.item()}")


@law("task", problems=problems, share=0.2)
def pickles(subject: Subject, problem: TaskProblem) -> None:
    """Launchers send distillers, and data loaders the data sets that hold tasks, by pickle."""
    task: Task = subject.create()
    copy = pickle.loads(pickle.dumps(task))
    require_close(loss_of(copy, problem), loss_of(task, problem), "after pickling, the loss")


@law("task", problems=problems, share=0.2)
def works_in_two_processes(subject: Subject, problem: TaskProblem) -> None:
    """Several processes train together, and none sees the others' memory."""
    task: Task = subject.create()
    there = call_elsewhere(loss_of, task, problem)
    require_close(there, loss_of(task, problem), "in another process, the loss")


declarations = law("task")(declarations_are_known)
