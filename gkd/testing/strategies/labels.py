"""Labels that fit what outputs mean."""

import torch
from torch import Tensor

from gkd.data.task import Likelihood


def labels_of(
    likelihood: Likelihood, rows: int, classes: int, generator: torch.Generator
) -> Tensor:
    """Draw labels: classes ``[N]``, zeros and ones ``[N, C]``, or real numbers ``[N, C]``."""
    match likelihood:
        case "softmax":
            return torch.randint(classes, (rows,), generator=generator)
        case "sigmoid":
            return (torch.rand(rows, classes, generator=generator) < 0.5).float()
        case _:
            return torch.randn(rows, classes, generator=generator)
