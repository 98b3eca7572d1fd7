"""Datasets of point clouds: samples drawn from clouds in memory, anew in each epoch."""

from collections.abc import Sequence
from typing import overload

from gkd import AbstractDataset, Sample
from gkd_data.augmentation import augmented_cloud
from gkd_data.clouds import Clouds
from gkd_data.random_states import random_state


class PointCloudDataset(AbstractDataset):
    """Base of the datasets of point clouds: one cloud is one sample, and has one class.

    A sample has ``pos``, float32 ``[points, 3]``, and its class ``y``, int64 ``[1]``. Without
    augmentation it consists of the first points of its cloud. With it, a training sample is
    :func:`~gkd_data.augmentation.augmented_cloud` of its cloud, drawn from
    (seed, epoch, index) alone: runs repeat exactly, wherever they are resumed.

    Args:
        train: clouds to train on.
        validation: clouds to select on.
        test: clouds to report on.
        class_names: names of the classes, by label.
        points: points per sample; no cloud has fewer.
        augment: whether training samples differ from epoch to epoch.
        seed: of the augmentation.
    """

    task = "single-label"
    inputs = ("pos", "batch")
    num_features = 3

    def __init__(
        self,
        train: Clouds,
        validation: Clouds,
        test: Clouds,
        class_names: tuple[str, ...],
        points: int,
        augment: bool,
        seed: int,
    ) -> None:
        self.class_names = class_names
        self.num_classes = len(class_names)
        self.augmented = augment
        self._drawn = _DrawnSamples(train, points, seed) if augment else None
        self._fixed = [] if augment else _fixed_samples(train, points)
        self._validation = _fixed_samples(validation, points)
        self._test = _fixed_samples(test, points)

    @property
    def train(self) -> Sequence[Sample]:
        """The training clouds, as they are in the epoch that was set."""
        return self._fixed if self._drawn is None else self._drawn

    @property
    def validation(self) -> Sequence[Sample]:
        """The validation clouds."""
        return self._validation

    @property
    def test(self) -> Sequence[Sample]:
        """The test clouds."""
        return self._test

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 0) for which training samples are drawn."""
        if self._drawn is not None:
            self._drawn.epoch = epoch


def _fixed_samples(clouds: Clouds, points: int) -> list[Sample]:
    return [clouds.sample(i, clouds.positions[i][:points]) for i in range(len(clouds))]


class _DrawnSamples(Sequence[Sample]):
    """Augmented samples, made when asked for."""

    def __init__(self, clouds: Clouds, points: int, seed: int) -> None:
        self.epoch = 0
        self._clouds = clouds
        self._points = points
        self._seed = seed

    def __len__(self) -> int:
        return len(self._clouds)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self._draw(i) for i in range(len(self))[index]]
        return self._draw(range(len(self))[index])

    def _draw(self, index: int) -> Sample:
        rng = random_state(self._seed, "augmentation", self.epoch, index)
        positions = augmented_cloud(self._clouds.positions[index], self._points, rng)
        return self._clouds.sample(index, positions)
