"""What both losses compare: features of the same nodes."""

import torch
from torch import Tensor

from gkd import ParameterError, View


def paired_features(student: View, teacher: View, loss: str) -> tuple[Tensor, Tensor]:
    """Features ``[N, F]`` and ``[N, F']``, at least float32, the teacher's detached.

    Raises:
        ParameterError: a view without features, features that are no matrix, or different nodes.
    """
    ours = _matrix(student.require_features(loss), loss)
    theirs = _matrix(teacher.require_features(loss), loss).detach()
    if len(ours) != len(theirs):
        raise ParameterError(
            f"{loss}: expected features of the same nodes, got {len(ours)} rows from the student "
            f"and {len(theirs)} from the teacher"
        )
    return ours, theirs


def directions(features: Tensor) -> Tensor:
    """Features scaled to unit length per node; a row of zeros stays.

    >>> directions(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    # An epsilon in its place would give such a row a gradient too large for half precision.
    lengths = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return features / lengths.masked_fill(lengths == 0, 1)


def _matrix(features: Tensor, loss: str) -> Tensor:
    if features.ndim != 2 or features.shape[1] == 0 or not features.is_floating_point():
        raise ParameterError(
            f"{loss}: expected floating-point features [N, channels] with at least one channel, "
            f"got {features.dtype} of shape {list(features.shape)}"
        )
    # Sums over channels and nodes need more digits than half precision has.
    return features.to(torch.promote_types(features.dtype, torch.float32))
