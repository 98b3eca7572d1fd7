"""Random states that depend on what they are for, not on what was drawn before."""

import hashlib
import random

import numpy
import torch


def derived_seed(seed: int, *purpose: str | int) -> int:
    """Seed for one purpose of one run, independent of the seeds for every other purpose.

    >>> derived_seed(0, "epoch", 3) == derived_seed(0, "epoch", 3)
    True
    >>> derived_seed(0, "epoch", 3) == derived_seed(0, "epoch", 4)
    False
    """
    text = repr((seed, *purpose)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def set_random_state(seed: int) -> None:
    """Seed Python, NumPy and torch on every device."""
    random.seed(seed)
    numpy.random.seed(seed % 2**32)  # noqa: NPY002  the global state is what others' code draws from
    if torch.accelerator.current_accelerator() is None:
        # As torch.manual_seed does, which formats a stack trace for each kind of device there is.
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)
