"""What the losses of this plugin read from two views: tensors, samples, directions."""

import torch
from torch import Tensor

from gkd import View
from gkd.errors import ParameterError


def paired_logits(student: View, teacher: View, loss: str) -> tuple[Tensor, Tensor]:
    """Logits ``[N, C]`` of both networks, at least float32, the teacher's detached.

    Raises:
        ParameterError: a view without logits, or logits of different shapes.
    """
    ours = _matrix(student.require_logits(loss), loss, "the student's logits")
    theirs = _matrix(teacher.require_logits(loss), loss, "the teacher's logits").detach()
    if ours.shape != theirs.shape:
        raise ParameterError(
            f"{loss}: expected logits of equal shapes [N, C], got {list(ours.shape)} from the "
            f"student and {list(theirs.shape)} from the teacher"
        )
    return ours, theirs


def paired_features(student: View, teacher: View, loss: str) -> tuple[Tensor, Tensor]:
    """Features ``[N, F]`` of both networks, at least float32, the teacher's detached.

    Raises:
        ParameterError: a view without features, or different numbers of nodes.
    """
    ours = _matrix(student.require_features(loss), loss, "the student's features")
    theirs = _matrix(teacher.require_features(loss), loss, "the teacher's features").detach()
    if len(ours) != len(theirs):
        raise ParameterError(
            f"{loss}: expected features of the same nodes, got {len(ours)} rows from the student "
            f"and {len(theirs)} from the teacher"
        )
    return ours, theirs


def _matrix(values: Tensor, loss: str, what: str) -> Tensor:
    if values.ndim != 2 or values.shape[1] == 0 or not values.is_floating_point():
        raise ParameterError(
            f"{loss}: expected {what} as floating point of shape [N, channels] with at least one "
            f"channel, got {values.dtype} of shape {list(values.shape)}"
        )
    # Half precision has neither the range for squares nor the digits for means over many nodes.
    return values.to(torch.promote_types(values.dtype, torch.float32))


def sample_pointer(student: View, teacher: View, num_nodes: int, loss: str) -> Tensor:
    """Row pointer ``[B+1]``: sample b owns the rows ``pointer[b]`` up to ``pointer[b+1]``.

    Samples without nodes are left out. Without a batch vector all rows are one sample.

    Raises:
        ParameterError: a batch vector that is not ascending, not int64 or not of length N, or
            batch vectors that tell different samples.
    """
    batch = student.batch if student.batch is not None else teacher.batch
    if batch is None:
        device = None if student.features is None else student.features.device
        return torch.tensor([0, num_nodes], device=device)
    if batch.shape != (num_nodes,) or batch.dtype != torch.int64:
        raise ParameterError(
            f"{loss}: expected a batch vector of int64 and shape [{num_nodes}], one sample number "
            f"per node, got {batch.dtype} of shape {list(batch.shape)}"
        )
    if not bool((batch[1:] >= batch[:-1]).all()):
        raise ParameterError(
            f"{loss}: expected an ascending batch vector, nodes of a sample in a row"
        )
    # The two views mostly carry the very same tensor, which needs no comparison.
    other = teacher.batch
    if other is not None and other is not batch and not torch.equal(other, batch):
        raise ParameterError(f"{loss}: the batch vectors of student and teacher differ")
    # Not a bincount: samples without nodes have no map, and their mean would be 0 / 0.
    sizes = torch.unique_consecutive(batch, return_counts=True)[1]
    return torch.nn.functional.pad(sizes.cumsum(0), (1, 0))


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
