"""What rows are called in every step, whatever batch they come in."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from gkd.data.batch_attributes import BatchNodes
from gkd.distillation.tapped_rows import samples_of_rows

_APART = 0x9E3779B97F4A7C15 - 2**64  # odd, so that no two nodes of a sample get one key


def row_keys(
    batch: object, count: int, device: torch.device, samples: Tensor | None = None
) -> Tensor | None:
    """Return a number for each row that no other row has, int64 ``[N]``.

    By the batch's ``n_id``; else by the names of its samples (``ids``) and the place within the
    sample, hashed: of a million rows, two have one key with a probability of 3e-8.

    Args:
        batch: any object with attributes.
        count: N: of its nodes, or of its samples.
        device: where the keys go.
        samples: the sample of each row, where that is known.

    Returns:
        None where the batch has names neither of nodes nor of samples.

    >>> from types import SimpleNamespace
    >>> row_keys(SimpleNamespace(n_id=torch.tensor([4, 9])), 2, torch.device("cpu"))
    tensor([4, 9])
    """
    nodes = getattr(batch, "n_id", None)
    if isinstance(nodes, Tensor) and len(nodes) == count:
        return nodes.to(device)
    names: Sequence[str] = tuple(getattr(batch, "ids", ()))
    if samples is None:
        samples = samples_of_rows(count, BatchNodes(batch))
    if samples is None and len(names) == count:
        samples = torch.arange(count)
    elif samples is None and len(names) == 1:
        samples = torch.zeros(count, dtype=torch.int64)
    if samples is None or not names:
        return None
    samples = samples.to(device)
    sizes = torch.bincount(samples, minlength=len(names))
    starts = sizes.cumsum(0) - sizes
    hashes = [hashlib.sha256(str(name).encode()).digest()[:8] for name in names]
    sample_keys = torch.tensor(
        [int.from_bytes(digest, "big", signed=True) for digest in hashes], device=device
    )
    places = torch.arange(count, device=device) - starts[samples]
    return sample_keys[samples] + places * _APART
