"""The precision that a recipe names, as a context for what Lightning does not run."""

from contextlib import AbstractContextManager, nullcontext

import torch

_AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def autocast(precision: str, device: str) -> AbstractContextManager[object]:
    """Return the context that forward passes run in.

    Args:
        precision: of Lightning, ``"32-true"``, ``"bf16-mixed"`` or ``"16-mixed"``.
        device: kind of device, such as ``"cpu"``.
    """
    dtype = dtype_of(precision)
    return nullcontext() if dtype is torch.float32 else torch.autocast(device, dtype=dtype)


def dtype_of(precision: str) -> torch.dtype:
    """Return what matrix products are computed in."""
    return _AUTOCAST.get(precision, torch.float32)
