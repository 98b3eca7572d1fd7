"""A term must be able to train the student: gradients reach what it compares."""

import copy

import pytest
import torch
from distiller_problems import SAME_TAPS, Network, Squared, batch_of, distiller_of
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import gkd
from gkd.errors import TapError


class Checkpointed(nn.Module):
    """Its tapped layer runs as it is, or under activation checkpointing."""

    def __init__(self, reentrant: bool | None = None) -> None:
        super().__init__()
        self.stem = nn.Linear(5, 5)
        self.layers = nn.ModuleList([nn.Linear(5, 4)])
        self.head = nn.Linear(4, 3)
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        def inner(hidden: Tensor) -> Tensor:
            return self.layers[0](hidden).relu()

        hidden = self.stem(x)
        if self.reentrant is None:
            return self.head(inner(hidden))
        return self.head(checkpoint(inner, hidden, use_reentrant=self.reentrant))


def frozen_layer(student: Network) -> Network:
    student.layers[0].requires_grad_(False)
    return student


def blind_layer(student: Network) -> Network:
    student.layers[0].forward = torch.no_grad()(student.layers[0].forward)
    return student


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad:UserWarning")
@pytest.mark.parametrize(
    "student",
    [Checkpointed(reentrant=True), frozen_layer(Network()), blind_layer(Network())],
    ids=["reentrant checkpoint", "frozen", "no_grad"],
)
def test_a_term_that_cannot_train_the_student_is_refused(student: nn.Module) -> None:
    distiller = distiller_of(Network(), student, gkd.Term(Squared(), **SAME_TAPS))
    with pytest.raises(
        TapError, match=r"^term 'squared': student: tap 'layers.0' carries no gradient"
    ):
        distiller(batch_of())
    with torch.no_grad():
        assert not distiller(batch_of()).total.requires_grad
    with torch.inference_mode():
        assert not distiller(batch_of()).total.requires_grad


def test_a_term_of_weight_zero_is_not_asked_for_a_gradient() -> None:
    term = gkd.Term(Squared(), weight={"value": 1.0, "from_epoch": 1}, **SAME_TAPS)
    distiller = distiller_of(Network(), frozen_layer(Network()), term)
    distiller(batch_of()).total.backward()
    distiller.epoch = 1
    with pytest.raises(TapError, match="carries no gradient"):
        distiller(batch_of())


def test_a_constant_loss_is_no_fault_of_its_tap() -> None:
    class Constant(gkd.AbstractLoss):
        def forward(self, student: gkd.View, teacher: gkd.View) -> Tensor:
            return teacher.features.new_tensor(2.0)

    report = distiller_of(Network(), Network(), gkd.Term(Constant(), **SAME_TAPS))(batch_of())
    report.total.backward()
    assert report.terms["constant"].item() == 2.0


def test_a_student_frozen_throughout_has_its_losses() -> None:
    student = Network().requires_grad_(False)
    report = distiller_of(Network(), student, gkd.Term(Squared(), **SAME_TAPS))(batch_of())
    assert not report.total.requires_grad


def test_gradients_through_a_checkpoint_are_those_without_it() -> None:
    plain = Checkpointed()
    again = copy.deepcopy(plain)
    again.reentrant = False
    teacher = Network()
    for student in (plain, again):
        term = gkd.Term(Squared(), weight=50.0, **SAME_TAPS)
        distiller_of(teacher, student, term)(batch_of()).total.backward()
    for one, other in zip(plain.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad)
    assert plain.stem.weight.grad.abs().max() > 0
