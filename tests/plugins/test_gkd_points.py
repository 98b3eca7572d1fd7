"""PointDistiller against plain loops."""

import math

import pytest
import torch
from distiller_problems import SAME_TAPS, Network, batch_of, distiller_of

import gkd
from gkd import Step, View
from gkd.errors import ParameterError
from gkd_points.pointdistiller import PointDistiller


def wave(rows, columns, slope, start):
    numbers = torch.arange(rows * columns, dtype=torch.float64)
    return (numbers * slope + start).sin().reshape(rows, columns)


SIZES = (6, 2, 5)
BATCH = torch.arange(3).repeat_interleave(torch.tensor(SIZES))
POSITIONS = wave(13, 3, 2.3, 0.4)
STUDENT = View(features=wave(13, 3, 0.9, 0.1), batch=BATCH)
TEACHER = View(features=2 * wave(13, 4, 1.3, 0.7), batch=BATCH)


def built(**params):
    torch.manual_seed(0)
    loss = PointDistiller(**{"points": 3, "neighbours": 4, "width": 5, **params})
    loss.build(STUDENT, TEACHER)
    return loss


def value(loss):
    step = Step.of(STUDENT, inputs={"pos": POSITIONS})
    return loss(STUDENT, TEACHER, step=step)


def groups(space):
    """Of each cloud, the groups around its most important points."""
    start = 0
    for size in SIZES:
        rows = range(start, start + size)
        importance = {i: max(TEACHER.features[i].tolist()) for i in rows}
        centres = sorted(rows, key=lambda i: -importance[i])[:3]
        total = sum(math.exp(importance[i] / 0.5) for i in centres)
        yield [
            (
                i,
                sorted(rows, key=lambda j: math.dist(space[i].tolist(), space[j].tolist()))[:4],
                len(centres) * math.exp(importance[i] / 0.5) / total,
            )
            for i in centres
        ]
        start += size


@pytest.mark.parametrize("positions", [None, "pos"])
def test_plain_loops(positions):
    space = TEACHER.features if positions is None else POSITIONS
    clouds = list(groups(space))
    pairs = [(i, j) for cloud in clouds for i, near, _ in cloud for j in near]
    loss = built(temperature=0.5, positions=positions)
    described = []
    for name, view in (("student", STUDENT), ("teacher", TEACHER)):
        rows = torch.stack([torch.cat([view.features[j], view.features[i]]) for i, j in pairs])
        mapped = rows @ loss.layers[name].linear.weight.T
        variance = mapped.var(0, correction=0)
        described.append(((mapped - mapped.mean(0)) / (variance + 1e-5).sqrt()).relu())
    squares = dict(zip(pairs, (described[0] - described[1]).square().mean(1).tolist(), strict=True))
    expected = 0.0
    for cloud in clouds:
        total = sum(w * squares[i, j] / len(near) for i, near, w in cloud for j in near)
        expected += 2 * total / len(cloud) / 3
    assert value(loss).item() == pytest.approx(expected, rel=1e-8)


def test_a_single_point():
    student, teacher = (View(features=view.features[:1]) for view in (STUDENT, TEACHER))
    result = built()(student, teacher, step=Step.of(student))
    assert result.isfinite()


def test_no_points():
    student, teacher = (View(features=view.features[:0]) for view in (STUDENT, TEACHER))
    assert built()(student, teacher, step=Step.of(student)) == 0


def test_through_a_distiller():
    torch.manual_seed(0)
    batch, student = batch_of(), Network().eval()
    term = gkd.Term("pointdistiller", params={"points": 2, "neighbours": 3}, **SAME_TAPS)
    distiller = distiller_of(Network(width=7), student, term).prepare(batch)
    distiller(batch).terms["pointdistiller"].backward()
    assert student.layers[0].weight.grad.abs().sum() > 0
    for layer in distiller.losses["pointdistiller"].layers.values():
        assert layer.linear.weight.grad.abs().sum() > 0


def test_what_is_missing_or_does_not_fit_is_said():
    with pytest.raises(ParameterError, match="pointdistiller: the layers do not exist yet"):
        value(PointDistiller())
    with pytest.raises(ParameterError, match="built for features of widths 3 and 4, got 4"):
        built()(TEACHER, TEACHER, step=Step.of(TEACHER))
    with pytest.raises(
        ParameterError, match=r"positions='xyz': expected a row for each of 13 .*Non"
    ):
        value(built(positions="xyz"))
    with pytest.raises(ParameterError, match="pointdistiller compares features"):
        built()(View(logits=torch.zeros(2, 2)), TEACHER, step=None)
