"""Layers of two networks, pair by pair."""

from torch import Tensor

from gkd import View
from gkd.errors import ParameterError
from gkd.functional.paired_rows import paired_features


def paired_layers(student: View, teacher: View, loss: str) -> list[tuple[Tensor, Tensor]]:
    """Layers ``[N, F_l]`` and ``[N, F'_l]`` of both views, the teacher's detached.

    Raises:
        ParameterError: views without layers, with different numbers of them, or layers whose rows
            are not the same nodes.
    """
    ours, theirs = student.require_layers(loss), teacher.require_layers(loss)
    if len(ours) != len(theirs):
        raise ParameterError(
            f"{loss}: the student has {len(ours)} layers and the teacher {len(theirs)}; name as "
            "many taps of one as of the other"
        )
    pairs = [paired_features(*layers, loss) for layers in zip(ours, theirs, strict=True)]
    rows = [len(layer) for layer, _ in pairs]
    if len(set(rows)) > 1:
        raise ParameterError(f"{loss}: expected the same nodes in every layer, got rows {rows}")
    return pairs
