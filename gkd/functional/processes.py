"""What processes that train together hold, put side by side."""

from typing import Any

import torch
from torch import Tensor, distributed


def num_processes() -> int:
    """Return how many processes train together: 1 without others."""
    together = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if together else 1


def gather_rows(rows: Tensor) -> Tensor:
    """Return the rows of all processes, in their order: the same in each of them.

    Without other processes these are the rows themselves. All processes must call it, each with as
    many rows as it has. No gradient flows through.

    Args:
        rows: ``[n, ...]``, n of this process; the rest as in the others.

    >>> gather_rows(torch.tensor([3, 1]))
    tensor([3, 1])
    """
    rows = rows.detach()
    return rows if num_processes() == 1 else torch.cat(_exchanged(rows))


def gather_parts(own: Tensor) -> list[Tensor]:
    r"""Return the tensors of all processes, in their order, which may differ in every size.

    Where every process computes one loss of all parts, and the gradients of weights are averaged
    over the processes, as ``DistributedDataParallel`` does, the average is the gradient of that
    loss: this process's part gets the gradient times the number of processes P,

    .. math:: \frac{1}{P} \sum_p P \, \frac{\partial L}{\partial x_p}
        \frac{\partial x_p}{\partial w} = \frac{\partial L}{\partial w},

    and weights that the loss uses in every process alike get it as it is.

    Args:
        own: of this process, with as many axes as the others'.

    >>> gather_parts(torch.tensor([[3.0, 1.0]]))
    [tensor([[3., 1.]])]
    """
    if num_processes() == 1:
        return [own]
    parts = _exchanged(own.detach())
    if own.requires_grad:
        scaled = _Scaled.apply(own, float(num_processes()))  # type: ignore[no-untyped-call]
        parts[distributed.get_rank()] = scaled
    return parts


class _Scaled(torch.autograd.Function):
    """A tensor as it is, whose gradient is scaled."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.factor, None


def _exchanged(own: Tensor) -> list[Tensor]:
    shape = torch.tensor(own.shape, device=own.device)
    shapes = [torch.empty_like(shape) for _ in range(num_processes())]
    distributed.all_gather(shapes, shape)
    sizes = torch.stack(shapes)
    # Collectives take equal shapes alone, and not every type: so bytes, filled up to the longest.
    lengths = [size.prod() * own.element_size() for size in sizes.cpu()]
    padded = torch.zeros(int(max(lengths)), dtype=torch.uint8, device=own.device)
    padded[: own.nbytes] = own.contiguous().flatten().view(torch.uint8)
    buffers = [torch.empty_like(padded) for _ in lengths]
    distributed.all_gather(buffers, padded)
    return [
        buffer[:length].view(own.dtype).view(tuple(size))
        for buffer, length, size in zip(buffers, lengths, sizes.tolist(), strict=True)
    ]
