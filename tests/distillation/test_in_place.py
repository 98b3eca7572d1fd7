"""Losses and networks that change in place what others are to see as it was."""

from types import SimpleNamespace

import pytest
import torch
from distiller_problems import SAME_TAPS, Network, Squared, batch_of, distiller_of
from torch import Tensor, nn

import gkd
from gkd.cache.teacher_cache import TeacherCache
from gkd.data import collate
from gkd.errors import ParameterError


class Changing(gkd.AbstractLoss):
    """Changes one tensor of one view after it has compared them."""

    def __init__(self, side: str, name: str) -> None:
        super().__init__()
        self.side, self.name = side, name

    def forward(self, student: gkd.View, teacher: gkd.View) -> Tensor:
        view = student if self.side == "student" else teacher
        with torch.no_grad():
            getattr(view, self.name).add_(1.0)
        return (student.logits - teacher.logits).square().mean()


class ChangingNetwork(nn.Module):
    """Begins with an activation in place."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(5, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


@pytest.mark.parametrize("side", ["student", "teacher"])
@pytest.mark.parametrize("name", ["logits", "features"])
def test_a_loss_that_changes_a_view_is_named(side: str, name: str) -> None:
    taps = SAME_TAPS if name == "features" else {}
    term = gkd.Term(Changing(side, name), name="odd", **taps)
    with pytest.raises(ParameterError, match=f"'odd'.*changes {name} of the view of '{side}'"):
        distiller_of(Network(), Network(), term, gkd.Term(Squared()))(batch_of())


def test_a_kept_answer_of_a_teacher_cannot_be_changed_in_silence() -> None:
    sample = gkd.Sample(id="a", x=torch.randn(6, 5), y=torch.randint(3, (6,)))
    batch, cache = collate([sample]), TeacherCache()
    term = gkd.Term(Changing("teacher", "logits"))
    distiller = distiller_of(Network(), Network(), term, teacher_cache=cache)
    distiller.remember(batch)
    with pytest.raises(ParameterError, match="in place"):
        distiller(batch)


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_a_network_that_changes_its_inputs_is_named(role: str) -> None:
    networks = {"teacher": Network(), "student": Network(), role: ChangingNetwork()}
    distiller = distiller_of(networks["teacher"], networks["student"], gkd.Term(Squared()))
    batch: SimpleNamespace = batch_of()
    with pytest.raises(ParameterError, match=f"the {role} changes x of the batch in place"):
        distiller(batch)
