"""Datasets of point clouds: labelled clouds in memory, held out by class, drawn anew each epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, overload

import numpy as np
import torch
from pydantic import Field

from gkd import DataError, Sample
from gkd.errors import shown
from gkd_data.in_memory import InMemoryDataset
from gkd_data.random_by_purpose import random_state

Fraction = Annotated[float, Field(gt=0, lt=1)]
"""A share that leaves something on both sides."""

_SCALE = (2 / 3, 3 / 2)
_SHIFT = 0.2
_RESOLUTION = 2.0**-21  # of coordinates in the unit sphere, some roundings of float32


@dataclass(frozen=True, slots=True)
class Clouds:
    """Some labelled clouds, n of them.

    Args:
        ids: names that no other cloud of the dataset has.
        positions: float32 ``[P_i, 3]``, for each cloud.
        labels: class of each cloud, int64 ``[n]``.
    """

    ids: tuple[str, ...]
    positions: tuple[np.ndarray, ...]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def subset(self, chosen: np.ndarray) -> "Clouds":
        """Return the clouds that the booleans ``chosen`` ``[n]`` mark, in their order."""
        kept = np.flatnonzero(chosen)
        return Clouds(
            ids=tuple(self.ids[i] for i in kept),
            positions=tuple(self.positions[i] for i in kept),
            labels=self.labels[kept],
        )

    def sample(self, index: int, **positions: np.ndarray) -> Sample:
        """Return cloud ``index`` as a sample, at positions made from its own."""
        arrays = {**positions, "y": self.labels[index : index + 1]}
        tensors: dict[str, Any] = {name: torch.from_numpy(a) for name, a in arrays.items()}
        return Sample(id=self.ids[index], **tensors)

    def samples(self, points: int, names: Sequence[str] = ("pos",)) -> list[Sample]:
        """Return every cloud as a sample of its first ``points`` points, under these names."""
        return [
            self.sample(i, **dict.fromkeys(names, cloud[:points]))
            for i, cloud in enumerate(self.positions)
        ]


def unit_cloud(positions: np.ndarray, points: int, where: str) -> np.ndarray:
    """Return a cloud centred and scaled into the unit sphere.

        p_i ← (p_i − c) / max_j ‖p_j − c‖,   c = (1/P) Σ_j p_j

    Args:
        positions: ``[P, 3]``, of any floating type.
        points: number of points that will be drawn of it.
        where: how messages call it.

    Returns:
        float32 ``[P, 3]``.

    Raises:
        DataError: the cloud has too few points, NaN or infinity, no size, or a point so far out
            that the others become one.

    >>> unit_cloud(np.array([[1.0, 0, 0], [5.0, 0, 0]]), 2, "a rod").tolist()
    [[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    # First of all, since nothing below holds for no points.
    if len(positions) < points:
        raise DataError(f"{where} has {len(positions)} points, but {points} are asked for")
    # Far from the origin, as map coordinates are, float32 has no digits left for the shape.
    exact = positions.astype(np.float64)
    require_finite(exact, where)
    # By comparison: rounding in the mean gives equal points a radius that is tiny, not zero.
    if (exact == exact[0]).all():
        raise DataError(f"{where} has no size: its {len(exact)} points are all the same")
    with np.errstate(over="ignore", invalid="ignore"):
        centred = exact - exact.mean(0)
        radius = np.sqrt(np.square(centred).sum(1).max())
    if not 0 < radius < np.inf:
        raise DataError(f"{where} cannot be scaled to the unit sphere: its radius is {radius}")
    # float32, as models compute in it, and a data set takes half the memory.
    scaled: np.ndarray = (centred / radius).astype(np.float32)
    # One coordinate that is damaged may lie so far out that all the others become one point.
    middle = np.abs(scaled - np.median(scaled, axis=0)).sum(1).argmin()
    alike = (np.abs(scaled - scaled[middle]) < _RESOLUTION).all(1)
    if 2 * alike.sum() > len(scaled) and not (exact[alike] == exact[middle]).all():
        raise DataError(
            f"{where} cannot be scaled to the unit sphere: a point lies so far out that "
            f"{int(alike.sum())} of {len(scaled)} become one"
        )
    return scaled


def require_finite(positions: np.ndarray, where: str) -> None:
    """Make sure that a cloud holds neither NaN nor infinity.

    Raises:
        DataError: it does; names the first such point.
    """
    finite = np.isfinite(positions).all(1)
    if not finite.all():
        raise DataError(f"{where} holds NaN or infinity at point {int(np.argmin(finite))}")


def hold_out(
    clouds: Clouds, fraction: float, class_names: tuple[str, ...], where: str, seed: int
) -> tuple[Clouds, Clouds]:
    """Split clouds into those that stay and those held out: the same share of every class.

    Of the n objects of a class, ``round(fraction · n)`` are held out, at least 1 and at most n − 1;
    which, depends on the seed and the class alone.

    Args:
        clouds: what to split.
        fraction: share held out, between 0 and 1.
        class_names: of the labels, for messages.
        where: how messages call the clouds.
        seed: of the choice.

    Returns:
        The clouds that stay, and those held out, both in their order.

    Raises:
        DataError: a class has one object only.
    """
    chosen = np.zeros(len(clouds), dtype=bool)
    for label in np.unique(clouds.labels).tolist():
        members = np.flatnonzero(clouds.labels == label)
        if len(members) < 2:
            raise DataError(
                f"{where}: class {shown(class_names[label])} has one object only "
                f"({clouds.ids[members[0]]}); it needs one to stay and one to hold out"
            )
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        rng = random_state(seed, "held out", label)
        chosen[rng.permutation(members)[:count]] = True
    return clouds.subset(~chosen), clouds.subset(chosen)


def augment_cloud(
    positions: np.ndarray, points: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return ``points`` of a cloud's points, in random order, scaled and shifted at random.

        p_i ← a ⊙ p_π(i) + b,   a ∈ U[2/3, 3/2]³,   b ∈ U[−0.2, 0.2]³,   π a random injection

    Args:
        positions: float32 ``[P, 3]``, in the unit sphere.
        points: number of points n ≤ P.
        rng: everything random is drawn from it.

    Returns:
        ``pos``, and as ``original`` the same points where they were, both float32 ``[n, 3]``.

    Source: Wang et al., ACM TOG 2019, section 5.1, with the ranges of its public code; those of
    Klokov and Lempitsky, ICCV 2017.

    >>> augment_cloud(np.zeros((9, 3), np.float32), 4, np.random.default_rng(0))["pos"].shape
    (4, 3)
    """
    original = positions[rng.permutation(len(positions))[:points]]
    scale = rng.uniform(*_SCALE, 3).astype(np.float32)
    shift = rng.uniform(-_SHIFT, _SHIFT, 3).astype(np.float32)
    return {"pos": original * scale + shift, "original": original}


class PointCloudDataset(InMemoryDataset):
    """Base of the datasets of point clouds: one cloud is one sample, and has one class.

    A sample has ``pos``, float32 ``[points, 3]``, and its class ``y``, int64 ``[1]``. Without
    augmentation it consists of the first points of its cloud; with it, training samples are
    :class:`AugmentedSamples`, and every sample also has ``original``, the points before they were
    moved, for a network that should see these: ``inputs = { pos = "original", batch = "batch" }``.

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
        names = ("pos", "original") if augment else ("pos",)
        self.train = AugmentedSamples(train, points, seed) if augment else train.samples(points)
        self.validation = validation.samples(points, names)
        self.test = test.samples(points, names)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 0) for which training samples are drawn."""
        if isinstance(self.train, AugmentedSamples):
            self.train.epoch = epoch


class AugmentedSamples(Sequence[Sample]):
    """Samples made by :func:`augment_cloud` when they are asked for.

    Each is drawn from (seed, epoch, index) alone, so that a resumed run sees what an uninterrupted
    one would, in whatever order and process its loader asks.

    Args:
        clouds: what they are made from.
        points: points per sample.
        seed: of everything random.
    """

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
            return [self[i] for i in range(len(self))[index]]
        # A range knows negative indices, and raises IndexError where iteration has to end.
        place = range(len(self))[index]
        rng = random_state(self._seed, "augmentation", self.epoch, place)
        cloud = augment_cloud(self._clouds.positions[place], self._points, rng)
        return self._clouds.sample(place, **cloud)
