"""A teacher whose logits nobody needs stops at its last tap."""

import pytest
import torch
from distiller_problems import Network, Recorder, batch_of, distiller_of, hooks_of
from torch import Tensor, nn

import gkd
from gkd.cache.teacher_cache import TeacherCache
from gkd.errors import TapError

TAPS = {"student": "layers.0", "teacher": "layers.0"}


class Features(Recorder):
    """Declares that it looks at nothing but features."""

    uses = ("features",)


class Headed(Network):
    """Counts how often its last layer ran."""

    heads = 0

    def forward(self, x: Tensor) -> Tensor:
        try:
            hidden = self.layers[0](x).relu()
        except Exception:
            raise AssertionError("the end of a pass is no error") from None
        self.heads += 1
        return self.layers[1](hidden)


def heads_after(steps: int, *losses: gkd.AbstractLoss, **taps: str) -> int:
    teacher, terms = Headed(), [gkd.Term(loss, **(taps or TAPS)) for loss in losses]
    distiller = distiller_of(teacher, Network(), *terms)
    for _ in range(steps):
        distiller(batch_of())
    assert hooks_of(teacher) == 0
    return teacher.heads


def test_after_the_first_pass_the_head_is_left_out() -> None:
    loss = Features()
    assert heads_after(4, loss, Features()) == 1
    assert loss.teacher.logits is None
    assert loss.teacher.features.shape == (6, 4)
    assert loss.student.logits is not None


@pytest.mark.parametrize("others", [[], [Features()]])
def test_logits_that_may_be_looked_at_are_there(others: list[gkd.AbstractLoss]) -> None:
    undeclared = Recorder()
    assert heads_after(3, *others, undeclared) == 3
    assert undeclared.teacher.logits.shape == (6, 3)


def test_a_term_without_taps_needs_the_logits() -> None:
    assert heads_after(3, gkd.create("loss", "kd"), student=None, teacher=None) == 3


def test_a_subclass_of_a_loss_that_declares_inherits_the_declaration() -> None:
    class Special(Features):
        pass

    assert heads_after(3, Special()) == 1


def test_the_cache_keeps_no_logits_that_nobody_needs() -> None:
    distiller = distiller_of(
        Headed(), Network(), gkd.Term(Features(), **TAPS), teacher_cache=TeacherCache()
    )
    sample = gkd.Sample(id="a", **vars(batch_of()))
    distiller(gkd.collate([sample]))
    assert distiller.teacher_cache.num_bytes == 4 * 6 * 4


class Cell(nn.Module):
    """Calls one layer as often as it is told."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.cell, self.head, self.calls, self.heads = nn.Linear(5, 5), nn.Linear(5, 3), calls, 0

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.calls):
            x = self.cell(x)
        self.heads += 1
        return self.head(x)


def test_the_last_of_several_calls_is_waited_for() -> None:
    teacher, loss = Cell(3), Features()
    term = gkd.Term(loss, student="cell", teacher="cell#1")
    distiller = distiller_of(teacher, Cell(1), term)
    data = batch_of()
    for _ in range(3):
        distiller(data)
        torch.testing.assert_close(loss.teacher.features, teacher.cell(teacher.cell(data.x)))
    assert teacher.heads == 1


def test_what_a_tap_does_wrong_is_still_told() -> None:
    teacher = Cell(1)
    distiller = distiller_of(teacher, Cell(1), gkd.Term(Features(), student="cell", teacher="cell"))
    distiller(batch_of())
    teacher.calls = 0
    with pytest.raises(TapError, match="never fired"):
        distiller(batch_of())
    with pytest.raises(TapError, match="fired 2 times"):
        distiller_of(Cell(2), Cell(1), gkd.Term(Features(), student="cell", teacher="cell"))(
            batch_of()
        )
