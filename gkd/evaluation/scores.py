"""The metrics of a network on one split."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from weakref import WeakKeyDictionary

import torch
import torchmetrics
from torch import nn

from gkd.data import AbstractDataset, Batch, Sample, collate
from gkd.data.rows import Rows
from gkd.distillation.inputs import NetworkInputs, inputs_or
from gkd.distillation.layer_by_layer import call_by_layers
from gkd.distillation.logits import declared_logits, logits_of
from gkd.distillation.modes import evaluation_mode
from gkd.distillation.supervised_loss import taken_rows
from gkd.distillation.task_choice import find_task
from gkd.errors import GkdError, PluginError, suggestion
from gkd.evaluation.metric import Metric
from gkd.evaluation.soft_target_metrics import predictions, predicts, soft_target_metrics
from gkd.functional.network_input import device_of


class Scores:
    """Metrics of the dataset's task, pooled over the rows of a split.

    Args:
        dataset: its task, number of classes and inputs.
        batch_size: samples per forward pass.
        precision: context that the forward passes of a call run in, such as Lightning's autocast.
        soft_targets: whether to measure how sure the network is, too, and how rightly so; and to
            keep its answers.

    Attributes:
        main: the metric by which networks are compared.
        monitor: its name, as validation logs it.
        described: all metrics of the task.
        answers: what the network found most likely since the reset, by batch; see
            :func:`gkd.evaluation.soft_target_metrics.predictions`.

    Raises:
        PluginError: the task has no such main metric, or it does not say which way is up.
    """

    def __init__(
        self,
        dataset: AbstractDataset,
        batch_size: int,
        precision: Callable[[], AbstractContextManager[object]] = nullcontext,
        soft_targets: bool = False,
    ) -> None:
        self.task = find_task(dataset.task)
        self.monitor = f"validation/{self.task.metric}"
        self.dataset = dataset
        self.rows = {split: Rows.parse(rows) for split, rows in dataset.rows.items()}
        self.batch_size = batch_size
        self.precision = precision
        self.metrics = self.task.metrics(dataset.num_classes)
        self.described = [Metric.of(str(name), one) for name, one in self.metrics.items()]
        self.soft_targets = soft_targets
        if soft_targets:
            self.metrics.add_metrics({**soft_target_metrics(self.task)})
        for metric in self.metrics.modules():  # those inside of others, too
            if isinstance(metric, torchmetrics.Metric):
                # The first process scores the whole split: others have nothing to add.
                metric.distributed_available_fn = lambda: False
        self.main = self._main_metric()
        self._losses: list[tuple[torch.Tensor, int]] = []
        self.answers: list[torch.Tensor] = []
        self._inputs: WeakKeyDictionary[nn.Module, NetworkInputs] = WeakKeyDictionary()

    def _main_metric(self) -> Metric:
        name, known = self.task.metric, {metric.name: metric for metric in self.described}
        owner = f"the task {type(self.task).__name__}"
        if name not in known:
            raise PluginError(
                f"{owner} has no metric {name!r}, its main one; {suggestion(name, known)}"
            )
        if known[name].higher_is_better is None:
            raise PluginError(
                f"{owner}: its main metric {name!r} does not say whether higher is better; give "
                "the class of that torchmetrics.Metric higher_is_better = True or False"
            )
        return known[name]

    def reset(self) -> None:
        """Forget all batches."""
        self.metrics.reset()
        self._losses, self.answers = [], []

    def update(self, network: nn.Module, batch: Batch, split: str) -> None:
        """Take in a batch on the network's device, which runs as it is: its mode is the caller's.

        Args:
            network: to score.
            batch: of samples of the split.
            split: whose rows count.

        Raises:
            GkdError: logits or labels cannot be scored; names the samples.
        """
        if network not in self._inputs:
            said = inputs_or(network, self.dataset.inputs)
            self._inputs[network] = NetworkInputs(said, network, "network")
        arguments = self._inputs[network].arguments(batch)
        returned = call_by_layers(network, arguments)
        outputs = logits_of(returned, declared_logits(network), "network")
        try:
            outputs, y = self.task.examples(outputs.float(), batch, self.task.target)
            if split in self.rows:
                outputs, y = taken_rows(self.rows[split], batch, outputs, y)
            self.task.check(outputs, y)  # losses and metrics may take what fits for granted
            self.metrics.to(outputs.device).update(outputs, y)
            self._losses.append((self.task.loss(outputs, y), len(y)))
            if self.soft_targets and predicts(self.task):
                self.answers.append(predictions(self.task, outputs, y)[0].argmax(1).cpu())
        except GkdError as error:
            named = ", ".join(map(repr, batch.ids[:3])) + (", ..." if len(batch.ids) > 3 else "")
            where = f"sample {named}" if len(batch.ids) == 1 else f"among the samples {named}"
            error.args = (f"{where}: {error}",)
            raise

    @property
    def loss(self) -> float:
        """Supervised loss over all batches since the reset, each weighted by its rows."""
        rows = sum(count for _, count in self._losses)
        return sum(float(loss) * count for loss, count in self._losses) / max(rows, 1)

    def compute(self) -> dict[str, float]:
        """Metrics by name, over all batches since the reset."""
        return {name: float(value) for name, value in self.metrics.compute().items()}

    @torch.no_grad()
    def __call__(
        self, network: nn.Module, split: str, samples: Sequence[Sample] | None = None
    ) -> dict[str, float]:
        """Score ``network`` in eval mode on the device it is on; its mode is restored.

        Args:
            network: to score.
            split: ``"train"``, ``"validation"`` or ``"test"``.
            samples: some of the split; by default all.

        Raises:
            GkdError: logits or labels cannot be scored; names the samples.
        """
        samples = getattr(self.dataset, split) if samples is None else samples
        device = device_of(network)
        self.reset()
        with evaluation_mode(network):
            for start in range(0, len(samples), self.batch_size):
                chosen = range(start, min(start + self.batch_size, len(samples)))
                batch = collate([samples[index] for index in chosen]).to(device)
                with self.precision():
                    self.update(network, batch, split)
        return self.compute()
