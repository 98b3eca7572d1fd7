"""Teachers that compute in another precision than their students."""

import pytest
import torch
from torch import Tensor, nn

import gkd
from gkd import AbstractLoss, ParameterError, Sample, Term, View
from gkd.cache.teacher_cache import TeacherCache


class Recording(AbstractLoss):
    """Remembers what it was given of the teacher."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[View] = []

    def forward(self, student: View, teacher: View) -> Tensor:
        self.seen.append(teacher)
        return (student.logits - teacher.logits).square().mean()


def network(log: list[torch.dtype], width: int = 8) -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(3, width), nn.Linear(width, 2))
    made[0].register_forward_hook(lambda _, given, out: log.append(out.dtype))
    return made


@pytest.fixture
def batch() -> gkd.Batch:
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    return gkd.collate([Sample(id="a", x=x, y=torch.tensor([0, 1] * 3))])


def distiller(dtype, teachers, students, loss, cache=None) -> gkd.Distiller:
    return gkd.Distiller(
        network(teachers), network(students, 4),
        [Term(loss)],
        task="single-label", inputs=("x",), teacher_cache=cache, teacher_autocast=dtype,
    )  # fmt: skip


@pytest.mark.parametrize("around", [None, torch.bfloat16])
@pytest.mark.parametrize("dtype", [None, torch.float32, torch.bfloat16])
def test_the_teacher_alone_computes_in_its_precision(batch, dtype, around):
    teachers, students, loss = [], [], Recording()
    made = distiller(dtype, teachers, students, loss)
    with torch.autocast("cpu", torch.bfloat16, enabled=around is not None):
        made(batch).total.backward()
    assert set(students) == {around or torch.float32}
    assert set(teachers) == {dtype or around or torch.float32}
    (seen,) = loss.seen
    if dtype is not None:  # whatever it computed in, losses see float32
        assert seen.logits.dtype == torch.float32
    expected = network([])
    with torch.autocast("cpu", torch.bfloat16, enabled=set(teachers) == {torch.bfloat16}):
        torch.testing.assert_close(seen.logits.float(), expected(batch.x).float().detach())


def test_a_cache_keeps_the_answers_of_each_precision_apart(batch, tmp_path):
    cache, seen = TeacherCache(2**20, tmp_path, "key"), []
    teacher = network([])
    for dtype in (torch.float32, torch.bfloat16, torch.float32, torch.bfloat16):
        loss = Recording()
        made = gkd.Distiller(
            teacher, network([], 4), [Term(loss)], task="single-label", inputs=("x",),
            teacher_cache=cache, teacher_autocast=dtype,
        )  # fmt: skip
        made(batch)
        seen.append(loss.seen[0].logits)
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[1], seen[3])
    assert not torch.equal(seen[0], seen[1])


def test_the_average_of_the_student_computes_as_the_student(batch):
    teachers, students = [], []
    made = gkd.Distiller(
        network(teachers), network(students, 4), [Term(Recording(), teacher="ema:")],
        task="single-label", inputs=("x",), ema=0.5, teacher_autocast=torch.bfloat16,
    )  # fmt: skip
    made(batch)
    assert set(students) == {torch.float32}


def test_tapped_features_are_float32_too(batch):
    made = gkd.Distiller(
        network([]), network([], 8), [Term("fitnet", student="0", teacher="0")],
        task="single-label", inputs=("x",), teacher_autocast=torch.bfloat16,
    ).prepare(batch)  # fmt: skip
    outputs = made._fixed["teacher"].answer(gkd.data.batch_nodes.BatchNodes(batch), None)
    assert {features.dtype for features in outputs.features.values()} == {torch.float32}


def test_a_dtype_that_is_none_of_them_is_named():
    with pytest.raises(ParameterError, match=r"teacher_autocast: expected .* got 'bf16'"):
        distiller("bf16", [], [], Recording())
