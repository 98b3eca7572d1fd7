"""Labelled point clouds in memory: what every point-cloud dataset is made of."""

from dataclasses import dataclass

import numpy as np
import torch

from gkd import DataError, Sample


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

    def sample(self, index: int, positions: np.ndarray) -> Sample:
        """Return cloud ``index`` as a sample, at ``positions`` made from its own."""
        return Sample(
            id=self.ids[index],
            pos=torch.from_numpy(positions),
            y=torch.from_numpy(self.labels[index : index + 1]),
        )


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
        DataError: the cloud has too few points, NaN or infinity, or no size.

    >>> unit_cloud(np.array([[1.0, 0, 0], [5.0, 0, 0]]), 2, "a rod").tolist()
    [[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    if len(positions) < points:
        raise DataError(f"{where} has {len(positions)} points, but {points} are asked for")
    exact = positions.astype(np.float64)
    finite = np.isfinite(exact).all(1)
    if not finite.all():
        raise DataError(f"{where} holds NaN or infinity at point {int(np.argmin(finite))}")
    if (exact == exact[0]).all():
        raise DataError(f"{where} has no size: its {len(exact)} points are all the same")
    with np.errstate(over="ignore", invalid="ignore"):
        centred = exact - exact.mean(0)
        radius = np.sqrt(np.square(centred).sum(1).max())
    if not 0 < radius < np.inf:
        raise DataError(f"{where} cannot be scaled to the unit sphere: its radius is {radius}")
    scaled: np.ndarray = (centred / radius).astype(np.float32)
    return scaled
