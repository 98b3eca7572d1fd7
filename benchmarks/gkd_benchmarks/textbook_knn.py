"""Nearest neighbours from all distances at once."""

from torch import Tensor


def nearest(features: Tensor, k: int) -> Tensor:
    """Numbers of the k nearest points of each cloud's points, ``[B, N, k]``.

    Args:
        features: ``[B, C, N]``.
        k: how many, the point itself among them.
    """
    norms = features.square().sum(1, keepdim=True)
    negative = 2 * features.transpose(1, 2) @ features - norms - norms.transpose(1, 2)
    return negative.detach().topk(k).indices
