"""Scores of a network: which samples cannot be scored."""

from collections.abc import Sequence
from contextlib import nullcontext

import pytest
import torch
from tiny_plugin import Blobs, Perceptron
from torchmetrics import MeanMetric, MeanSquaredError, MetricCollection

import gkd
from gkd import Sample, Task
from gkd.errors import DataError, NonFiniteError, PluginError
from gkd.evaluation.scores import Scores


class Kept(Blobs):
    """Test samples that are made once, so that a test may change them."""

    test: Sequence[Sample] = ()

    def __init__(self, **parameters):
        super().__init__(**parameters)
        self.test = Blobs.test.fget(self)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": torch.nan}, NonFiniteError, "logits hold NaN"),
        ({"y": 7}, DataError, "single-label targets: expected class numbers from 0 to 2"),
    ],
)
@pytest.mark.parametrize(("batch_size", "named"), [(1, "sample {0!r}"), (2, "among the samples")])
def test_samples_that_cannot_be_scored_are_named(change, error, message, batch_size, named):
    dataset = Kept()
    samples = dataset.test
    for name, value in change.items():
        getattr(samples[1], name)[0] = value
    network = Perceptron(dataset.num_features, dataset.num_classes)
    with pytest.raises(error, match=f"^{named.format(samples[1].id)}.*: {message}"):
        Scores(dataset, batch_size)(network, "test")


def test_of_many_samples_the_first_are_named():
    dataset = Kept(test_graphs=5)
    samples = dataset.test
    samples[4].x[0] = torch.nan
    network = Perceptron(dataset.num_features, dataset.num_classes)
    named = "^among the samples 'test-0', 'test-1', 'test-2', ...: logits hold NaN"
    with pytest.raises(NonFiniteError, match=named):
        Scores(dataset, 5)(network, "test")


@pytest.mark.parametrize("fails", [False, True])
def test_scoring_leaves_every_module_in_its_mode(fails):
    dataset = Kept()
    samples = dataset.test
    network = Perceptron(dataset.num_features, dataset.num_classes)
    network.norm.eval()
    if fails:
        samples[1].y[0] = 7
    with pytest.raises(DataError) if fails else nullcontext():
        Scores(dataset, 1)(network, "test")
    assert [network.training, network.norm.training] == [True, False]


class Directionless(MeanSquaredError):
    higher_is_better = None


class Odd(gkd.Task):
    """A task without the main metric that it names, or with one that has no direction."""

    likelihood = "softmax"

    def __init__(self, metric):
        self.metric = metric

    def loss(self, outputs, y):
        raise NotImplementedError

    def check(self, outputs, y):
        raise NotImplementedError

    def metrics(self, num_classes):
        return MetricCollection({"mse": Directionless()})


def test_a_main_metric_must_be_there_and_say_which_way_is_up():
    dataset = Blobs()
    dataset.task = Odd("rmse")
    with pytest.raises(PluginError, match=r"the task Odd has no metric 'rmse'.*mean 'mse'"):
        Scores(dataset, 1)
    dataset.task = Odd("mse")
    with pytest.raises(PluginError, match="main metric 'mse' does not say whether higher"):
        Scores(dataset, 1)


def test_labels_that_a_third_partys_loss_would_choke_on_are_checked_first():
    class Means(MeanMetric):
        higher_is_better = False

        def update(self, outputs, y):
            super().update(outputs.mean())

    class Strict(Task):
        likelihood, metric = "softmax", "mean"

        def check(self, outputs, y):
            if int(y.max()) > 2:
                raise DataError("a class that there is not")

        def loss(self, outputs, y):
            return torch.eye(3)[y].sub(outputs).square().mean()

        def metrics(self, num_classes):
            return MetricCollection({"mean": Means()})

    dataset = Kept()
    dataset.task = Strict()
    dataset.test[0].y[0] = 7
    network = Perceptron(dataset.num_features, dataset.num_classes)
    with pytest.raises(DataError, match="a class that there is not"):
        Scores(dataset, 1)(network, "test")


def test_a_network_that_says_so_is_scored_by_parts_of_the_edges() -> None:
    dataset = gkd.create("dataset", "communities", nodes=800, degree=2, train_graphs=1)
    network = gkd.create("model", "sage", in_channels=32, out_channels=40)
    calls: list[int] = []
    network.layers[0].register_forward_pre_hook(lambda layer, inputs: calls.append(len(inputs[0])))
    scores = Scores(dataset, 1)
    whole = scores(network, "test")
    assert set(calls) == {800}
    network.edges_per_pass = 300
    assert scores(network, "test") == pytest.approx(whole, abs=1e-6)
    assert min(calls) < 800
