"""Reductions over segments: consecutive rows delimited by a row pointer.

A segment is the neighbourhood of a node: the values on its in-edges lie side by side, because
:class:`~gkd.graph.Graph` sorts edges by target. Empty segments are fine everywhere.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gkd.eager import eagerly
from gkd.functional.row_blocks import row_blocks


def segment_sum(values: Tensor, row_pointer: Tensor) -> Tensor:
    """Sum of each segment, ``[N]`` or ``[N, H]``; 0 where a segment is empty.

    Args:
        values: ``[E]`` or ``[E, H]``.
        row_pointer: int64 ``[N+1]``, segment i is ``row_pointer[i]`` up to ``row_pointer[i+1]``.

    >>> segment_sum(torch.tensor([1.0, 2.0, 5.0]), torch.tensor([0, 2, 2, 3]))
    tensor([3., 0., 5.])
    """
    return torch.segment_reduce(values, "sum", offsets=row_pointer, axis=0, initial=0)


def segment_max(values: Tensor, row_pointer: Tensor) -> Tensor:
    """Maximum of each segment, ``[N]`` or ``[N, H]``; -inf where a segment is empty.

    The gradient is shared equally by the values that attain the maximum.

    >>> segment_max(torch.tensor([1.0, 2.0, 5.0]), torch.tensor([0, 2, 2, 3]))
    tensor([2., -inf, 5.])
    """
    return torch.segment_reduce(values, "max", offsets=row_pointer, axis=0)


def spread(per_segment: Tensor, row_pointer: Tensor, num_values: int) -> Tensor:
    """Value of each entry's segment, ``[E]`` or ``[E, H]``: the adjoint of :func:`segment_sum`.

    >>> spread(torch.tensor([3.0, 0.0, 5.0]), torch.tensor([0, 2, 2, 3]), 3)
    tensor([3., 3., 5.])
    """
    # With the size known beforehand it need not be read from the device, which would wait for it.
    return per_segment.repeat_interleave(row_pointer.diff(), dim=0, output_size=num_values)


@eagerly
def segment_log_softmax(values: Tensor, row_pointer: Tensor) -> Tensor:
    r"""Log of the softmax over each segment, in the shape of ``values``.

    .. math:: \log p_e = v_e - \log \sum_{e' \in \mathrm{segment}(e)} \exp v_{e'}

    >>> segment_log_softmax(torch.zeros(3), torch.tensor([0, 2, 2, 3])).exp()
    tensor([0.5000, 0.5000, 1.0000])
    """
    result: Tensor = _SegmentLogSoftmax.apply(values, row_pointer)  # type: ignore[no-untyped-call]
    return result


def segment_softmax(values: Tensor, row_pointer: Tensor) -> Tensor:
    """Softmax over each segment, in the shape of ``values``.

    >>> segment_softmax(torch.zeros(3), torch.tensor([0, 2, 2, 3]))
    tensor([0.5000, 0.5000, 1.0000])
    """
    return segment_log_softmax(values, row_pointer).exp()


def log_softmax(values: Tensor, row_pointer: Tensor) -> Tensor:
    """:func:`segment_log_softmax` without autograd."""
    # The largest value of a segment becomes 0: exponentials do not overflow, and their sum is at
    # least 1, so that its logarithm exists however small the others are.
    result = values - spread(segment_max(values, row_pointer), row_pointer, len(values))
    total = segment_sum(result.exp(), row_pointer)
    return result.sub_(spread(total.log_(), row_pointer, len(values)))


class _SegmentLogSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, row_pointer: Tensor) -> Tensor:
        blocks = row_blocks(row_pointer, len(values))
        parts = [log_softmax(values[entries], pointer) for _, entries, pointer in blocks]
        result = parts[0] if len(parts) == 1 else torch.cat(parts)
        ctx.save_for_backward(result, row_pointer)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        # From the result alone, so that the values need not be kept: p = exp(log p).
        result, row_pointer = ctx.saved_tensors
        total = spread(segment_sum(grad, row_pointer), row_pointer, len(grad))
        return grad - result.exp().mul_(total), None
