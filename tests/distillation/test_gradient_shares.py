"""How much of the gradient at a tap each term has."""

import pytest
import torch
from distiller_problems import SAME_TAPS, Network, Output, Squared, batch_of, distiller_of
from torch import nn
from torch.nn import functional

import gkd
from gkd.errors import ParameterError


def test_gradient_shares_compare_term_and_task() -> None:
    student = Network().eval()
    terms = [gkd.Term(Squared(), weight=3.0, **SAME_TAPS), gkd.Term(Squared(), weight=2.0)]
    distiller = distiller_of(Network(), student, *terms)
    report = distiller(batch_of())
    shares = report.gradient_shares()

    logits = report.logits.detach().requires_grad_()
    theirs = distiller.teachers["teacher"](batch_of().x)
    (term,) = torch.autograd.grad(2.0 * functional.mse_loss(logits, theirs), logits)
    (task,) = torch.autograd.grad(functional.cross_entropy(logits, batch_of().y), logits)
    assert shares["squared-2"] == pytest.approx(float(term.norm() / task.norm()), rel=1e-5)
    assert shares["squared"] > 0
    report.total.backward()  # what it needs is still there


def test_gradient_shares_where_the_task_does_not_depend_on_the_tap() -> None:
    student = Output(nn.Linear(5, 5))
    term = gkd.Term(Squared(), student="inner", teacher="inner")
    report = distiller_of(Output(lambda x: x), student, term)(batch_of())
    assert report.gradient_shares() == {"squared": float("inf")}


def test_gradient_shares_need_gradients() -> None:
    distiller = distiller_of(Network(), Network(), gkd.Term(Squared()))
    with torch.no_grad():
        report = distiller(batch_of())
    with pytest.raises(ParameterError, match="computed without gradients"):
        report.gradient_shares()
