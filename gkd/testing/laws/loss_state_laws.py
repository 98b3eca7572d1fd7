"""The laws of losses about what they keep, draw and send."""

import io
import pickle
from collections import deque
from collections.abc import Iterator, ValuesView
from dataclasses import replace

import torch
from torch import Tensor, nn

from gkd.loss import AbstractLoss
from gkd.testing.law import law
from gkd.testing.laws.loss_calls import (
    build_loss,
    generic_problem,
    problems,
    value_of,
    values_of,
)
from gkd.testing.laws.problem_changes import with_leaves
from gkd.testing.laws.requirements import require, require_close
from gkd.testing.other_process import call_elsewhere
from gkd.testing.strategies.loss_problems import LossProblem, parts
from gkd.testing.subject import Subject

_STEPS = 3  # before and after a resume


@law("loss", problems=problems, share=0.5)
def deterministic_under_a_seed(subject: Subject, problem: LossProblem) -> None:
    """A run can be repeated only if everything random comes from its seed."""
    first, second = (_value_and_gradients(subject, problem) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        same = torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)  # NaN is another law's
        require(same, f"the same seed gives {one.tolist()} and {other.tolist()}")


def _value_and_gradients(subject: Subject, problem: LossProblem) -> list[Tensor]:
    problem = with_leaves(problem)
    value = value_of(build_loss(subject, problem), problem, seed=1)
    if value.requires_grad:
        torch.autograd.backward(value)
    gradients = [tensor.grad for tensor in parts(problem.student).values()]
    return [value.detach(), *(gradient for gradient in gradients if gradient is not None)]


@law("loss")
def state_dict_round_trip(subject: Subject) -> None:
    """A resumed run continues from what the checkpoint holds, and from nothing else."""
    problem = generic_problem(subject)
    begun = {name for name, _ in build_loss(subject, problem).named_parameters()}
    trained = _train_one_step(subject, problem)
    for name, _ in trained.named_parameters():
        require(
            name in begun,
            f"the learned part {name} is made in a step, after the optimiser, which does not move "
            "it: make it in build",
        )
    resumed = _resumed(subject, trained, problem)
    require_close(
        value_of(resumed, problem), value_of(trained, problem), "after loading the state dict"
    )


def _resumed(subject: Subject, loss: AbstractLoss, problem: LossProblem) -> AbstractLoss:
    """Return a new loss with the state of another, as a checkpoint has it."""
    file = io.BytesIO()
    torch.save(loss.state_dict(), file)
    file.seek(0)
    # From another seed: what the state dict leaves out would agree by chance otherwise.
    resumed = build_loss(subject, problem, seed=1)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    return resumed


def _train_one_step(subject: Subject, problem: LossProblem) -> AbstractLoss:
    """Return a loss that has made a step, so that its state is not that of a new one."""
    problem = with_leaves(problem)
    loss = build_loss(subject, problem)
    value = values_of(loss, problem).mean()
    parameters = [parameter for parameter in loss.parameters() if parameter.requires_grad]
    if value.requires_grad and parameters:
        torch.autograd.backward(value)
        torch.optim.SGD(parameters, lr=0.1).step()
        loss.zero_grad()
    return loss


@law("loss")
def goes_on_equal_after_a_resume(subject: Subject) -> None:
    """A memory whose next place is not saved fills otherwise after a resume."""
    problem = generic_problem(subject)
    loss = build_loss(subject, problem)
    for number in range(_STEPS):
        values_of(loss, _step(subject, number))
    resumed = _resumed(subject, loss, problem)
    for number in range(_STEPS, 2 * _STEPS):
        problem = _step(subject, number)
        for each in (loss, resumed):
            values_of(each, problem)
        what = f"{number - _STEPS + 1} steps after loading the state dict"
        require_close(value_of(resumed, problem), value_of(loss, problem), what)


def _step(subject: Subject, number: int) -> LossProblem:
    """Return a step of an epoch, each other than the last."""
    problem = generic_problem(subject, seed=number)
    if problem.step is None:
        return problem
    return replace(problem, step=replace(problem.step, number=number, seed=number))


@law("loss")
def steps_do_not_hang_together(subject: Subject) -> None:
    """What is kept of a step with its graph keeps its memory, and the next backward pass fails."""
    loss = build_loss(subject, generic_problem(subject))
    for number in range(_STEPS):
        value = values_of(loss, with_leaves(_step(subject, number))).mean()
        for name, kept in _kept(loss):
            require(kept.grad_fn is None, f"{name} keeps the graph of a step; detach() it")
        if value.requires_grad:
            torch.autograd.backward(value)


def _kept(loss: AbstractLoss) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors that a loss has beside its parameters, in buffers, attributes and lists."""
    for path, module in loss.named_modules():
        torchs = ("_parameters", "_buffers", "_modules")
        held = {name: value for name, value in vars(module).items() if name not in torchs}
        for name, value in {**held, **module._buffers}.items():
            within = value.values() if isinstance(value, dict) else value
            several = isinstance(within, list | tuple | deque | ValuesView)
            for one in within if several else [value]:
                if isinstance(one, Tensor) and not isinstance(one, nn.Parameter):
                    yield f"{path}.{name}".strip("."), one


@law("loss")
def pickles(subject: Subject) -> None:
    """Launchers, checkpoints and data loaders send components by pickle."""
    problem = generic_problem(subject)
    loss = _train_one_step(subject, problem)
    copy = pickle.loads(pickle.dumps(loss))
    require_close(value_of(copy, problem), value_of(loss, problem), "after pickling")


@law("loss")
def works_in_two_processes(subject: Subject) -> None:
    """Several processes train together, and none sees the others' memory."""
    problem = generic_problem(subject)
    loss = _train_one_step(subject, problem)
    there = call_elsewhere(value_of, loss, problem)
    require_close(there, value_of(loss, problem), "in another process")
