"""MuGSI against plain loops, and the clusters it finds."""

import math

import pytest
import torch
from distiller_problems import SAME_TAPS, Network, distiller_of

import gkd
from gkd import Graph, Step, View
from gkd.errors import ParameterError
from gkd.functional.walks import random_walks
from gkd_graphs.louvain import communities
from gkd_graphs.mugsi import MuGSI


def wave(rows, columns, slope, start):
    numbers = torch.arange(rows * columns, dtype=torch.float64)
    return (numbers * slope + start).sin().reshape(rows, columns)


SIZES = (5, 4, 3)
BATCH = torch.arange(3).repeat_interleave(torch.tensor(SIZES))
EDGES = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 0, 3, 2, 0, 6, 5, 8, 7, 10]])
GRAPH = Graph(EDGES, 12)
CLUSTERS = torch.tensor([0, 0, 1, 2, 2, 5, 5, 7, 7, 0, 1, 2])  # the second graph has two alone
STUDENT = View(features=wave(12, 3, 0.9, 0.1), graph=GRAPH, batch=BATCH)
TEACHER = View(features=2 * wave(12, 4, 1.3, 0.7), graph=GRAPH, batch=BATCH)
ALONE = {"graph": 0.0, "cluster": 0.0, "walk": 0.0}


def value(loss, seed=3):
    loss.build(STUDENT, TEACHER)
    step = Step.of(STUDENT, nodes=torch.arange(12), inputs={"c": CLUSTERS}, seed=seed)
    return loss(STUDENT, TEACHER, step=step)


def added(rows):
    return [sum(column) for column in zip(*rows, strict=True)]


def unit(row):
    norm = math.sqrt(sum(x * x for x in row))
    return [x / norm for x in row]


def dot(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_graphs_of_plain_loops():
    loss = MuGSI(**{**ALONE, "graph": 1.5})
    result, total = value(loss), 0.0
    for number in range(3):
        s, t = (added(z.features[number == BATCH].tolist()) for z in (STUDENT, TEACHER))
        mapped = [
            dot(row, s) + b
            for row, b in zip(loss.map.weight.tolist(), loss.map.bias.tolist(), strict=True)
        ]
        total += sum((a - b) ** 2 for a, b in zip(unit(mapped), unit(t), strict=True)) / 4
    assert result.item() == pytest.approx(1.5 * total / 3, rel=1e-9)


def test_clusters_of_plain_loops():
    total = 0.0
    for number in (0, 2):
        vectors = []
        for cluster in CLUSTERS[number == BATCH].unique():
            chosen = (number == BATCH) & (cluster == CLUSTERS)
            vectors.append([unit(added(z.features[chosen].tolist())) for z in (STUDENT, TEACHER)])
        for s, t in vectors:
            total += sum((dot(s, a) - dot(t, b)) ** 2 for a, b in vectors) / 2
    result = value(MuGSI(**{**ALONE, "cluster": 0.5}, clusters="c"))
    assert result.item() == pytest.approx(0.5 * total / 3, rel=1e-9)


def test_walks_of_plain_loops():
    generator = torch.Generator().manual_seed(3)
    starts = torch.tensor([0, 5, 9]).repeat_interleave(2)
    sizes = torch.tensor(SIZES).repeat_interleave(2)
    starts = starts + (torch.rand(6, generator=generator, dtype=torch.float64) * sizes).long()
    total = 0.0
    for start, *others in random_walks(GRAPH, starts, 4, generator).tolist():
        p, q = (
            torch.tensor([dot(z.features[start], z.features[j]) for j in others]).softmax(0)
            for z in (STUDENT, TEACHER)
        )
        total += float((q * (q / p).log()).sum()) / 2
    result = value(MuGSI(**{**ALONE, "walk": 1.0}, walks=2, length=4))
    assert result.item() == pytest.approx(total / 3, rel=1e-5)


def test_the_parts_add_up():
    torch.manual_seed(0)
    whole = MuGSI(graph=1.0, cluster=2.0, walk=0.5)
    expected = value(whole)
    parts = []
    for name, weight in (("graph", 1.0), ("cluster", 2.0), ("walk", 0.5)):
        loss = MuGSI(**{**ALONE, name: weight})
        loss.build(STUDENT, TEACHER)
        if loss.map is not None:
            loss.map.load_state_dict(whole.map.state_dict())
        parts.append(value(loss))
    torch.testing.assert_close(sum(parts), expected)


class TestClusters:
    def test_cliques_joined_by_an_edge(self):
        clique = torch.combinations(torch.arange(4)).T
        edges = torch.cat([clique, clique + 4, torch.tensor([[3], [4]])], dim=1)
        graph = Graph(torch.cat([edges, edges.flip(0)], dim=1), 8)
        found = communities(graph, torch.tensor([0, 8]), torch.arange(8))
        assert found.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]

    def test_the_order_of_rows_and_the_rest_of_the_batch_mean_nothing(self):
        random = torch.Generator().manual_seed(0)
        edges = torch.randint(30, (2, 60), generator=random)
        keys = torch.randperm(30, generator=random)
        alone = communities(Graph(edges, 30), torch.tensor([0, 30]), keys)
        order = torch.randperm(30, generator=random)
        shuffled = Graph(order.argsort()[edges], 30)
        moved = communities(shuffled, torch.tensor([0, 30]), keys[order])
        assert moved.tolist() == alone[order].tolist()
        twice = Graph(torch.cat([edges + 3, torch.tensor([[0, 1], [1, 0]])], dim=1), 33)
        both = communities(twice, torch.tensor([0, 3, 33]), torch.cat([torch.arange(3), keys]))
        assert (both[3:] - both[3:].min()).tolist() == alone.tolist()
        assert not set(both[:3].tolist()) & set(both[3:].tolist())

    def test_no_nodes(self):
        empty = Graph(torch.zeros(2, 0, dtype=torch.int64), 0)
        none = torch.zeros(0, dtype=torch.int64)
        assert communities(empty, torch.tensor([0, 0]), none).shape == (0,)


def test_through_a_distiller():
    torch.manual_seed(0)
    samples = [
        gkd.Sample(
            id=f"s{i}",
            x=torch.randn(size, 5),
            edge_index=torch.stack([torch.arange(size), torch.arange(size).roll(1)]),
            y=torch.zeros(size, dtype=torch.int64),
        )
        for i, size in enumerate((6, 7))
    ]
    batch, student = gkd.collate(samples), Network().eval()
    distiller = distiller_of(Network(width=7), student, gkd.Term("mugsi", **SAME_TAPS))
    distiller.prepare(batch)
    distiller(batch).terms["mugsi"].backward()
    assert student.layers[0].weight.grad.abs().sum() > 0


def test_what_is_missing_or_does_not_fit_is_said():
    step = Step.of(STUDENT)
    with pytest.raises(ParameterError, match="mugsi: the map does not exist yet"):
        MuGSI()(STUDENT, TEACHER, step=step)
    with pytest.raises(
        ParameterError, match=r"clusters='c': expected a number for each of 12 .*Non"
    ):
        MuGSI(graph=0.0, clusters="c")(STUDENT, TEACHER, step=step)
    wrong = Step.of(STUDENT, inputs={"c": torch.zeros(3)})
    with pytest.raises(ParameterError, match=r"int64, got torch.float32 of shape \[3\]"):
        MuGSI(graph=0.0, clusters="c")(STUDENT, TEACHER, step=wrong)
    loss = MuGSI()
    loss.build(STUDENT, TEACHER)
    with pytest.raises(ParameterError, match="built for features of widths 3 and 4, got 4"):
        loss(TEACHER, TEACHER, step=step)
    across = View(
        features=torch.ones(4, 3),
        graph=Graph(torch.tensor([[0], [3]]), 4),
        batch=torch.tensor([0, 0, 1, 1]),
    )
    with pytest.raises(ParameterError, match="an edge joins nodes of two graphs"):
        MuGSI(graph=0.0)(across, across, step=Step.of(across))
    with pytest.raises(ParameterError, match="is not over the 12 rows"):
        loss(View(features=STUDENT.features, graph=Graph(EDGES, 13)), TEACHER, step=step)
