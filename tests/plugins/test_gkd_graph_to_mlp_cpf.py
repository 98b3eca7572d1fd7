"""CPF's student against plain loops, and against what its authors' code gave."""

import math

import pytest
import torch
from distiller_problems import batch_of

import gkd
from gkd.errors import DataError
from gkd_graph_to_mlp.cpf import CPF

NODES, CLASSES = 6, 3
X = torch.tensor(
    [[((7 * i + 3 * j) % 11 - 5) / 4 for j in range(4)] for i in range(NODES)], dtype=torch.float64
)
EDGES = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 0, 5], [1, 0, 2, 1, 3, 2, 4, 3, 5, 4, 5, 0]])
LABELS = torch.tensor([2, 0, 1, 1, 0, 2])
MASK = torch.tensor([True, False, False, True, False, False])

RECORDED = [
    [0.0, 0.0, 1.0],
    [0.2701157015651199, 0.35093755910688007, 2.3838902312542833],
    [0.44116524046747496, 0.08447127019237599, 0.5019178524566981],
    [0.0, 1.0, 0.0],
    [0.0, 0.6169082978295163, 1.253986166512975],
    [0.1304356727727698, 0.0, 0.8208953728585815],
]


def network(**options):
    made = CPF(4, CLASSES, num_nodes=NODES, steps=3, **options).double()
    with torch.no_grad():
        made.share.copy_(torch.tensor([0.3 * i - 0.7 for i in range(NODES)]))
        made.confidence.weight.copy_(torch.tensor([[0.5, -0.25, 1.0, 0.75]]))
        linear = made.mlp.layers[0]
        rows = [[((5 * i + 2 * j) % 7 - 3) / 3 + 0.4 for j in range(4)] for i in range(CLASSES)]
        linear.weight.copy_(torch.tensor(rows))
        linear.bias.copy_(torch.tensor([1.1, 0.8, 1.3]))
    return made


def test_recorded_values_of_the_authors_code():
    # models/PLP.py at 389c01aaf238689ee7b1e5aba127842341e123b6, its kind "ind", in float64.
    recorded = torch.tensor(RECORDED, dtype=torch.float64)
    result = network(variant="official-code")(X, EDGES, LABELS, MASK)
    torch.testing.assert_close(result, recorded, rtol=1e-6, atol=1e-9)


def test_plain_loops():
    made = network()
    linear, score = made.mlp.layers[0], (X @ made.confidence.weight[0]).tolist()
    own = torch.nn.functional.linear(X, linear.weight, linear.bias).softmax(1).tolist()
    known = {i: [float(c == LABELS[i]) for c in range(CLASSES)] for i in range(NODES) if MASK[i]}
    mixed = [known.get(i, [1 / CLASSES] * CLASSES) for i in range(NODES)]
    near = {i: [i, *(u for u, v in EDGES.T.tolist() if v == i)] for i in range(NODES)}
    for _ in range(3):
        new = []
        for i in range(NODES):
            alpha = 1 / (1 + math.exp(-(0.3 * i - 0.7)))
            total = sum(math.exp(score[u]) for u in near[i])
            passed = [
                sum(math.exp(score[u]) / total * mixed[u][c] for u in near[i])
                for c in range(CLASSES)
            ]
            each = [alpha * p + (1 - alpha) * q for p, q in zip(passed, own[i], strict=True)]
            new.append(known.get(i, each))
        mixed = new
    expected = [[math.log(p + 1e-6) for p in row] for row in mixed]
    result = made(X, EDGES, LABELS, MASK)
    torch.testing.assert_close(result, torch.tensor(expected, dtype=torch.float64))


def test_labels_of_other_nodes_are_never_looked_at():
    made = network()
    other = torch.where(MASK, LABELS, -7)
    assert torch.equal(made(X, EDGES, LABELS, MASK), made(X, EDGES, other, MASK))


def test_without_labels_none_is_known():
    made = network()
    nothing = torch.zeros(NODES, dtype=torch.bool)
    assert torch.equal(made(X, EDGES), made(X, EDGES, LABELS, nothing))


def test_nodes_are_known_by_their_names():
    made = network()
    kept = torch.tensor([1, 2, 3])
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    small = made(X[kept], edges, LABELS[kept], MASK[kept], kept)
    one = network()
    with torch.no_grad():
        one.share[:3] = one.share[kept].clone()
    again = one(X[kept], edges, LABELS[kept], MASK[kept], torch.arange(3))
    torch.testing.assert_close(small, again)


def test_it_learns_from_a_teacher_on_nodes_without_a_label():
    torch.manual_seed(0)
    batch = batch_of()
    batch.train_mask = torch.arange(6) < 2
    student = gkd.create("model", "cpf", in_channels=5, out_channels=3, num_nodes=6)
    teacher = gkd.create("model", "gcn", in_channels=5, out_channels=3)
    term = gkd.Term("kd", rows="~train_mask", params={"temperature": 1.0})
    distiller = gkd.Distiller(
        teacher, student, [term], task="single-label", mask="train_mask", task_weight=0.0
    )
    distiller(batch).total.backward()
    for parameter in student.parameters():
        assert parameter.grad.abs().sum() > 0
    assert not student.share.grad[:2].any()  # their outputs are their labels


def test_what_does_not_fit_is_said():
    made = network()
    with pytest.raises(DataError, match="made for 6 nodes, got 5, and no n_id"):
        made(X[:5], EDGES[:, :4])
    with pytest.raises(DataError, match="made for 6 nodes, but n_id names 9"):
        made(X, EDGES, n_id=torch.arange(6) + 4)
    with pytest.raises(
        DataError, match=r"a class number and a train_mask for each of 6 nodes, got"
    ):
        made(X, EDGES, LABELS.float(), MASK)
