"""Layouts: what the axes of a tapped tensor are, and which rows they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, TypeAlias

from gkd.errors import ParameterError, suggestion

if TYPE_CHECKING:  # recipes are read without torch
    from torch import Tensor

_FORMS: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    # axes that make the rows, axes that make the features; of equal readings the first is taken
    "N H F": ((0,), (1, 2)),
    "B N F": ((0, 1), (2,)),
    "B C N": ((0, 2), (1,)),
    "H N F": ((1,), (0, 2)),
    "B N H F": ((0, 1), (2, 3)),
    "B H N F": ((0, 2), (1, 3)),
    "B C H W": ((0, 2, 3), (1,)),
    "B H W C": ((0, 1, 2), (3,)),
}
ADVICE = (
    "say what its axes are by the term's layout, or student_layout and teacher_layout: 'N H F' "
    "(heads of each node), 'H N F', 'B N F' (nodes of each sample), 'B C N' (channels first), "
    "'B N H F', 'B H N F', 'B C H W' (places of a grid, also [B, C, N, 1]), 'B H W C'; with "
    "{'form': 'B N F', 'mask': ...}, a boolean mask [B, N] of the batch leaves out padding"
)


@dataclass(frozen=True, slots=True)
class Layout:
    """The axes of a tapped tensor: B samples, N nodes, H heads, F or C features, H x W places.

    Args:
        form: one of ``"N H F"``, ``"H N F"``, ``"B N F"``, ``"B C N"``, ``"B N H F"``, ``"B H N
            F"``, ``"B C H W"``, ``"B H W C"``. Features of heads lie side by side in a row.
        mask: attribute of the batch, boolean ``[B, N]``: the nodes that there are, where samples
            are padded to the largest.

    >>> import torch
    >>> Layout.parse("B C N").rows(torch.zeros(2, 5, 7)).shape
    torch.Size([14, 5])
    """

    form: str
    mask: str | None = None

    @classmethod
    def parse(cls, choice: object) -> Layout:
        """Read a form, or a mapping of ``form`` and ``mask``.

        Raises:
            ParameterError: it is neither, or there is no such form.
        """
        if isinstance(choice, Layout):
            return choice
        given = choice if isinstance(choice, Mapping) else {"form": choice}
        form, mask = given.get("form"), given.get("mask")
        if (
            not isinstance(form, str)
            or not isinstance(mask, str | None)
            or not given.keys() <= {"form", "mask"}
        ):
            raise ParameterError(
                "layout: expected the axes of the tapped tensor, such as 'B C N', or a mapping "
                f"with its form and a mask of the batch, got {choice!r}"
            )
        form = " ".join(form.split())
        if form not in _FORMS:
            raise ParameterError(f"layout: there is no {form!r}; {suggestion(form, _FORMS)}")
        if mask is not None and not form.startswith("B"):
            raise ParameterError(f"layout: a mask is of nodes of samples, which {form!r} has not")
        return cls(form, mask)

    @property
    def per_sample(self) -> bool:
        """Whether the first axis is that of samples."""
        return self.form.startswith("B")

    @property
    def divisible(self) -> bool:
        """Whether a tensor can be divided among samples along its first axis."""
        return self.form[0] in "BN"

    def sizes(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Return the numbers of rows and of features that ``shape`` has."""
        rows, features = _FORMS[self.form]
        return prod(shape[axis] for axis in rows), prod(shape[axis] for axis in features)

    def reads_as(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """Return what is the same for layouts that make the same rows of ``shape``."""
        return tuple(tuple(axis for axis in axes if shape[axis] != 1) for axes in _FORMS[self.form])

    def rows(self, features: Tensor) -> Tensor:
        """Return ``features`` as ``[rows, features]``, padding included."""
        rows, columns = _FORMS[self.form]
        count, width = self.sizes(tuple(features.shape))
        return features.permute(*rows, *columns).reshape(count, width)

    def __str__(self) -> str:
        return self.form if self.mask is None else f"{self.form} of {self.mask}"


LayoutChoice: TypeAlias = str | Mapping[str, object] | Layout
"""How a term says what the axes of a tapped tensor are; see :meth:`Layout.parse`."""


def layouts(num_axes: int) -> Iterator[Layout]:
    """Yield the layouts of tensors with this number of axes, without masks."""
    for form, axes in _FORMS.items():
        if sum(map(len, axes)) == num_axes:
            yield Layout(form)
