"""The metrics of a network on one split."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from gkd.data import AbstractDataset, Sample, collate
from gkd.errors import GkdError
from gkd.evaluation.metrics import task_metrics


class Scores:
    """Metrics of the dataset's task, pooled over a split.

    Args:
        dataset: its task, number of classes and inputs.
        batch_size: samples per forward pass.
        precision: context that the forward pass runs in, such as Lightning's autocast.
    """

    def __init__(
        self,
        dataset: AbstractDataset,
        batch_size: int,
        precision: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.inputs = dataset.inputs
        self.batch_size = batch_size
        self.precision = precision
        self.metrics = task_metrics(dataset.task, dataset.num_classes)
        for metric in self.metrics.values():
            # The first process scores the whole split: others have nothing to add.
            metric.distributed_available_fn = lambda: False

    @torch.no_grad()
    def __call__(self, network: nn.Module, samples: Sequence[Sample]) -> dict[str, float]:
        """Score ``network`` in eval mode on the device it is on; its mode is restored.

        Raises:
            GkdError: logits or labels cannot be scored; names the samples.
        """
        device = next(network.parameters()).device
        metrics = self.metrics.to(device)
        metrics.reset()
        was_training = network.training
        network.eval()
        loader: DataLoader[Any] = DataLoader(
            samples,  # type: ignore[arg-type]  # a sequence is what a map-style dataset has to be
            batch_size=self.batch_size,
            collate_fn=collate,
            generator=torch.Generator(),  # leaves the global random state alone
        )
        for batch in loader:
            on_device = batch.to(device)
            with self.precision():
                logits = network(*(getattr(on_device, name) for name in self.inputs))
            try:
                metrics.update(logits.float(), on_device.y)
            except GkdError as error:
                error.args = (f"{_named(batch.ids)}: {error}",)
                raise
        network.train(was_training)
        return {name: float(value) for name, value in metrics.compute().items()}


def _named(ids: Sequence[str]) -> str:
    """Name samples, the first few of many.

    >>> _named(["a"]), _named(["a", "b", "c", "d", "e"])
    ("sample 'a'", "among the samples 'a', 'b', 'c', ...")
    """
    if len(ids) == 1:
        return f"sample {ids[0]!r}"
    first = ", ".join(map(repr, ids[:3]))
    return f"among the samples {first}{', ...' if len(ids) > 3 else ''}"
