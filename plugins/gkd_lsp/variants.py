"""The three published readings of the local structure preserving loss."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Direction = Literal["student-teacher", "teacher-student"]
Reduction = Literal["node-mean", "edge-mean"]


@dataclass(frozen=True, slots=True)
class Variant:
    """What one publication means by the loss.

    Args:
        kernel: name of the kernel it uses unless told otherwise.
        direction: which structure comes first in KL(first ‖ second).
        reduction: what the sum over all neighbours of all nodes is divided by.
        kernels: its own definition, (name, parameters), of kernel names it reads differently.
    """

    kernel: str
    direction: Direction
    reduction: Reduction
    kernels: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)


VARIANTS: Mapping[str, Variant] = {
    "paper": Variant("rbf", "student-teacher", "node-mean"),
    "official-code": Variant("laplacian", "teacher-student", "node-mean"),
    "joshi": Variant(
        "rbf",
        "teacher-student",
        "edge-mean",
        {"poly": ("cosine", {"power": 2}), "l2": ("l2", {"squared": False})},
    ),
}
