"""The samples of a batch as segments of its rows."""

import torch
from torch import Tensor

from gkd import View
from gkd.errors import ParameterError


def sample_pointer(student: View, teacher: View, num_nodes: int, loss: str) -> Tensor:
    """Row pointer ``[B+1]``: sample b owns the rows ``pointer[b]`` up to ``pointer[b+1]``.

    Samples without nodes are left out. Without a batch vector all rows are one sample.

    Raises:
        ParameterError: a batch vector that is not ascending, not int64 or not of length N, or
            batch vectors that tell different samples.
    """
    batch = student.batch if student.batch is not None else teacher.batch
    if batch is None:
        return torch.tensor([0, num_nodes], device=_device(student))
    _check(batch, num_nodes, loss)
    other = teacher.batch
    if other is not None and other is not batch and not torch.equal(other, batch):
        raise ParameterError(f"{loss}: the batch vectors of student and teacher differ")
    sizes = torch.unique_consecutive(batch, return_counts=True)[1]
    return torch.nn.functional.pad(sizes.cumsum(0), (1, 0))


def _device(view: View) -> torch.device | None:
    return None if view.features is None else view.features.device


def _check(batch: Tensor, num_nodes: int, loss: str) -> None:
    if batch.shape != (num_nodes,) or batch.dtype != torch.int64:
        raise ParameterError(
            f"{loss}: expected a batch vector of int64 and shape [{num_nodes}], one sample number "
            f"per node, got {batch.dtype} of shape {list(batch.shape)}"
        )
    if not bool((batch[1:] >= batch[:-1]).all()):
        raise ParameterError(
            f"{loss}: expected an ascending batch vector, nodes of a sample in a row"
        )
