"""What a batch of points is made of."""

import torch
from torch import Tensor

from gkd import ParameterError


def cloud_sizes(builder: str, features: Tensor, batch: Tensor | None) -> list[int]:
    """Return the number of points of each cloud of a batch.

    Args:
        builder: who asks, for messages.
        features: floating-point ``[N, C]``.
        batch: number of each point's cloud, int64 ``[N]``, ascending; None for a single cloud.

    Raises:
        ParameterError: they are not of this form.

    >>> cloud_sizes("knn", torch.zeros(3, 2), torch.tensor([0, 0, 2]))
    [2, 0, 1]
    """
    if not isinstance(features, Tensor) or not features.is_floating_point() or features.dim() != 2:
        raise ParameterError(
            f"{builder}: features must be floating-point of shape [N, C], got {_form(features)}"
        )
    if batch is None:
        return [len(features)]
    if (
        not isinstance(batch, Tensor)
        or batch.dtype != torch.int64
        or batch.shape != features.shape[:1]
    ):
        raise ParameterError(
            f"{builder}: batch must be int64 of shape [{len(features)}], the cloud of each point, "
            f"got {_form(batch)}"
        )
    if batch.device != features.device:
        raise ParameterError(
            f"{builder}: batch is on {batch.device}, but the features are on {features.device}"
        )
    if not len(batch):
        return []
    descents = (batch[1:] < batch[:-1]).nonzero()
    if len(descents) or int(batch[0]) < 0:
        place = int(descents[0]) + 1 if len(descents) else 0
        before = f" after {int(batch[place - 1])}" if place else ""
        raise ParameterError(
            f"{builder}: batch must ascend from 0, the points of a cloud side by side, but "
            f"batch[{place}] is {int(batch[place])}{before}"
        )
    # Numbers between that no point has are clouds without points, which keep their place.
    return torch.bincount(batch).tolist()


def _form(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} of shape {list(value.shape)}"
    return type(value).__name__
