"""Segmentation: rows of points and clouds with channels first are one and the same."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

import gkd
from gkd_tasks.segmentation import Segmentation


class PerPoint(nn.Module):
    """A network with channels first, as public DGCNNs have them."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv1d(3, 4, 1)

    def forward(self, pos):
        return self.layer(pos)


def test_channels_first_gives_what_rows_give():
    torch.manual_seed(0)
    logits, y = torch.randn(2, 4, 5, dtype=torch.float64), torch.randint(4, (2, 5))
    task = Segmentation()
    rows, labels = task.examples(logits, SimpleNamespace(y=y), "y")
    task.check(rows, labels)
    torch.testing.assert_close(task.loss(rows, labels), nn.functional.cross_entropy(logits, y))
    flat, same = task.examples(logits, SimpleNamespace(y=y.flatten()), "y")
    assert torch.equal(rows, flat)
    assert torch.equal(labels, same)
    for cloud in range(2):
        for point in range(5):
            assert torch.equal(rows[5 * cloud + point], logits[cloud, :, point])


@pytest.mark.parametrize(
    ("outputs", "y", "message"),
    [
        (torch.zeros(2, 5, 4), torch.zeros(2, 5).long(), "are to be transposed"),
        (torch.zeros(5, 1), torch.zeros(5).long(), "a column for each of two classes or more"),
        (torch.zeros(5, 3), torch.full((5,), 3), "class numbers from 0 to 2"),
        (torch.zeros(5, 3), torch.full((5,), -1), "ignore_label=-1 leaves such rows out"),
        (torch.zeros(5, 3), torch.zeros(5), "expected int64"),
    ],
)
def test_labels_that_do_not_fit_are_refused(outputs, y, message):
    task = Segmentation()
    with pytest.raises(gkd.DataError, match=message):
        task.check(*task.examples(outputs, SimpleNamespace(y=y), "y"))


def test_points_of_the_ignored_label_count_nowhere():
    torch.manual_seed(0)
    logits, y = torch.randn(6, 3), torch.tensor([0, 255, 2, 1, 255, 0])
    task, kept = Segmentation(ignore_label=255), y != 255
    task.check(logits, y)
    torch.testing.assert_close(task.loss(logits, y), Segmentation().loss(logits[kept], y[kept]))
    one, other = task.metrics(3), Segmentation().metrics(3)
    one.update(logits, y)
    other.update(logits[kept], y[kept])
    assert one.compute() == other.compute()


def test_a_distiller_trains_by_it_and_kd_compares_all_points():
    batch = SimpleNamespace(pos=torch.randn(2, 3, 5), y=torch.randint(4, (2, 5)))
    teacher, student = PerPoint(), PerPoint()
    distiller = gkd.Distiller(
        teacher, student, [gkd.Term("kd", params={"temperature": 1.0})],
        task="segmentation", inputs=("pos",),
    )  # fmt: skip
    report = distiller(batch)
    torch.testing.assert_close(
        report.task, nn.functional.cross_entropy(student(batch.pos), batch.y)
    )
    ours, theirs = (
        network(batch.pos).log_softmax(1).transpose(1, 2).flatten(0, 1)
        for network in (student, teacher)
    )
    expected = nn.functional.kl_div(ours, theirs, log_target=True, reduction="batchmean")
    torch.testing.assert_close(report.terms["kd"], expected)
