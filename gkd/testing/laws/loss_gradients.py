"""Laws of losses: gradients."""

import torch
from torch import Tensor

from gkd.loss import View
from gkd.testing.law import law, require
from gkd.testing.laws.comparison import require_finite
from gkd.testing.laws.gradients import require_right_gradient
from gkd.testing.laws.loss_calls import built, generic_problem, mapped, parts, value_of, with_leaves
from gkd.testing.laws.loss_values import problems
from gkd.testing.strategies.loss_problems import LossProblem
from gkd.testing.subject import Subject


@law("loss", problems=problems)
def gradient_reaches_the_student(subject: Subject, problem: LossProblem) -> None:
    """What a loss does not send back to the student, the student cannot learn."""
    problem = with_leaves(problem)
    loss = built(subject, problem)
    value = value_of(loss, problem)
    require(value.requires_grad, "the loss has no gradient")
    torch.autograd.backward(value)
    for name, tensor in parts(problem.student).items():
        require(tensor.grad is not None, f"the student's {name} get no gradient")
        require_finite(tensor.grad, f"the gradient of the student's {name}")
    for name, parameter in loss.named_parameters():
        if parameter.requires_grad:
            require(parameter.grad is not None, f"the learned part {name} gets no gradient")
            require_finite(parameter.grad, f"the gradient of the learned part {name}")


@law("loss")
def gradient_step_lowers_the_loss(subject: Subject) -> None:
    """Following the gradient must bring the student nearer to the teacher."""
    problem = with_leaves(generic_problem(subject.specimen))
    loss = built(subject, problem)
    value = value_of(loss, problem)
    require(value.requires_grad, "the loss has no gradient")
    torch.autograd.backward(value)
    for name, tensor in parts(problem.student).items():
        norm = 0.0 if tensor.grad is None else tensor.grad.norm().item()
        require(norm > 0, f"the gradient of the student's {name} is zero on a generic problem")

    def moved(size: float) -> LossProblem:
        student = mapped(
            problem.student,
            lambda z: z.detach() - size * z.grad / z.grad.norm(),  # type: ignore[operator,union-attr]
        )
        return LossProblem(student, problem.teacher)

    lowest = min(value_of(loss, moved(size)).item() for size in (1e-2, 1e-3, 1e-4, 1e-5))
    require(lowest < value.item(), f"small steps against the gradient do not lower {value:.6g}")


@law("loss", problems=lambda subject: problems(subject, smooth=True), share=0.4)
def gradcheck_in_float64(subject: Subject, problem: LossProblem) -> None:
    """A gradient that is not the slope trains towards something else."""
    loss = built(subject, problem)
    named = parts(problem.student)

    def value(*tensors: Tensor) -> Tensor:
        given = dict(zip(named, tensors, strict=True))
        view = View(
            logits=given.get("logits"),
            features=given.get("features"),
            graph=problem.student.graph,
            batch=problem.student.batch,
        )
        return value_of(loss, LossProblem(view, problem.teacher))

    require_right_gradient(value, list(named.values()))


@law("loss", problems=problems)
def no_gradient_to_the_teacher(subject: Subject, problem: LossProblem) -> None:
    """A teacher that learns from its student is no teacher."""
    problem = with_leaves(problem)
    value = value_of(built(subject, problem), problem)
    if value.requires_grad:
        torch.autograd.backward(value)
    for name, tensor in parts(problem.teacher).items():
        got = tensor.grad is not None and bool(torch.any(tensor.grad != 0))
        require(not got, f"the teacher's {name} get a gradient; detach them")
