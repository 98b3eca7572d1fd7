"""Laws of losses: repeated, saved, sent elsewhere."""

import io
import pickle

import torch
from torch import Tensor

from gkd.loss import AbstractLoss
from gkd.testing.law import law, require
from gkd.testing.laws.comparison import require_close
from gkd.testing.laws.loss_calls import built, generic_problem, parts, value_of, with_leaves
from gkd.testing.laws.loss_values import problems
from gkd.testing.other_process import elsewhere
from gkd.testing.strategies.loss_problems import LossProblem
from gkd.testing.subject import Subject


@law("loss", problems=problems, share=0.5)
def deterministic_under_a_seed(subject: Subject, problem: LossProblem) -> None:
    """A run can be repeated only if everything random comes from its seed."""
    first, second = (_value_and_gradients(subject, problem) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        require(torch.equal(one, other), f"the same seed gives {one.tolist()} and {other.tolist()}")


def _value_and_gradients(subject: Subject, problem: LossProblem) -> list[Tensor]:
    problem = with_leaves(problem)
    value = value_of(built(subject, problem), problem, seed=1)
    if value.requires_grad:
        torch.autograd.backward(value)
    gradients = [tensor.grad for tensor in parts(problem.student).values()]
    return [value.detach(), *(gradient for gradient in gradients if gradient is not None)]


@law("loss")
def state_dict_round_trip(subject: Subject) -> None:
    """A resumed run continues from what the checkpoint holds, and from nothing else."""
    problem = generic_problem(subject.specimen)
    trained = _trained(subject, problem)
    file = io.BytesIO()
    torch.save(trained.state_dict(), file)
    file.seek(0)
    resumed = built(subject, problem, seed=1)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    require_close(
        value_of(resumed, problem), value_of(trained, problem), "after loading the state dict"
    )


def _trained(subject: Subject, problem: LossProblem) -> AbstractLoss:
    """Return a loss that has made a step, so that its state is not that of a new one."""
    problem = with_leaves(problem)
    loss = built(subject, problem)
    value = value_of(loss, problem)
    parameters = [parameter for parameter in loss.parameters() if parameter.requires_grad]
    if value.requires_grad and parameters:
        torch.autograd.backward(value)
        torch.optim.SGD(parameters, lr=0.1).step()
        loss.zero_grad()
    return loss


@law("loss")
def pickles(subject: Subject) -> None:
    """Launchers, checkpoints and data loaders send components by pickle."""
    problem = generic_problem(subject.specimen)
    loss = _trained(subject, problem)
    copy = pickle.loads(pickle.dumps(loss))
    require_close(value_of(copy, problem), value_of(loss, problem), "after pickling")


@law("loss")
def works_in_two_processes(subject: Subject) -> None:
    """Several processes train together, and none sees the others' memory."""
    problem = generic_problem(subject.specimen)
    loss = _trained(subject, problem)
    there = elsewhere(_number_of, loss, problem)
    expected = value_of(loss, problem).detach()
    require_close(torch.tensor(there, dtype=expected.dtype), expected, "in another process")


def _number_of(loss: AbstractLoss, problem: LossProblem) -> float:
    return value_of(loss, problem).item()
