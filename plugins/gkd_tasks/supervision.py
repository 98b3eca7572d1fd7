"""What the tasks have in common: precision, words about tensors."""

import torch
from torch import Tensor

from gkd.errors import DataError, NonFiniteError, ParameterError


def at_least_single(outputs: Tensor) -> Tensor:
    """Half-precision outputs in float32: a mean over many rows needs its digits and its range."""
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))


def check_logits(logits: Tensor, task: str) -> None:
    """Raise :class:`DataError` unless ``logits`` are floating point of shape ``[N, C]``."""
    if logits.ndim != 2 or not logits.is_floating_point() or logits.shape[1] == 0:
        raise DataError(
            f"{task} logits: expected floating point of shape [N, C] with at least one class, "
            f"got {form(logits)}"
        )


def require_logits(logits: Tensor, expected: tuple[int, ...]) -> None:
    """Raise unless ``logits`` have the ``expected`` shape and hold no NaN.

    Raises:
        ParameterError: another shape.
        NonFiniteError: a logit is NaN.
    """
    if logits.shape != expected:
        raise ParameterError(
            f"logits of shape {tuple(logits.shape)} do not fit: the targets and the number of "
            f"classes ask for {tuple(expected)}"
        )
    if logits.isnan().any():
        raise NonFiniteError("logits hold NaN: no metric can be computed from them")


def form(tensor: Tensor) -> str:
    """Describe a tensor.

    >>> form(torch.zeros(2, 3))
    'float32 of shape [2, 3]'
    """
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {list(tensor.shape)}"
