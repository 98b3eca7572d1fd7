"""Objects held out from others, class by class."""

import numpy as np

from gkd import DataError
from gkd_data.clouds import Clouds
from gkd_data.random_states import random_state


def held_out(
    clouds: Clouds, fraction: float, class_names: tuple[str, ...], where: str, seed: int
) -> tuple[Clouds, Clouds]:
    """Split clouds into those that stay and those held out: the same share of every class.

    Of the n objects of a class, ``round(fraction · n)`` are held out, at least 1 and at most n − 1;
    which, depends on the seed and the class alone.

    Args:
        clouds: what to split.
        fraction: share held out, between 0 and 1.
        class_names: of the labels, for messages.
        where: how messages call the clouds.
        seed: of the choice.

    Returns:
        The clouds that stay, and those held out, both in their order.

    Raises:
        DataError: a class has one object only.
    """
    chosen = np.zeros(len(clouds), dtype=bool)
    for label in np.unique(clouds.labels).tolist():
        members = np.flatnonzero(clouds.labels == label)
        if len(members) < 2:
            raise DataError(
                f"{where}: class {class_names[label]!r} has one object only "
                f"({clouds.ids[members[0]]}); it needs one to stay and one to hold out"
            )
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        rng = random_state(seed, "held out", label)
        chosen[rng.permutation(members)[:count]] = True
    return clouds.subset(~chosen), clouds.subset(chosen)
