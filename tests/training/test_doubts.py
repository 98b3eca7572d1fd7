"""What is said, or refused, before anything is trained."""

import io
import re

import pytest
import torch
from rich.console import Console
from tiny_plugin import Blobs, Mapped, Perceptron
from torch import nn
from torch.nn.functional import dropout

import gkd
from gkd.data import Sample, collate
from gkd.errors import RecipeError
from gkd.training.doubtful_data import doubtful_data
from gkd.training.doubts import CompleteGraphs, doubtful_answers, doubtful_terms, unread_data


@pytest.fixture
def said(opened):
    """Function that trains a run of two epochs, and returns what was said before its networks."""

    def train(*settings: str) -> list[str]:
        console = Console(file=io.StringIO(), width=400)
        epochs = ("training.epochs=2", "teacher.training.epochs=1", "seeds=[0]")
        opened(*epochs, *settings, console=console).train()
        before, *_ = re.split(r"\[\d+/\d+\] teacher", console.file.getvalue())
        lines = [line for line in before.splitlines() if line.startswith("warning: ")]
        # Beside warnings, where the run lies and what it does before it trains, a line each.
        assert len(before.splitlines()) - len(lines) <= 3
        return [line.removeprefix("warning: ") for line in lines]

    return train


def test_a_sound_recipe_raises_no_doubts(said):
    assert said("training.batch_size=5", "teacher.training.batch_size=5") == []


def test_weights_beside_which_the_task_is_lost(said):
    weight = "methods.mapped.terms.0.weight"
    (line,) = said(f"{weight}={{ start = 0.0, end = 1e30, epochs = 1 }}")
    assert "mapped: the gradient of the term 'mapped', with the weight 1e+30 in epoch 2," in line
    assert "times that of the task" in line


def test_terms_that_never_count(said):
    late = "methods.mapped.terms.0.weight={ value = 1.0, from_epoch = 30 }"
    assert said(late) == ["mapped: the term 'mapped' has no weight in any of 2 epochs"]


def test_a_loss_without_a_gradient_teaches_nothing(said, monkeypatch):
    monkeypatch.setattr(
        Mapped, "forward", lambda self, student, teacher: student.logits.detach().mean()
    )
    (line,) = said()
    assert line.startswith("mapped: the loss of the term 'mapped' has no gradient, so that it")


def test_parameters_that_a_loss_makes_while_it_runs_are_not_trained(said, monkeypatch):
    def forward(self, student, teacher):
        if not hasattr(self, "late"):
            self.late = nn.Linear(student.logits.shape[1], 1)
        return self.late(student.logits).square().mean()

    monkeypatch.setattr(Mapped, "forward", forward)
    (line,) = said()
    assert line.startswith("mapped: the loss of the term 'mapped' makes parameters while it runs")


def test_a_term_that_fails_in_a_later_epoch_is_found_before_the_first(opened, plugin, monkeypatch):
    def fails(self, student, teacher):
        raise ZeroDivisionError("no rows")

    monkeypatch.setattr(Mapped, "forward", fails)
    with pytest.raises(RecipeError, match=r"methods.1: the first batch raised ZeroDivisionError"):
        opened("methods.mapped.terms.0.weight={ value = 1.0, from_epoch = 4 }").train()
    assert plugin.events == []


def test_a_student_that_answers_at_random_when_it_is_tested(said, monkeypatch):
    def forward(self, x):
        return self.out(dropout(self.norm(self.hidden(x)).relu(), 0.5, training=True))

    monkeypatch.setattr(Perceptron, "forward", forward)
    *_, line = said("teacher.cache=false", "methods.mapped.terms=[]")
    assert line.startswith("the student answers at random in evaluation mode, too")


@pytest.mark.parametrize("last", ["softmax", "sigmoid"])
def test_a_student_that_answers_with_probabilities(last):
    networks = {"softmax": nn.Softmax(1), "sigmoid": nn.Sigmoid()}
    task = {"softmax": "single-label", "sigmoid": "multi-label"}[last]
    batch = collate([Sample(id="one", x=torch.randn(20, 4), y=torch.zeros(20, 3))])

    def notes(*layers):
        student = nn.Sequential(nn.Linear(4, 3), *layers)
        return doubtful_answers(gkd.Distiller({}, student, [], task=task, inputs=["x"]), batch)

    assert notes() == notes(nn.LogSoftmax(1)) == []
    assert notes(nn.ReLU(), nn.Hardtanh(0, 1)) == [] or last == "sigmoid"
    (line,) = notes(networks[last])
    assert line.startswith(f"the student answers with numbers between 0 and 1, as {last} makes")


def test_parameters_of_a_weigher_are_not_trained():
    class Learned(gkd.AbstractWeigher):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, student, teacher, step):
            return self.weight.expand(student.num_rows)

    batch = collate([Sample(id="one", x=torch.randn(20, 4), y=torch.arange(20) % 3)])
    terms = [gkd.Term("kd", weigher=Learned())]
    distiller = gkd.Distiller(
        nn.Linear(4, 3), nn.Linear(4, 3), terms, task="single-label", inputs=["x"]
    )
    (note,) = doubtful_terms(distiller, batch, epochs=1)
    assert note.startswith("the weigher of the term 'kd' has parameters, which nothing trains")


def test_batches_larger_than_the_data(said):
    (line,) = said("training.batch_size=6")
    assert line == (
        "training.batch_size = 6 is more than the 5 training samples: an epoch is one step"
    )


class Labelled(Blobs):
    """Blobs with given labels in every split, and a mask of the rows that count."""

    def __init__(self, task, labels, rows):
        super().__init__()
        self.task = task
        self.num_classes = 1 if task == "regression" else 2
        self.labels, self.kept = labels, rows
        self.rows = dict.fromkeys(("train", "validation", "test"), "mask")

    def sample(self, split, index, epoch=0):
        y, mask = self.labels[split], self.kept[split]
        return Sample(id=f"{split}-{index}", x=torch.ones(len(y), 4), y=y, mask=mask)


SPLITS = ("train", "validation", "test")


@pytest.mark.parametrize(
    ("task", "one", "two"),
    [
        ("single-label", [1, 1, 1], [1, 1, 0]),
        ("multi-label", [[0.0, 1.0]] * 3, [[0.0, 1.0]] * 2 + [[0.0, 0.0]]),
        ("regression", [0.5] * 3, [0.5, 0.5, 0.25]),
    ],
)
def test_labels_that_are_all_the_same(task, one, two):
    def notes(train, mask=(True, True, True)):
        labels = {split: torch.tensor(two) for split in SPLITS} | {"train": torch.tensor(train)}
        rows = {split: torch.ones(3, dtype=torch.bool) for split in SPLITS}
        return doubtful_data(Labelled(task, labels, rows | {"train": torch.tensor(mask)}))

    same = ["all 15 training rows have one label: there is nothing to learn"]
    assert notes(one) == same
    assert notes(two) == []
    (line,) = notes(two, (True, True, False))  # the label that differs is of no training row
    assert line.startswith("all 10 training rows")


@pytest.mark.parametrize("split", SPLITS)
def test_splits_without_labels(split):
    rows = {name: torch.ones(3, dtype=torch.bool) for name in SPLITS}
    labels = {name: torch.tensor([0, 1, 0]) for name in SPLITS}
    hidden = rows | {split: torch.zeros(3, dtype=torch.bool)}
    with pytest.raises(gkd.errors.DataError, match=f"no row of the {split} split has a label"):
        doubtful_data(Labelled("single-label", labels, hidden))
    unknown = {name: torch.tensor([[0.0, 1.0]] * 3) for name in SPLITS}
    unknown[split] = torch.full((3, 2), torch.nan)
    with pytest.raises(gkd.errors.DataError, match=f"no row of the {split} split has a label"):
        doubtful_data(Labelled("multi-label", unknown, rows))


@pytest.mark.parametrize("split", SPLITS)
def test_labels_that_the_task_does_not_take_are_found_in_every_split(split):
    rows = {name: torch.ones(3, dtype=torch.bool) for name in SPLITS}
    labels = {name: torch.tensor([0, 1, 0]) for name in SPLITS}
    odd = labels | {split: torch.tensor([0, -1, 1])}
    with pytest.raises(
        gkd.errors.DataError,
        match=f"labels of the {split} split, sample '{split}-0': .* got -1 to 1; ignore_label=-1",
    ):
        doubtful_data(Labelled("single-label", odd, rows))
    hidden = rows | {split: torch.tensor([True, False, True])}
    assert doubtful_data(Labelled("single-label", odd, hidden)) == []


class Altered(Blobs):
    """Blobs of which one sample is another, or misses something."""

    def __init__(self, split, **changed):
        super().__init__()
        self.changed = split, changed

    def sample(self, split, index, epoch=0):
        sample = super().sample(split, index, epoch)
        if (split, index) == (self.changed[0], 1):
            return Sample(id=sample.id, **{**dict(sample.items()), **self.changed[1]})
        return sample


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.tensor([[1.0, 2.0, 3.0, 4.0], [1.0, torch.nan, 3.0, 4.0]]), r"x\[1, 1\] is nan"),
        (torch.tensor([[torch.inf, 2.0, 3.0, 4.0]]), r"x\[0, 0\] is inf"),
        (torch.ones(2, 5), r"x has 5 columns, and that of sample '.*-0' 4"),
    ],
)
def test_features_that_no_network_can_answer_to_are_found_in_every_split(split, x, words):
    data = Altered(split, x=x, y=torch.zeros(len(x), dtype=torch.int64))
    with pytest.raises(gkd.DataError, match=f"the {split} split, sample '{split}-1': {words}"):
        doubtful_data(data)


def test_what_networks_may_be_called_with_beside_inputs_is_a_doubt():
    (note,) = doubtful_data(Altered("test", extra=torch.tensor([0.0, torch.nan])))
    assert note.startswith("sample 'test-1': extra[1] is nan: a network that is called with it")
    assert doubtful_data(Altered("test", extra=torch.tensor([0.0, 1.0]))) == []


def test_a_graph_without_nodes_has_no_answer_of_its_own():
    data = Altered("test", x=torch.ones(0, 4), y=torch.zeros(0, dtype=torch.int64))
    assert doubtful_data(data) == []
    data.inputs = ("x", "batch")
    with pytest.raises(gkd.DataError, match="sample 'test-1': it has no nodes"):
        doubtful_data(data)


class Shared(Blobs):
    """Blobs whose test samples are, from some number on, those of training."""

    def __init__(self, first):
        super().__init__()
        self.first = first

    def sample(self, split, index, epoch=0):
        same = split == "test" and index >= self.first
        return super().sample("train" if same else split, index, epoch)


def test_samples_that_are_tested_on_and_trained_on():
    count = len(Shared(0).test)
    assert doubtful_data(Shared(count)) == []
    for first in (count - 1, 0):
        (note,) = doubtful_data(Shared(first))
        assert note == (
            f"{count - first} of {count} samples of the test split are in train, too, with the "
            f"same features and labels (sample 'train-{first}' is 'train-{first}'): what is tested "
            "on should not have been trained on"
        )
    assert doubtful_data(Shared(0), ("train", "validation")) == []


@pytest.mark.parametrize(
    ("train", "words"),
    [
        (
            [1, 2, 2],
            "1 of 3 classes have no training label, so that no network can learn them: 0; ",
        ),
        ([0, 1, 1], "1 of 3 classes have no training label, so that no network can learn them: 2"),
        ([0, 2, 1], None),
    ],
)
def test_classes_without_a_training_label(train, words):
    labels = {name: torch.tensor([0, 1, 2]) for name in SPLITS} | {"train": torch.tensor(train)}
    data = Labelled(
        "single-label", labels, {name: torch.ones(3, dtype=torch.bool) for name in SPLITS}
    )
    data.num_classes = 3
    notes = doubtful_data(data)
    assert [note.startswith(words or "") for note in notes] == [True] * (words is not None)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_metric_that_no_answer_gives_a_value(split):
    task = {"name": "single-label", "metric": "roc_auc"}
    labels = {name: torch.tensor([0, 1, 0]) for name in SPLITS}
    rows = {name: torch.ones(3, dtype=torch.bool) for name in SPLITS}
    assert doubtful_data(Labelled(task, labels, rows)) == []
    (note,) = doubtful_data(Labelled(task, labels | {split: torch.tensor([0, 0, 0])}, rows))
    assert note.startswith(f"roc_auc of the {split} split is not a number whatever a network")


class WithEdges(Blobs):
    """Blobs that have more than networks are called with."""

    def sample(self, split, index, epoch=0):
        plain = super().sample(split, index, epoch)
        return Sample(id=plain.id, x=plain.x, y=plain.y, weight=torch.ones(20, 1))


class Weighed(nn.Linear):
    """Takes a weight of each node, where it gets one."""

    def forward(self, x, weight=None, y=None):
        return super().forward(x if weight is None else weight * x)


def test_data_that_a_network_could_take_and_is_not_called_with():
    network = Weighed(4, 3)
    # Its forward takes labels, too, which nobody wants it to be called with.
    (line,) = unread_data(network, WithEdges())
    assert line.startswith("the data have weight, for which its forward has a parameter")
    assert line.endswith('say inputs = ["x", "weight"]')
    assert unread_data(network, Blobs()) == []
    network.inputs = ("x",)  # said so
    assert unread_data(network, WithEdges()) == []


class Joined(nn.Module):
    """Makes a graph of a builder's."""

    def __init__(self, builder):
        super().__init__()
        self.builder = builder

    def forward(self, batch):
        return self.builder(batch.x, batch.batch)


@pytest.mark.parametrize("self_loops", [True, False])
def test_more_neighbours_than_a_sample_has(self_loops):
    def notes(k, sizes=(9, 5, 7)):
        samples = [Sample(id=str(n), x=torch.rand(n, 3)) for n in sizes]
        batch, graphs = collate(samples), CompleteGraphs()
        builder = gkd.create("graph", "knn", k=k, backend="torch", self_loops=self_loops)
        with graphs.watched(batch):
            Joined(builder)(batch)
        Joined(builder)(batch)  # nobody looks any more
        return graphs.notes

    enough = 5 if self_loops else 4
    assert notes(enough - 1) == []
    first, second = notes(enough)
    assert f"KNN(k={enough}, backend='torch', self_loops={self_loops}) joins all 5 nodes" in first
    assert second.startswith("Joined() joins all 5 nodes of a sample")
    assert "joins all 7 nodes" in notes(20, (9, 7, 1, 2))[0]
