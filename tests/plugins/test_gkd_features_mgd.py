"""MGD against plain loops over nodes and their neighbours."""

import pytest
import torch

from gkd import Graph, Step, View
from gkd.errors import ParameterError
from gkd_features.mgd import MGD

EDGES = torch.tensor([[0, 1, 2, 3, 3], [1, 2, 0, 0, 3]])
SIZE, NARROW, WIDE = 5, 3, 4  # node 4 has no edges


def views(edges=EDGES):
    random = torch.Generator().manual_seed(0)
    graph = Graph(edges, SIZE)
    return [
        View(torch.zeros(SIZE, 2), torch.randn(SIZE, width, generator=random).double(), graph)
        for width in (NARROW, WIDE)
    ]


def built(loss, pair):
    loss.build(*pair)
    return loss


def linear(module, row):
    bias = [0.0] * module.out_features if module.bias is None else module.bias.tolist()
    return [
        sum(w * z for w, z in zip(weights, row, strict=True)) + b
        for weights, b in zip(module.weight.tolist(), bias, strict=True)
    ]


def neighbourhood(layer, rows, edges):
    result = []
    for node, row in enumerate(rows):
        near = [rows[j] for j, i in zip(*edges.tolist(), strict=True) if i == node]
        mean = [sum(column) / len(near) for column in zip(*near, strict=True)] if near else None
        own = linear(layer.own, row)
        other = linear(layer.neighbours, mean or [0.0] * len(row))
        result.append([a + b for a, b in zip(own, other, strict=True)])
    return result


def by_hand(loss, pair, shown, edges=EDGES):
    rows = [linear(loss.maps["align"], row) for row in pair[0].features.tolist()]
    rows = [row if seen else [0.0] * WIDE for row, seen in zip(rows, shown, strict=True)]
    rows = neighbourhood(loss.maps["first"], rows, edges)
    rows = neighbourhood(loss.maps["second"], [[max(z, 0.0) for z in row] for row in rows], edges)
    pairs = zip(rows, pair[1].features.tolist(), strict=True)
    return [sum((a - b) ** 2 for a, b in zip(*each, strict=True)) for each in pairs]


def test_without_a_mask_the_teacher_is_restored_from_all_nodes():
    pair = views()
    loss = built(MGD(mask=0.0), pair)
    expected = by_hand(loss, pair, [True] * SIZE)
    got = loss(*pair, step=Step.of(pair[0]))
    assert got.item() == pytest.approx(sum(expected) / SIZE, rel=1e-9)
    loss.per_row = True
    assert loss(*pair, step=Step.of(pair[0])).tolist() == pytest.approx(expected, rel=1e-9)


def test_some_nodes_are_hidden_others_in_each_step():
    pair = views()
    loss = built(MGD(mask=0.5, per_row=True), pair)
    possible = {
        tuple(bool(number >> node & 1) for node in range(SIZE)): None for number in range(2**SIZE)
    }
    found = []
    for seed in range(12):
        got = loss(*pair, step=Step.of(pair[0], seed=seed)).tolist()
        found += [
            shown for shown in possible
            if by_hand(loss, pair, shown) == pytest.approx(got, rel=1e-9)
        ]  # fmt: skip
    assert len(found) == 12
    assert len(set(found)) > 6
    assert 0.25 < sum(map(sum, found)) / (12 * SIZE) < 0.75


def test_what_is_hidden_goes_with_the_name_of_a_node():
    pair = views(EDGES[:, :0])
    names = torch.tensor([5, 17, 2, 40, 8])
    loss = built(MGD(per_row=True), pair)
    step = Step.of(pair[0], nodes=names)
    whole = loss(*pair, step=step)
    some = torch.tensor([0, 2, 3])
    part = loss(*(view.rows(some) for view in pair), step=Step.of(pair[0], nodes=names).rows(some))
    torch.testing.assert_close(part, whole[some])


def test_graphs_of_both_networks_are_taken_together():
    pair = views()
    parts = [
        View(None, view.features, Graph(EDGES[:, rows], SIZE))
        for view, rows in zip(pair, (slice(0, 3), slice(2, 5)), strict=True)
    ]
    loss = built(MGD(), pair)
    assert loss(*parts, step=Step.of(pair[0])) == loss(*pair, step=Step.of(pair[0]))


def test_what_is_missing_or_does_not_fit_is_said():
    student, teacher = views()
    loss, step = MGD(), Step.of(student)
    with pytest.raises(ParameterError, match="mgd: the maps do not exist yet"):
        loss(student, teacher, step=step)
    loss.build(student, teacher)
    with pytest.raises(ParameterError, match="mgd compares edges, but a view without a graph"):
        loss(View(features=student.features), teacher, step=step)
    with pytest.raises(ParameterError, match="mgd: built for features of widths 3 and 4, got 4"):
        loss(teacher, student, step=step)
    small = Graph(EDGES[:, :3], 4)
    with pytest.raises(ParameterError, match="is not over the 5 rows of the features"):
        loss(*(View(features=v.features, graph=small) for v in (student, teacher)), step=step)
    with pytest.raises(ParameterError, match="'mask' must be"):
        MGD(mask=1.0)
