"""Losses along edges against float64 references that loop over nodes and neighbours."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import log_softmax

import gkd
import gkd_structure.hgmd
from gkd import Graph, ParameterError, Step, View
from gkd.functional.draws import mixed_names, uniform_draws
from gkd.testing.memory_watch import MemoryWatch

# 0 and 1 have each other, 2 has itself and 1, 3 has all, 4 has none.
EDGES = torch.tensor([[0, 1, 1, 2, 0, 1, 2, 4], [1, 0, 2, 2, 3, 3, 3, 3]])
NODES = torch.tensor([7, 3, 20, 11, 5])


def problem(seed: int = 0, classes: int = 3) -> tuple[View, View]:
    random = torch.Generator().manual_seed(seed)
    student, teacher = (
        View(
            logits=scale * torch.randn(5, classes, generator=random, dtype=torch.float64),
            graph=Graph(EDGES, 5),
        )
        for scale in (1, 2)
    )
    student.logits.requires_grad_()
    return student, teacher


def neighbours(node: int) -> list[int]:
    found = {s for s, t in EDGES.T.tolist() if t == node and s != node}
    return sorted(found)


def divergence(student: Tensor, likely: Tensor) -> Tensor:
    return (likely * (likely.log() - log_softmax(student, dim=0))).sum()


def require_equal(loss, views, expected: list[Tensor], **asked) -> None:
    value = loss(*views, **asked)
    torch.testing.assert_close(value, torch.stack(expected))
    gradients = [
        torch.autograd.grad(v.sum(), views[0].logits)[0] for v in (value, torch.stack(expected))
    ]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_ff_g2m_low_is_the_formula(temperature):
    views = problem()
    s, t = (view.logits / temperature for view in views)
    pairs = sum(1 + len(neighbours(i)) for i in range(5))
    expected = [
        sum(divergence(s[i], t[j].softmax(0)) for j in [i, *neighbours(i)]) * 5 / pairs
        for i in range(5)
    ]
    require_equal(gkd.create("loss", "ff-g2m-low", temperature=temperature), views, expected)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_ff_g2m_high_is_the_formula(temperature):
    views = problem()
    s, t = (view.logits / temperature for view in views)
    pairs = sum(len(neighbours(i)) for i in range(5))
    expected = [
        0 * s.sum()
        + sum(
            divergence((s[i] - s[j]).abs(), (t[i] - t[j]).abs().softmax(0)) for j in neighbours(i)
        )
        * 5
        / pairs
        for i in range(5)
    ]
    require_equal(gkd.create("loss", "ff-g2m-high", temperature=temperature), views, expected)


def relative_entropies(logits: Tensor) -> list[float]:
    likely = logits.softmax(1).tolist()
    entropies = [-sum(p * math.log(p) for p in row) for row in likely]
    return [each / max(entropies) for each in entropies]


@pytest.mark.parametrize("scheme", ["mixup", "weight", "plain"])
@pytest.mark.parametrize(("epoch", "warmup"), [(0, 1), (0, 0), (30, 1), (9000, 1)])
def test_hgmd_is_the_formula(scheme, epoch, warmup, monkeypatch):
    views = problem()
    step = Step.of(views[0], nodes=NODES, epoch=epoch)
    seed = int(torch.randint(2**62, (1,), generator=torch.Generator().manual_seed(0)))
    s, t = (view.logits / 1.5 for view in views)
    ours, theirs = (relative_entropies(view.logits.detach()) for view in views)
    likely = views[1].logits.softmax(1)
    alpha = 4 * 100 ** -min(epoch / 99, 1)
    shares = dict.fromkeys(map(tuple, EDGES.T.tolist()), 0.3) | {(1, 3): 0.9, (0, 1): 0.1}
    ordered = [shares[tuple(edge)] for edge in views[0].graph.edge_index.T.tolist()]
    monkeypatch.setattr(
        gkd_structure.hgmd.np.random,
        "default_rng",
        lambda found: Shares(ordered) if found == seed else None,
    )
    values, pairs = [], 0
    for i in range(5):
        weights, near = {i: 1.0}, {i: 1.0}
        for j in neighbours(i):
            cosine = float(likely[i] @ likely[j] / likely[i].norm() / likely[j].norm())
            p = 1 - math.exp(-alpha * cosine * math.sqrt(theirs[i] * ours[i]) / theirs[j])
            draw = uniform_draws(mixed_names(NODES[i], NODES[j])[None], 1, seed)[0, 0]
            if epoch < warmup or draw < p:
                weights[j] = 1.0 if epoch < warmup else p
                near[j] = cosine * weights[j]
        pairs += len(weights)
        value = 0
        for j, p in weights.items():
            target, share = t[j].softmax(0), 1.0
            if scheme == "mixup":
                w = p * shares.get((j, i), 0)
                target = (1 - w) * t[i].softmax(0) + w * target
            if scheme == "weight":
                share = len(weights) * near[j] / sum(near.values())
            value = value + share * divergence(s[i], target)
        values.append(value)
    loss = gkd.create(
        "loss", "hgmd", scheme=scheme, alpha=4.0, temperature=1.5, epochs=100, warmup=warmup
    )
    require_equal(loss, views, [value * 5 / pairs for value in values], step=step)


class Shares:
    """Draws what it is given."""

    def __init__(self, shares):
        self.shares = torch.tensor(shares, dtype=torch.float64)

    def beta(self, one, other, count):
        assert (one, other, count) == (0.3, 0.3, len(self.shares))
        return self.shares.numpy()


def test_hgmd_teaches_harder_nodes_by_more_neighbours():
    hub = Graph(torch.stack([torch.arange(1, 300), torch.zeros(299, dtype=torch.int64)]), 300)
    counts = []
    for sure in (6.0, 0.5):  # logit of the hub's class
        logits = torch.tensor([[3.0, 0.0]]).repeat(300, 1)
        logits[0, 0] = sure
        view = View(logits=logits, graph=hub)
        loss = gkd.create("loss", "hgmd", scheme="plain", alpha=0.5, warmup=0)
        likely = loss._likely(view.logits, view.logits, hub, 0)
        counts.append(likely.mean().item())
    assert counts[0] < 0.5 * counts[1]


@pytest.mark.parametrize("name", ["ff-g2m-low", "ff-g2m-high", "hgmd"])
def test_one_column_is_the_logit_of_class_1_against_class_0(name):
    student, teacher = problem(classes=1)
    wide = [
        View(logits=torch.cat([0 * view.logits, view.logits], 1), graph=view.graph)
        for view in (student, teacher)
    ]
    loss = gkd.create("loss", name)
    asked = {"step": Step.of(student, nodes=NODES)} if name == "hgmd" else {}
    one = loss(student, teacher, **asked)
    asked = {"step": Step.of(student, nodes=NODES)} if name == "hgmd" else {}
    torch.testing.assert_close(one, loss(*wide, **asked))


@pytest.mark.parametrize("name", ["ff-g2m-low", "ff-g2m-high", "hgmd"])
def test_without_edges_a_node_has_itself(name):
    student, teacher = (
        View(logits=view.logits, graph=Graph(EDGES[:, :0], 5)) for view in problem()
    )
    asked = {"step": Step.of(student, nodes=NODES)} if name == "hgmd" else {}
    value = gkd.create("loss", name)(student, teacher, **asked)
    alone = torch.stack(
        [divergence(s, t.softmax(0)) for s, t in zip(student.logits, teacher.logits, strict=True)]
    )
    torch.testing.assert_close(value, 0 * alone if name == "ff-g2m-high" else alone)
    value.sum().backward()


def test_no_row_for_each_edge():
    random = torch.Generator().manual_seed(0)
    graph = Graph(torch.randint(200, (2, 20_000), generator=random), 200)
    views = [
        View(logits=torch.randn(200, 32, generator=random).requires_grad_(), graph=graph)
        for _ in range(2)
    ]
    loss = gkd.create("loss", "ff-g2m-high")
    with MemoryWatch() as watch:
        loss(*views).sum().backward()
    assert watch.elements < 20_000 * 32 / 2


def test_what_is_missing_or_does_not_fit_is_said():
    student, teacher = problem()
    for name in ("ff-g2m-low", "ff-g2m-high", "hgmd"):
        asked = {"step": Step.of(student, nodes=NODES)} if name == "hgmd" else {}
        loss = gkd.create("loss", name)
        with pytest.raises(ParameterError, match=f"{name} compares edges"):
            loss(View(logits=student.logits), teacher, **asked)
        with pytest.raises(ParameterError, match=f"{name}: Graph.* is not over the 5 rows"):
            loss(View(logits=student.logits, graph=Graph(EDGES, 6)), teacher, **asked)
        with pytest.raises(ParameterError, match=f"{name}: outputs of this task are sigmoid"):
            gkd.create("loss", name, task="multi-label")
    with pytest.raises(ParameterError, match="hgmd knows rows again"):
        gkd.create("loss", "hgmd")(student, teacher, step=Step.of(student))
    with pytest.raises(ParameterError, match="'scheme' must be"):
        gkd.create("loss", "hgmd", scheme="mix")
