"""What a task is: how labels supervise outputs, what outputs mean, how networks are scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import Tensor

from gkd.data.batch_attributes import tensor_attribute

if TYPE_CHECKING:
    from torchmetrics import MetricCollection

Likelihood: TypeAlias = Literal["softmax", "sigmoid", "gaussian", "embedding"]
"""What a network's outputs are the parameters of."""


class Task(ABC):
    """How labels supervise a network's outputs, what these mean, and how networks are scored.

    A task is a component: a plugin offers it by ``gkd_tasks``, and recipes, data sets and
    distillers ask for it by name. A subclass validates its parameters in ``__init__``.

    One whose labels are not those of its likelihood draws outputs and labels for the laws of
    ``gkd.testing`` in a method ``example(num_rows, num_classes, generator)``, which returns both.

    Attributes:
        likelihood: what the outputs mean, which distillation losses go by: ``"softmax"``, logits of
            C classes of which one is right (of a single column, the logit of class 1 against class
            0); ``"sigmoid"``, a logit for every label; ``"gaussian"``, means of normal variables of
            one variance, in the units of the labels; ``"embedding"``, vectors that predict nothing
            by themselves.
        metric: name of the main metric, one of :meth:`metrics`, by which networks are selected and
            compared.
        target: attribute of a batch that holds the labels, unless a distiller names another.

    Example:
        >>> import gkd
        >>> task = gkd.create("task", "single-label")
        >>> task.loss(torch.zeros(1, 2), torch.tensor([1]))
        tensor(0.6931)
        >>> task.likelihood, task.metric, sorted(task.metrics(num_classes=2))
        ('softmax', 'accuracy', ['accuracy', 'mean_class_accuracy'])
    """

    likelihood: Likelihood
    metric: str
    target: str = "y"

    @abstractmethod
    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the supervised loss: a scalar of at least single precision, 0 without rows.

        Args:
            outputs: of the network, a row per example; logits before softmax or sigmoid.
            y: labels, a row per example. Those that a task leaves out, such as NaN, count nowhere.
        """

    @abstractmethod
    def check(self, outputs: Tensor, y: Tensor) -> None:
        """Raise :class:`DataError` unless ``y`` can supervise ``outputs``.

        Looks at the labels' values, so it waits for an accelerator: meant for a first batch.
        """

    @abstractmethod
    def metrics(self, num_classes: int) -> MetricCollection:
        """Return new metrics by name, which are updated with outputs and labels.

        Each says by ``higher_is_better`` which way is up, as torchmetrics have it; the main one
        must. One whose ``plot_lower_bound`` and ``plot_upper_bound`` are 0 and 1 is a share, which
        reports write in percent; any other is written as it is. torchmetrics is imported here, as
        a distiller needs none of it.

        Args:
            num_classes: width of the outputs.
        """

    def rows(self, outputs: Tensor) -> Tensor:
        """Return outputs as losses between networks compare them: a row per example, ``[N, C]``."""
        return outputs[:, None] if outputs.ndim == 1 else outputs

    def known(self, y: Tensor) -> Tensor:
        """Say which labels are known, bool of the shape of ``y``; others count nowhere."""
        return torch.ones_like(y, dtype=torch.bool)

    def examples(
        self,
        outputs: Tensor,
        batch: object,
        target: str,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return what loss and metrics take of a batch: outputs and labels, a row per example.

        Args:
            outputs: what the network returned for the batch.
            batch: any object with attributes.
            target: the attribute with the labels.
            generator: of what a task draws, on the device of the outputs: another in every step of
                training, the same for all networks of a step. None in evaluation, where a task
                draws the same every time.

        Raises:
            DataError: the batch lacks an attribute.
        """
        return outputs, tensor_attribute(batch, target, "target")
