"""What a dataset is: three splits of samples, or of rows, and what a model must know of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from gkd.data.sample import Sample


class AbstractDataset(ABC):
    """Training, validation and test samples of one task, with what a model must know of them.

    A dataset sets the five attributes below, at class level or in ``__init__``, and implements the
    three splits: as properties, or as attributes that its class names, ``train: Sequence[Sample] =
    ()``, and ``__init__`` assigns.

    Attributes:
        task: name of a task, ``"single-label"``; a mapping of its name and parameters,
            ``{"name": "single-label", "metric": "roc_auc"}``; or a :class:`gkd.Task`.
        num_features: width of the input, ``in_channels`` of a model.
        num_classes: width of the output, ``out_channels`` of a model.
        inputs: names of the batch's tensors that models are called with, unless they declare
            inputs of their own.
        rows: mask of the samples that holds the rows of a split, where a split is not all rows of
            its samples: ``{"train": "train_mask", "validation": "val_mask", "test": "test_mask"}``,
            each named as :class:`gkd.Term` names rows. Splits may then have samples in common.
        test_parts: test samples that are scored by themselves, too, by the name of the part: the
            task's main metric of ``{"unseen": [...]}`` is reported as ``accuracy_on_unseen``,
            besides the accuracy on the whole split.
        augmented: whether a training sample differs from epoch to epoch, so that nothing computed
            from it may be kept.
    """

    task: Any
    num_features: int
    num_classes: int
    inputs: tuple[str, ...]
    rows: Mapping[str, str] = MappingProxyType({})
    test_parts: Mapping[str, Sequence[Sample]] = MappingProxyType({})
    augmented: bool = False

    @property
    @abstractmethod
    def train(self) -> Sequence[Sample]:
        """Samples to train on."""

    @property
    @abstractmethod
    def validation(self) -> Sequence[Sample]:
        """Samples to select on."""

    @property
    @abstractmethod
    def test(self) -> Sequence[Sample]:
        """Samples to report on, and nothing else."""

    def for_seed(self, seed: int) -> "AbstractDataset":
        """Return the data of one seed of a run: itself, unless each seed splits the data anew.

        Where it is another dataset, of the same task and sizes, the seed's students have a teacher
        of their own, trained on the same data.
        """
        return self

    def set_epoch(self, epoch: int) -> None:  # noqa: B027  most datasets do not change
        """Say for which epoch the training samples are drawn: by how many are over, 0 at first."""
