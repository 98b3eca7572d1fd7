"""Rows: which nodes of a batch a loss takes."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from gkd.data.batch_attributes import attribute, attribute_names, tensor_attribute, value_of
from gkd.data.sampled_batch import SampledBatch
from gkd.errors import DataError, ParameterError, shown

ALL = "all"
SEEDS = "seeds"
_ROWS = re.compile(r"(?P<complement>~?)(?P<name>[^~\[\]]+)(\[(?P<split>\d+)\])?")
_TRAINING_MASKS = ("train_mask", "train_masks")  # PyTorch Geometric's name, and that of node files


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that a loss takes of a batch.

    Args:
        name: attribute of the batch, boolean ``[N]`` or int64 ``[M]`` (row numbers); ``"all"``; or
            ``"seeds"``, the first ``batch.batch_size`` rows, of which a sampled batch holds the
            neighbourhood.
        split: column of a mask ``[N, S]`` of several splits; None where there is one.
        complement: whether the other rows are meant.

    >>> from types import SimpleNamespace
    >>> batch = SimpleNamespace(train_mask=torch.tensor([True, False, True]))
    >>> Rows.parse("train_mask").of(batch, 3), Rows.parse("~train_mask").of(batch, 3)
    (tensor([0, 2]), tensor([1]))
    """

    name: str = ALL
    split: int | None = None
    complement: bool = False

    @classmethod
    def parse(cls, text: object) -> Rows:
        """Read ``all``, ``seeds``, ``mask``, ``mask[3]`` (a column of it) or ``~mask``.

        Raises:
            ParameterError: any other form.
        """
        match = _ROWS.fullmatch(text) if isinstance(text, str) else None
        if match is None or (match["complement"] and match["name"] == ALL):
            raise ParameterError(
                f"{shown(text, 60)} names no rows: expected a mask of the batch such as "
                "'train_mask', 'train_mask[0]' for the first of several splits, '~train_mask' for "
                "the other rows, 'seeds' for those of a sampled batch, or 'all'"
            )
        split = None if match["split"] is None else int(match["split"])
        return cls(match["name"], split, bool(match["complement"]))

    def of(self, batch: object, num_rows: int) -> Tensor | None:
        """Return the numbers of the rows, int64 ``[M]``, ascending; None for all.

        Of a :class:`gkd.data.SampledBatch` they are those among its seeds.

        Args:
            batch: with the attribute.
            num_rows: N, number of rows that there are.

        Raises:
            DataError: the batch has no such attribute, or it does not fit the rows.
        """
        if self.name == ALL and not isinstance(batch, SampledBatch):
            return None
        if self.name in (ALL, SEEDS):
            chosen = self._seeds(batch, num_rows)
        else:
            chosen = self._named(batch, num_rows)
        if self.complement:
            others = torch.ones(num_rows, dtype=torch.bool, device=chosen.device)
            others[chosen] = False
            chosen = others.nonzero().flatten()
        if isinstance(batch, SampledBatch):
            # The seeds come first, and the neighbourhoods of all others were cut.
            chosen = chosen[chosen < batch.batch_size]
        return chosen

    def seeds_of(self, batch: object, num_rows: int) -> Tensor | None:
        """Return the seeds of a sampled batch, int64 ``[S]``; None of any other.

        Another loader's is known by rows that are named ``"seeds"``.

        Args:
            batch: sampled or not.
            num_rows: N, number of rows that there are.
        """
        sampled = isinstance(batch, SampledBatch) or self.name == SEEDS
        return self._seeds(batch, num_rows) if sampled else None

    def _seeds(self, batch: object, num_rows: int) -> Tensor:
        count = attribute(batch, "batch_size", "rows 'seeds'")
        if not isinstance(count, int) or not 0 <= count <= num_rows:
            raise DataError(
                f"rows 'seeds': batch.batch_size must be a number of rows up to {num_rows}, "
                f"got {count!r}"
            )
        nodes = getattr(batch, "n_id", None)
        return torch.arange(count, device=nodes.device if isinstance(nodes, Tensor) else None)

    def _named(self, batch: object, num_rows: int) -> Tensor:
        rows = tensor_attribute(batch, self.name, "rows")
        form = f"{str(rows.dtype).removeprefix('torch.')} of shape {list(rows.shape)}"
        if rows.ndim == 2 and rows.dtype == torch.bool:
            splits = rows.shape[1]
            if self.split is None or self.split >= splits:
                raise DataError(
                    f"rows: batch.{self.name} is {form}, one column for each of {splits} splits; "
                    f"say which, from '{self.name}[0]' to '{self.name}[{splits - 1}]'"
                )
            rows = rows[:, self.split]
        elif self.split is not None:
            raise DataError(f"rows: batch.{self.name} is {form}, and has no split {self.split}")
        if rows.dtype == torch.bool and rows.shape == (num_rows,):
            return rows.nonzero().flatten()
        if rows.dtype != torch.int64 or rows.ndim != 1:
            raise DataError(
                f"rows: batch.{self.name} must be boolean with an entry for each of {num_rows} "
                f"rows, or a list of row numbers (int64), got {form}"
            )
        if rows.numel() and not 0 <= int(rows.min()) <= int(rows.max()) < num_rows:
            raise DataError(
                f"rows: batch.{self.name} holds row numbers from {int(rows.min())} to "
                f"{int(rows.max())}, of {num_rows} rows"
            )
        ascending = rows.sort().values
        if not (ascending.diff() > 0).all():
            raise DataError(f"rows: batch.{self.name} lists a row twice")
        return ascending

    def __str__(self) -> str:
        split = "" if self.split is None else f"[{self.split}]"
        return f"{'~' if self.complement else ''}{self.name}{split}"


def require_mask_used(batch: object) -> None:
    """Make sure that a batch whose labels are all taken does not say which are for training.

    Raises:
        DataError: it brings a mask of the training rows, so that labels to select or to test on
            would train.
    """
    # Where nodes are of several types, those of each.
    typed = [n for n in attribute_names(batch) if n.rpartition(".")[2] in _TRAINING_MASKS]
    for name in (*_TRAINING_MASKS, *typed):
        mask = value_of(batch, name)
        if isinstance(mask, Tensor):
            split = "[0]" if mask.ndim == 2 else ""
            seeds = ", mask='seeds' for a sampled batch" if hasattr(batch, "batch_size") else ""
            raise DataError(
                f"the batch has a {name}, but nobody uses it: all labels would train, those to "
                f"test on, too; say mask='{name}{split}'{seeds}, or mask='all' for every label "
                "(a dataset says rows = {'train': '" + name + split + "', ...})"
            )
