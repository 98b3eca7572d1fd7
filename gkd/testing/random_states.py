"""Randomness under control, and left as it was."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw everything random from ``seed`` inside, and go on outside as if nothing had been."""
    # torch.manual_seed formats a stack trace where CUDA was not used yet: a hundred times slower.
    generator = torch.default_generator
    states = generator.get_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    generator.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  what components may draw from must be controlled
    random.seed(seed)
    try:
        yield
    finally:
        generator.set_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])
