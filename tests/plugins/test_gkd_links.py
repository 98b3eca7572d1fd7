"""LLP against plain loops over contexts that are known."""

import math

import pytest
import torch
from distiller_problems import SAME_TAPS, Network, batch_of, distiller_of
from torch import nn

import gkd
from gkd import Graph, Step, View
from gkd.errors import ParameterError
from gkd_links.contexts import Contexts
from gkd_links.llp_d import LLPD
from gkd_links.llp_r import LLPR


def wave(rows, columns, slope, start):
    numbers = torch.arange(rows * columns, dtype=torch.float64)
    return (numbers * slope + start).sin().reshape(rows, columns)


EDGES = torch.tensor([[1, 0, 2, 1, 3, 2, 4, 0, 5, 6], [0, 1, 1, 2, 2, 3, 0, 4, 6, 5]])
BATCH = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1])
GRAPH = Graph(EDGES, 8)
STUDENT = View(features=wave(8, 3, 0.9, 0.1), graph=GRAPH, batch=BATCH)
TEACHER = View(features=2 * wave(8, 4, 1.3, 0.7), graph=GRAPH, batch=BATCH)


def drawn(walks, hops, distant, seed=3):
    """Contexts as a loss draws them in a step of this seed."""
    contexts = Contexts("llp", walks, hops, distant)
    generator = torch.Generator().manual_seed(seed)
    return contexts._drawn(GRAPH, torch.tensor([0, 5, 8]), generator)


def scores(features, node, context):
    dots = [sum(a * b for a, b in zip(features[node], features[j], strict=True)) for j in context]
    return [1 / (1 + math.exp(-dot)) for dot in dots]


def pairs_of_scores(context):
    ours, theirs = STUDENT.features.tolist(), TEACHER.features.tolist()
    for node, others in enumerate(context.tolist()):
        yield scores(ours, node, others), scores(theirs, node, others)


def softmax(row):
    total = sum(math.exp(value) for value in row)
    return [math.exp(value) / total for value in row]


@pytest.mark.parametrize(("walks", "hops", "distant"), [(3, 2, 1), (1, 4, 0), (2, 1, 3)])
def test_distributions_of_plain_loops(walks, hops, distant):
    expected = []
    for ours, theirs in pairs_of_scores(drawn(walks, hops, distant)):
        p, q = (softmax([y / 0.4 for y in each]) for each in (ours, theirs))
        expected.append(0.16 * sum(b * math.log(b / a) for a, b in zip(p, q, strict=True)))
    loss = LLPD(walks=walks, hops=hops, distant=distant, temperature=0.4)
    values = loss(STUDENT, TEACHER, step=Step.of(STUDENT, seed=3))
    assert values.tolist() == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("margin", [0.0, 0.1])
def test_ranks_of_plain_loops(margin):
    expected = []
    for ours, theirs in pairs_of_scores(drawn(2, 2, 1)):
        total = []
        for j in range(8):
            for k in range(j + 1, 8):
                gap = theirs[j] - theirs[k]
                order = (gap > margin) - (gap < -margin)
                total.append(max(0.0, margin - order * (ours[j] - ours[k])))
        expected.append(sum(total) / len(total))
    loss = LLPR(walks=2, hops=2, distant=1, margin=margin)
    values = loss(STUDENT, TEACHER, step=Step.of(STUDENT, seed=3))
    assert values.tolist() == pytest.approx(expected, rel=1e-8)


def test_contexts_are_of_the_same_graph_and_near_where_walks_lead():
    context = drawn(4, 2, 2)
    assert context.shape == (8, 24)
    assert (BATCH[context] == BATCH[:, None]).all()
    edges = set(map(tuple, EDGES.T.tolist()))
    near = context[:, :8].reshape(8, 4, 2)
    for node in range(7):  # node 7 has no edges
        for first, second in near[node].tolist():
            assert (first, node) in edges
            assert (second, first) in edges
    assert (near[7] == 7).all()
    assert len(context[0, 8:].unique()) > 2


def test_blocks_of_rows_give_the_same(monkeypatch):
    expected = LLPR()(STUDENT, TEACHER, step=Step.of(STUDENT))
    monkeypatch.setattr("gkd_links.llp_r._PAIRS", 144)
    torch.testing.assert_close(LLPR()(STUDENT, TEACHER, step=Step.of(STUDENT)), expected)


@pytest.mark.parametrize("name", ["llp-d", "llp-r"])
def test_beside_a_task_of_links(name):
    torch.manual_seed(0)
    batch, student = batch_of(), Network().eval()
    distiller = distiller_of(
        Network(width=7), student, gkd.Term(name, **SAME_TAPS), task="link-prediction"
    )
    distiller(batch).total.backward()
    assert student.layers[0].weight.grad.abs().sum() > 0


class Scorer(nn.Module):
    """Scores pairs by a perceptron on the product of their embeddings."""

    def __init__(self, width):
        super().__init__()
        self.encoder = nn.Linear(5, width)
        self.head = nn.Sequential(nn.Linear(width, 4), nn.ReLU(), nn.Linear(4, 1))

    def forward(self, x, edge_label_index):
        z = self.encoder(x)
        return self.head(z[edge_label_index[0]] * z[edge_label_index[1]])


@pytest.mark.parametrize("name", ["llp-d", "llp-r"])
def test_networks_with_heads_score_pairs_by_them(name):
    torch.manual_seed(0)
    batch = batch_of()
    batch.edge_label_index, batch.edge_label = torch.tensor([[0, 1], [2, 5]]), torch.ones(2)
    student, teacher = Scorer(4), Scorer(6)
    taps = {"student": "encoder", "teacher": "encoder"}
    params = {"scores": "network", "walks": 1, "hops": 2, "distant": 0}
    distiller = gkd.Distiller(
        teacher,
        student,
        [gkd.Term(name, params=params, **taps)],
        task={"name": "link-prediction", "outputs": "scores"},
        inputs=["x", "edge_label_index"],
    )
    value = distiller(batch).terms[name]
    # Each node has one neighbour: its context is known.
    source = batch.edge_index[0][batch.edge_index[1].argsort()]
    context = torch.stack([source, source[source]], 1)
    pairs = torch.stack([torch.arange(6)[:, None].expand(6, 2), context]).flatten(1)
    ours, theirs = (net(batch.x, pairs).view(6, 2).sigmoid() for net in (student, teacher))
    if name == "llp-d":
        expected = (theirs.softmax(1) * (theirs.log_softmax(1) - ours.log_softmax(1))).sum(1)
    else:
        gap = theirs[:, 0] - theirs[:, 1]
        order = (gap > 0.1).float() - (gap < -0.1).float()
        expected = (0.1 - order * (ours[:, 0] - ours[:, 1])).relu()
    torch.testing.assert_close(value, expected.mean())
    value.backward()
    assert student.encoder.weight.grad is not None


def test_what_is_missing_or_does_not_fit_is_said():
    step = Step.of(STUDENT)
    with pytest.raises(ParameterError, match="llp-d compares features"):
        LLPD()(View(graph=GRAPH), TEACHER, step=step)
    with pytest.raises(ParameterError, match="llp-r compares edges"):
        LLPR()(View(features=STUDENT.features), TEACHER, step=step)
    with pytest.raises(ParameterError, match="is not over the 8 rows of the features"):
        LLPD()(View(features=STUDENT.features, graph=Graph(EDGES, 9)), TEACHER, step=step)
    wrong = Step.of(STUDENT, logits=lambda name, /, **pairs: torch.zeros(8, 3))
    with pytest.raises(ParameterError, match=r"for 96 of them the student gave logits of shape"):
        LLPD(scores="network")(STUDENT, TEACHER, step=wrong)
    with pytest.raises(ParameterError, match="a context of one node has nothing to rank"):
        LLPR(walks=1, hops=1, distant=0)
    with pytest.raises(ParameterError, match="'margin' must be"):
        LLPR(margin=-1.0)
