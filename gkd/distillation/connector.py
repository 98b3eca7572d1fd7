"""Connectors: what brings a student's features to the width of those it is compared with."""

from collections.abc import Mapping
from dataclasses import replace

from torch import nn

from gkd.errors import ParameterError
from gkd.loss import View


class Connector(nn.Module):
    """A map of the student's features; terms that name the same one share it.

    Args:
        name: for messages, and in ``state_dict()``.
        map: from the student's features; None for a linear map that is learned, and made from the
            first batch.
    """

    def __init__(self, name: str, map: nn.Module | None = None) -> None:
        super().__init__()
        self.name = name
        self.map = map

    def build(self, student: View, teachers: Mapping[str, View]) -> None:
        """Make the map from the widths of the first batch, unless there is one."""
        if self.map is None:
            ours, theirs = self._widths(student, teachers)
            features = student.require_features("a connector")
            self.map = nn.Linear(ours, theirs, dtype=features.dtype, device=features.device)

    def forward(self, student: View, teachers: Mapping[str, View]) -> View:
        """Return the student's view with its features mapped.

        Raises:
            ParameterError: the map is of other widths.
        """
        assert self.map is not None
        features = student.require_features("a connector")
        if isinstance(self.map, nn.Linear):
            widths = self._widths(student, teachers)
            if widths != (made := (self.map.in_features, self.map.out_features)):
                raise ParameterError(
                    f"connector {self.name!r} maps {made[0]} features to {made[1]}, but here the "
                    f"student has {widths[0]} and the teacher {widths[1]}"
                )
        return replace(student, features=self.map(features))

    def _widths(self, student: View, teachers: Mapping[str, View]) -> tuple[int, int]:
        ours = student.require_features("a connector").shape[1]
        theirs = {view.require_features("a connector").shape[1] for view in teachers.values()}
        if len(theirs) > 1:
            raise ParameterError(
                f"connector {self.name!r}: the teachers' features are {sorted(theirs)} wide; it "
                "maps to one width"
            )
        return ours, theirs.pop()
