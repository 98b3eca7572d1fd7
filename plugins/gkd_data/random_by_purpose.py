"""Random states that depend on what they are for, not on what was drawn before."""

import hashlib

import numpy as np


def random_state(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return the generator for one purpose under one seed, independent of every other purpose.

    >>> bool(random_state(0, "order", 3).random() == random_state(0, "order", 3).random())
    True
    >>> bool(random_state(0, "order", 3).random() == random_state(0, "order", 4).random())
    False
    """
    # By repr, so that 1 and "1" differ; hash() would differ from process to process.
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
