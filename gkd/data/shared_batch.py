"""Batches of which each of several processes runs its networks on a share."""

from collections.abc import Callable, Sequence
from typing import Self, TypeVar, overload

from torch import Tensor

from gkd.data.batch import Batch, collate
from gkd.data.sample import Sample

T = TypeVar("T")


class SharedBatch(Batch):
    """A whole batch that knows which of its samples are this process's own.

    What reads the batch sees the whole: labels, masks, edges, names of samples. Networks run on
    :func:`own_share` of it.

    Args:
        samples: of the whole batch, the same in every process.
        rank: which process this is.
        processes: how many there are.

    >>> import torch
    >>> samples = [Sample(id=name, x=torch.ones(2, 1)) for name in "abcde"]
    >>> [own_share(SharedBatch(samples, rank, processes=3)).ids for rank in range(3)]
    [('a', 'b'), ('c', 'd'), ('e',)]
    """

    def __init__(self, samples: Sequence[Sample], rank: int, processes: int) -> None:
        whole, own = collate(samples), shares(samples, processes)[rank]
        super().__init__(dict(whole.items()), whole.ids, whole.extents)
        self._idle = not own
        # Networks cannot run on nothing: without a sample of its own a process takes all of them,
        # and what they become there does not count.
        self._share = collate(own) if own else whole

    def _mapped(self, function: Callable[[Tensor], Tensor]) -> Self:
        other = super()._mapped(function)
        other._share = self._share._mapped(function)
        return other


@overload
def own_share(batch: SharedBatch) -> Batch: ...
@overload
def own_share(batch: object) -> object: ...
def own_share(batch: object) -> object:
    """Return what the networks of this process run on: all of a batch that is not shared."""
    return batch._share if isinstance(batch, SharedBatch) else batch


def is_idle(batch: SharedBatch) -> bool:
    """Whether no sample of the batch is this process's own, as there are too few."""
    return batch._idle


def shares(samples: Sequence[T], processes: int) -> list[Sequence[T]]:
    """Return the samples of each process: the first ones have one more where they do not divide.

    >>> shares([1, 2, 3, 4, 5], 3)
    [[1, 2], [3, 4], [5]]
    """
    least, more = divmod(len(samples), processes)
    ends = [least * (rank + 1) + min(rank + 1, more) for rank in range(processes)]
    return [samples[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
