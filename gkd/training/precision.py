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
    dtype = _AUTOCAST.get(precision)
    return nullcontext() if dtype is None else torch.autocast(device, dtype=dtype)
