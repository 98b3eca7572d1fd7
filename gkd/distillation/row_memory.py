"""What a loss remembers of rows between steps."""

from typing import Any

import torch
from torch import Tensor, nn

from gkd.functional.draws import uniform_draws
from gkd.functional.processes import gather_rows
from gkd.loss import Step


class RowMemory(nn.Module):
    """Numbers that a loss keeps of each row it has seen, by the row's key.

    A loss has it as a sub-module. It is buffers alone: checkpoints hold it, and a run that is
    resumed goes on with it. Where several processes train together, each row is written in all of
    them, so that their memories are the same.

    Args:
        width: how many numbers a row has.
        spread: new rows begin with numbers drawn evenly between minus this and this, by the row's
            key.
        dtype: of the numbers.

    Attributes:
        values: ``[M, width]``, what is kept of M rows. Never changed in place.

    Example:
        >>> from gkd.loss import View
        >>> memory = RowMemory(width=1)
        >>> view = View(features=torch.zeros(2, 1))
        >>> step = Step.of(view, nodes=torch.tensor([8, 3]))
        >>> places = memory.places(step, "my-loss")
        >>> memory.write(places, torch.tensor([[1.0], [2.0]]))
        >>> memory.values[memory.places(step, "my-loss")]
        tensor([[1.],
                [2.]])
    """

    keys: Tensor
    slots: Tensor
    values: Tensor

    def __init__(self, width: int, spread: float = 0.0, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.width, self.spread, self._shared = width, spread, True
        self.register_buffer("keys", torch.empty(0, dtype=torch.int64))  # ascending
        self.register_buffer("slots", torch.empty(0, dtype=torch.int64))  # place of each key
        self.register_buffer("values", torch.empty(0, width, dtype=dtype))

    def copy(self) -> "RowMemory":
        """Return a memory of the same content, of this process alone.

        For a look without learning, as in validation: what is admitted and written there is gone.
        """
        copy = RowMemory(self.width, self.spread, self.values.dtype)
        copy.keys, copy.slots, copy.values = self.keys, self.slots, self.values
        copy._shared = False
        return copy

    def places(self, step: Step, loss: str) -> Tensor:
        """Return where the rows of a step are in ``values``, int64 ``[N]``; new ones get a place.

        Args:
            step: with the keys.
            loss: that asks, for messages.

        Raises:
            ParameterError: the batch names neither nodes nor samples.
        """
        keys = step.require_keys(loss)
        self._admit(torch.unique(self._gathered(keys)))
        return self.slots[torch.searchsorted(self.keys, keys)]

    def write(self, places: Tensor, values: Tensor) -> None:
        """Keep other values of rows; of a row that several processes have, the mean.

        Args:
            places: int64 ``[N]``, see :meth:`places`.
            values: ``[N, width]``.
        """
        places, values = (self._gathered(z) for z in (places, values.to(self.values.dtype)))
        rows, order = torch.unique(places, return_inverse=True)
        if len(rows) < len(places):
            sums = values.new_zeros(len(rows), self.width).index_add_(0, order, values)
            values = sums / torch.bincount(order, minlength=len(rows))[:, None]
        else:
            values = values[order.argsort()]
        # Not in place: the backward pass of this step may still need what was there.
        self.values = self.values.index_copy(0, rows, values)

    def _gathered(self, rows: Tensor) -> Tensor:
        return gather_rows(rows) if self._shared else rows

    def _admit(self, keys: Tensor) -> None:
        if len(self.keys):
            found = torch.searchsorted(self.keys, keys).clamp_(max=len(self.keys) - 1)
            keys = keys[self.keys[found] != keys]
        if not len(keys):
            return
        begin = len(self.values)
        drawn = (2 * uniform_draws(keys, self.width, seed=0) - 1) * self.spread
        self.values = torch.cat([self.values, drawn.to(self.values.dtype)])
        places = torch.arange(begin, begin + len(keys), device=keys.device)
        self.keys, order = torch.cat([self.keys, keys]).sort()
        self.slots = torch.cat([self.slots, places])[order]

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        # As many rows as were seen when it was saved.
        for name, buffer in list(self.named_buffers()):
            saved = state_dict.get(f"{prefix}{name}")
            if isinstance(saved, Tensor) and saved.shape[1:] == buffer.shape[1:]:
                setattr(self, name, buffer.new_empty(saved.shape))
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def extra_repr(self) -> str:
        """Size, for ``print``."""
        return f"rows={len(self.values)}, width={self.width}"
