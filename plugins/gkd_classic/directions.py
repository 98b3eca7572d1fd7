"""Vectors of unit length."""

import torch
from torch import Tensor


def directions(features: Tensor, dim: int) -> Tensor:
    r"""Return the vectors along ``dim`` at unit length, :math:`z / \|z\|_2`.

    A zero vector stays, and its gradient is taken as 0: a bound on the norm from below, as in
    ``torch.nn.functional.normalize``, would make it 1e12 times that of its direction.

    >>> directions(torch.tensor([[3.0, 0.0], [4.0, 0.0]]), dim=0)
    tensor([[0.6000, 0.0000],
            [0.8000, 0.0000]])
    """
    # A largest magnitude of 1 keeps the squares inside the range; the scale has no gradient.
    peak = features.detach().abs().amax(dim, keepdim=True)
    scaled = features / peak.masked_fill(peak == 0, torch.inf)
    norm = torch.linalg.vector_norm(scaled, dim=dim, keepdim=True)
    unit: Tensor = scaled / norm.masked_fill(norm == 0, 1)
    return unit
