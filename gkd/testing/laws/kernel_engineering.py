"""Laws of kernels: gradients, precision, devices, memory, other processes."""

import pickle

import torch
from hypothesis import strategies as st

from gkd.kernel import AbstractKernel
from gkd.testing.law import law, require, unless_declared
from gkd.testing.laws.cases import FULLS, HALVES, SCALES, InPrecision
from gkd.testing.laws.comparison import require_close, require_finite
from gkd.testing.laws.gradients import require_right_gradient
from gkd.testing.laws.kernel_values import similarities
from gkd.testing.laws.memory_bound import EDGES, NODES, WIDTH, random_graph, require_bounded
from gkd.testing.memory import MemoryWatch
from gkd.testing.other_process import elsewhere
from gkd.testing.placement import PlacementWatch, accelerator
from gkd.testing.strategies.kernel_problems import KernelProblem, kernel_problems
from gkd.testing.subject import Subject


@law("kernel", problems=lambda subject: kernel_problems())
def gradient_reaches_the_features(subject: Subject, problem: KernelProblem) -> None:
    """What a kernel does not send back to the features, the student cannot learn."""
    features = problem.features.clone().requires_grad_()
    values = similarities(subject.create(), features, problem.graph)
    require(values.requires_grad, "the similarity has no gradient")
    torch.autograd.backward(values.sum())
    require(features.grad is not None, "the features get no gradient")
    require_finite(features.grad, "the gradient of the features")


@law("kernel", problems=lambda subject: kernel_problems(smooth=True), share=0.4)
def gradcheck_in_float64(subject: Subject, problem: KernelProblem) -> None:
    """A gradient that is not the slope trains towards something else."""
    kernel = subject.create()
    require_right_gradient(lambda z: similarities(kernel, z, problem.graph), [problem.features])


@st.composite
def _in_half(draw: st.DrawFn, subject: Subject) -> InPrecision[KernelProblem]:
    return InPrecision(draw(kernel_problems()), draw(HALVES), draw(SCALES))


@law("kernel", problems=_in_half)
def half_precision_under_autocast(subject: Subject, case: InPrecision[KernelProblem]) -> None:
    """Networks train in mixed precision, where squares of ordinary features overflow."""
    features = case.cast(case.problem.features).requires_grad_()
    with torch.autocast("cpu", case.dtype):
        values = similarities(subject.create(), features, case.problem.graph)
    require_finite(values, f"the similarity in {case.dtype}")
    # Gradients of large half-precision features may overflow; scalers of gradients skip these.
    if case.scale < 1 and values.requires_grad:
        torch.autograd.backward(values.sum())
        require_finite(features.grad, f"the gradient in {case.dtype}")


@st.composite
def _in_full(draw: st.DrawFn, subject: Subject) -> InPrecision[KernelProblem]:
    return InPrecision(draw(kernel_problems()), draw(FULLS))


@law("kernel", problems=_in_full, share=0.5)
def dtype_preserved(subject: Subject, case: InPrecision[KernelProblem]) -> None:
    """Who asks for float64 needs its digits; more of them than asked for do no harm."""
    values = similarities(subject.create(), case.cast(case.problem.features), case.problem.graph)
    require(
        values.is_floating_point()
        and torch.promote_types(values.dtype, case.dtype) == values.dtype,
        f"features in {case.dtype} give similarities in {values.dtype}",
    )


@law("kernel", problems=lambda subject: kernel_problems(), share=0.5)
def device_preserved(subject: Subject, problem: KernelProblem) -> None:
    """On an accelerator, a tensor left behind on the CPU ends the training."""
    features = problem.features.clone().requires_grad_()
    with PlacementWatch() as watch:
        values = similarities(subject.create(), features, problem.graph)
        require(not watch.is_stray(values), "the values are made without device=")
        if values.requires_grad:
            torch.autograd.backward(values.sum())
    device = accelerator()
    if device is not None:
        there = problem.features.float().to(device)
        values = similarities(subject.create(), there, problem.graph.to(device))
        require(values.device.type == device.type, f"features on {device} give {values.device}")
        require_finite(values, f"the similarity on {device}")


@law("kernel", exemption=unless_declared("bounded_memory"))
def bounded_memory(subject: Subject) -> None:
    """Graphs have many more edges than nodes: features gathered for each do not fit."""
    random = torch.Generator().manual_seed(1)
    features = torch.randn(NODES, WIDTH, generator=random).requires_grad_()
    kernel = subject.create()
    with MemoryWatch() as watch:
        values = similarities(kernel, features, random_graph())
        if values.requires_grad:
            torch.autograd.backward(values.sum())
    require_bounded(watch, f"with {NODES} nodes, {EDGES} edges and features of width {WIDTH}")


@law("kernel", problems=lambda subject: kernel_problems(), share=0.5)
def deterministic_under_a_seed(subject: Subject, problem: KernelProblem) -> None:
    """A run can be repeated only if everything random comes from its seed."""
    first, second = (
        similarities(subject.create(), problem.features, problem.graph, seed=1) for _ in range(2)
    )
    require(torch.equal(first, second), f"the same seed gives {first.tolist()}, {second.tolist()}")


def _generic_problem() -> KernelProblem:
    random = torch.Generator().manual_seed(7)
    features = torch.randn(12, 4, generator=random, dtype=torch.float64)
    return KernelProblem(features, random_graph(12, 36))


@law("kernel")
def pickles(subject: Subject) -> None:
    """Losses hold kernels, and launchers and checkpoints send losses by pickle."""
    kernel, problem = subject.create(), _generic_problem()
    copy = pickle.loads(pickle.dumps(kernel))
    expected = similarities(kernel, problem.features, problem.graph)
    values = similarities(copy, problem.features, problem.graph)
    require_close(values, expected, "after pickling")


@law("kernel")
def works_in_two_processes(subject: Subject) -> None:
    """Several processes train together, and none sees the others' memory."""
    kernel, problem = subject.create(), _generic_problem()
    there = torch.tensor(elsewhere(_numbers_of, kernel, problem), dtype=torch.float64)
    expected = similarities(kernel, problem.features, problem.graph)
    require_close(there, expected.double(), "in another process")


def _numbers_of(kernel: AbstractKernel, problem: KernelProblem) -> list[float]:
    numbers: list[float] = similarities(kernel, problem.features, problem.graph).tolist()
    return numbers
