"""What losses share that map features by learned modules."""

from abc import abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from gkd import AbstractLoss, View
from gkd.functional.paired_rows import not_built, paired_features, require_widths


class LearnedMaps(AbstractLoss):
    """A loss of features with modules that are made for the widths of the first batch.

    A subclass makes them in :meth:`make_maps`, and gets features that fit them by :meth:`pair`.
    """

    uses: tuple[str, ...] = ("features",)
    zero_at_equality = False  # maps do not begin as the identity
    least_at_equality = False
    name: str
    maps: nn.ModuleDict | None

    def __init__(self) -> None:
        super().__init__()
        self.maps = None
        self.widths = (0, 0)

    @abstractmethod
    def make_maps(self, ours: int, theirs: int) -> nn.ModuleDict:
        """Return the modules, for features of these widths of student and teacher."""

    def build(self, student: View, teacher: View) -> None:
        """Make the maps for these widths; those that exist are kept, with what they learned."""
        if self.maps is not None:
            return
        ours, theirs = self.features(student, teacher)
        self.widths = (ours.shape[1], theirs.shape[1])
        self.maps = self.make_maps(*self.widths).to(ours)

    def pair(self, student: View, teacher: View) -> tuple[Tensor, Tensor, nn.ModuleDict]:
        """Return the features of both views, and the maps, which fit them.

        Raises:
            ParameterError: there are no maps yet, or for other widths.
        """
        ours, theirs = self.features(student, teacher)
        if self.maps is None:
            raise not_built(self.name, "the maps do")
        require_widths(self.name, self.widths, ours, theirs)
        return ours, theirs, self.maps

    def features(self, student: View, teacher: View) -> tuple[Tensor, Tensor]:
        """Return the features of both views, the teacher's detached, of whatever widths."""
        return paired_features(
            student.require_features(self.name), teacher.require_features(self.name), self.name
        )


def nothing_to_learn(features: Tensor, parameters: Iterable[Tensor]) -> Tensor:
    """Return 0 for each row, ``[N]``, with gradients of 0: of too few rows for a statistic."""
    total = torch.stack([parameter.sum() for parameter in parameters]).sum().to(features.dtype)
    return 0 * (features.sum(dim=1) + total)
