"""VQGraph against plain loops, and what becomes of its codes."""

import copy
import math

import pytest
import torch
from distiller_problems import SAME_TAPS, Network, batch_of, distiller_of

import gkd
from gkd import View
from gkd.errors import ParameterError
from gkd_graph_to_mlp.vqgraph import VQGraph


def wave(rows, columns, slope, start):
    numbers = torch.arange(rows * columns, dtype=torch.float64)
    return 2 * (numbers * slope + start).sin().reshape(rows, columns)


STUDENT, TEACHER = View(features=wave(6, 3, 0.9, 0.1)), View(features=wave(6, 4, 1.3, 0.7))


def built(**params):
    loss = VQGraph(**{"codes": 3, "momentum": 1.0, **params})
    torch.manual_seed(0)
    loss.build(STUDENT, TEACHER)
    return loss


def softmax(row):
    total = sum(math.exp(value) for value in row)
    return [math.exp(value) / total for value in row]


def test_plain_loops():
    loss, expected = built(temperature=0.7), []
    codes = loss.codebook.tolist()
    mapped = (STUDENT.features @ loss.map.weight.T + loss.map.bias).tolist()
    for ours, theirs in zip(mapped, TEACHER.features.tolist(), strict=True):
        p, q = (softmax([-math.dist(z, code) / 0.7 for code in codes]) for z in (ours, theirs))
        total = sum(b * math.log(b / a) for a, b in zip(p, q, strict=True))
        expected.append(0.7**2 * total)
    assert loss(STUDENT, TEACHER).tolist() == pytest.approx(expected, rel=1e-9)


def test_the_first_codes_are_means_of_what_is_nearest_to_them():
    loss = built(iterations=30)
    nearest = torch.cdist(TEACHER.features, loss.codebook).argmin(1)
    for code in nearest.unique():
        mean = TEACHER.features[nearest == code].mean(0)
        torch.testing.assert_close(loss.codebook[code], mean)


def test_codes_follow_the_teacher():
    loss = built(momentum=0.75)
    old, sizes = loss.codebook.clone(), loss.sizes.clone()
    moved = View(features=TEACHER.features + 0.1)
    nearest = torch.cdist(moved.features, old).argmin(1)
    loss(STUDENT, moved)
    for code in range(3):
        near = moved.features[nearest == code]
        if not len(near):
            torch.testing.assert_close(loss.codebook[code], old[code])
            continue
        size = 0.75 * sizes[code] + 0.25 * len(near)
        mean = (0.75 * sizes[code] * old[code] + 0.25 * near.sum(0)) / size
        torch.testing.assert_close(loss.codebook[code], mean)
        torch.testing.assert_close(loss.sizes[code], size)


@pytest.mark.parametrize("how", ["eval", "no_grad", "given"])
def test_looking_moves_no_code(how):
    loss = built(momentum=1.0 if how == "given" else 0.5).train(how != "eval")
    before = copy.deepcopy(loss.state_dict())
    with torch.set_grad_enabled(how != "no_grad"):
        loss(STUDENT, View(features=TEACHER.features + 1))
    for name, tensor in loss.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_more_codes_than_rows():
    loss = built(codes=9)
    assert loss.codebook.isfinite().all()
    assert loss(STUDENT, TEACHER).isfinite().all()


def test_blocks_of_rows_give_the_same(monkeypatch):
    loss = built()
    expected = loss(STUDENT, TEACHER)
    monkeypatch.setattr("gkd_graph_to_mlp.vqgraph._ASSIGNMENTS", 6)
    torch.testing.assert_close(loss(STUDENT, TEACHER), expected)


def test_a_resumed_one_has_its_codes():
    batch, student = batch_of(), Network().eval()
    term = gkd.Term("vqgraph", params={"codes": 3}, **SAME_TAPS)
    first, second = (distiller_of(Network(width=7), student, term).prepare(batch) for _ in range(2))
    first(batch)
    second.load_state_dict(first.state_dict())
    ours, theirs = (distiller.losses["vqgraph"].codebook for distiller in (first, second))
    assert torch.equal(ours, theirs)


def test_what_is_missing_or_does_not_fit_is_said():
    with pytest.raises(ParameterError, match="vqgraph: the map and the codes do not exist yet"):
        VQGraph()(STUDENT, TEACHER)
    with pytest.raises(ParameterError, match="built for features of widths 3 and 4, got 4"):
        built()(TEACHER, TEACHER)
    with pytest.raises(ParameterError, match="vqgraph compares features"):
        built()(View(logits=torch.zeros(2, 2)), TEACHER)
    with pytest.raises(ParameterError, match="did you mean 'official-code'"):
        VQGraph(variant="official")
