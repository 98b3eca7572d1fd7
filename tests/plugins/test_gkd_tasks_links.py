"""Link prediction: where pairs come from, and that drawn ones are no edges."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import gkd
from gkd.testing.strategies.graphs import structures
from gkd_tasks.link_prediction import LinkPrediction
from gkd_tasks.negative_pairs import negative_pairs

PAIRS = torch.tensor([[0, 1, 2], [1, 2, 0]])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(structure=structures(max_nodes=6), count=st.integers(1, 4), seed=st.integers(0, 99))
def test_drawn_pairs_are_no_edges_no_loops_and_stay_in_their_graph(structure, count, seed):
    edges = structure.edge_index
    drawn = negative_pairs(edges, structure.num_nodes, count, generator(seed), structure.batch)
    joined = set(map(tuple, edges.T.tolist()))
    assert not joined & set(map(tuple, drawn.T.tolist()))
    assert (drawn[0] != drawn[1]).all()
    if structure.batch is not None:
        assert torch.equal(structure.batch[drawn[0]], structure.batch[drawn[1]])
    assert drawn.shape[1] <= count * edges.shape[1]
    again = negative_pairs(edges, structure.num_nodes, count, generator(seed), structure.batch)
    assert torch.equal(drawn, again)


def test_drawn_pairs_are_uniform_among_those_that_are_no_edges():
    edges = torch.tensor([[0], [1]])
    drawn = negative_pairs(edges, 5, 9000, generator())
    counts = torch.bincount(drawn[1], minlength=5)
    assert counts[:2].tolist() == [0, 0]
    assert (counts[2:].float() / 3000 - 1).abs().max() < 0.06  # 3000 each, deviation 45


def test_a_node_that_is_joined_with_all_others_gets_no_pair():
    edges = torch.tensor([[0, 0], [1, 2]])
    assert negative_pairs(edges, 3, 2, generator()).shape == (2, 0)


def test_labelled_pairs_are_scored_by_the_product_of_embeddings():
    torch.manual_seed(0)
    z = torch.randn(3, 4, dtype=torch.float64)
    batch = SimpleNamespace(edge_label_index=PAIRS, edge_label=torch.tensor([1.0, 0.0, 1.0]))
    scores, y = LinkPrediction().examples(z, batch, "edge_label")
    expected = torch.stack([z[i] @ z[j] for i, j in PAIRS.T.tolist()])
    torch.testing.assert_close(scores, expected)
    assert torch.equal(y, batch.edge_label)


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_a_network_may_score_pairs_itself(shape):
    scores = torch.randn(shape)
    batch = SimpleNamespace(edge_label_index=PAIRS, edge_label=torch.tensor([1, 0, 1]))
    task = LinkPrediction(outputs="scores")
    taken, y = task.examples(scores, batch, "edge_label")
    task.check(taken, y)
    assert torch.equal(taken, scores.flatten())
    expected = nn.functional.binary_cross_entropy_with_logits(scores.flatten(), y.float())
    torch.testing.assert_close(task.loss(taken, y), expected)


def test_without_labelled_pairs_edges_are_positive_and_others_drawn():
    z = torch.randn(30, 4)
    batch = SimpleNamespace(edge_index=PAIRS)
    task = LinkPrediction(negatives=2)
    one, y = task.examples(z, batch, "edge_label")
    same, _ = task.examples(z, batch, "edge_label")
    other, _ = LinkPrediction(negatives=2, seed=1).examples(z, batch, "edge_label")
    assert y.tolist() == [1.0] * 3 + [0.0] * 6
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    first, second = (task.examples(z, batch, "edge_label", generator(s))[0] for s in (1, 2))
    assert not torch.equal(first, second)
    assert torch.equal(first[:3], one[:3])


def test_every_step_of_training_draws_others_and_a_repeated_run_the_same():
    torch.manual_seed(3)
    student = nn.Linear(5, 4)
    batch = SimpleNamespace(x=torch.randn(30, 5), edge_index=PAIRS)

    def losses() -> list[float]:
        torch.manual_seed(0)
        distiller = gkd.Distiller({}, student, task="link-prediction", inputs=("x",))
        return [distiller(batch).task.item() for _ in range(3)]

    first = losses()
    assert len(set(first)) == 3
    assert first == losses()


def test_pairs_of_samples_are_those_of_the_batch():
    samples = [
        gkd.Sample(
            id=name,
            x=torch.randn(3, 2),
            edge_label_index=PAIRS,
            edge_label=torch.tensor([1.0, 0.0, 1.0]),
        )
        for name in "ab"
    ]
    batch = gkd.collate(samples)
    assert batch.edge_label_index.tolist() == [[0, 1, 2, 3, 4, 5], [1, 2, 0, 4, 5, 3]]
    assert torch.equal(batch.split()[1].edge_label_index, PAIRS)


@pytest.mark.parametrize(
    ("batch", "params", "message"),
    [
        ({}, {}, "neither edge_label_index with pairs nor edge_index"),
        # Whose pairs were lost on the way: edges in their place would be another task.
        (
            {"edge_index": torch.zeros(2, 1).long(), "edge_label": torch.ones(1)},
            {},
            "expected pairs edge_label_index",
        ),
        ({"edge_label_index": PAIRS}, {}, "expected pairs edge_label_index.*and their labels"),
        ({"edge_index": PAIRS}, {"outputs": "scores"}, "expected pairs edge_label_index"),
        ({"edge_index": PAIRS + 5}, {}, "embeddings .* of all nodes that the pairs name"),
    ],
)
def test_batches_without_what_is_needed_are_refused(batch, params, message):
    with pytest.raises(gkd.DataError, match=message):
        LinkPrediction(**params).examples(torch.zeros(4, 2), SimpleNamespace(**batch), "edge_label")


@pytest.mark.parametrize(
    ("scores", "y", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(3), "expected scores of pairs"),
        (torch.zeros(3), torch.zeros(2), "a label for each of 3 pairs"),
        (torch.zeros(2), torch.tensor([0.5, 1.0]), "expected labels 0 and 1"),
    ],
)
def test_labels_that_do_not_fit_are_refused(scores, y, message):
    with pytest.raises(gkd.DataError, match=message):
        LinkPrediction().check(scores, y)


def test_kd_refuses_embeddings_and_takes_scores():
    with pytest.raises(gkd.ParameterError, match=r"outputs of this task are embeddings: compare"):
        gkd.create("loss", "kd", task="link-prediction")
    task = gkd.create("task", "link-prediction", outputs="scores")
    loss = gkd.create("loss", "kd", task=task, temperature=1.0)
    ours, theirs = torch.randn(2, 6)
    other = gkd.create("loss", "kd", task="multi-label", temperature=1.0)
    torch.testing.assert_close(
        loss(gkd.View(logits=ours), gkd.View(logits=theirs)),
        other(gkd.View(logits=ours[:, None]), gkd.View(logits=theirs[:, None])),
    )
