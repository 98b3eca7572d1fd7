"""What happens to a training cloud in each epoch."""

import numpy as np

_SCALE = (2 / 3, 3 / 2)
_SHIFT = 0.2


def augmented_cloud(positions: np.ndarray, points: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``points`` of a cloud's points, in random order, scaled and shifted at random.

        p_i ← a ⊙ p_π(i) + b,   a ∈ U[2/3, 3/2]³,   b ∈ U[−0.2, 0.2]³,   π a random injection

    Args:
        positions: float32 ``[P, 3]``, in the unit sphere.
        points: number of points n ≤ P.
        rng: everything random is drawn from it.

    Returns:
        float32 ``[n, 3]``.

    Source: Wang et al., ACM TOG 2019, section 5.1, with the ranges of its public code; those of
    Klokov and Lempitsky, ICCV 2017.

    >>> augmented_cloud(np.zeros((9, 3), np.float32), 4, np.random.default_rng(0)).shape
    (4, 3)
    """
    chosen = rng.permutation(len(positions))[:points]
    scale = rng.uniform(*_SCALE, 3).astype(np.float32)
    shift = rng.uniform(-_SHIFT, _SHIFT, 3).astype(np.float32)
    moved: np.ndarray = positions[chosen] * scale + shift
    return moved
