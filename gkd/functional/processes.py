"""What processes that train together hold, put side by side."""

import torch
from torch import Tensor, distributed


def gather_rows(rows: Tensor) -> Tensor:
    """Return the rows of all processes, in their order: the same in each of them.

    Without other processes these are the rows themselves. All processes must call it, each with as
    many rows as it has. No gradient flows through.

    Args:
        rows: ``[n, ...]``, n of this process; the rest as in the others.

    >>> gather_rows(torch.tensor([3, 1]))
    tensor([3, 1])
    """
    rows = rows.detach()
    if not (distributed.is_available() and distributed.is_initialized()):
        return rows
    size = distributed.get_world_size()
    if size == 1:
        return rows
    own = torch.tensor([len(rows)], device=rows.device)
    counts = [torch.empty_like(own) for _ in range(size)]
    distributed.all_gather(counts, own)
    lengths = [int(count) for count in counts]
    # Collectives take equal shapes alone.
    padded = rows.new_zeros(max(lengths), *rows.shape[1:])
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in range(size)]
    distributed.all_gather(parts, padded)
    return torch.cat([part[:count] for part, count in zip(parts, lengths, strict=True)])
