"""The order of training samples, a function of (seed, epoch) alone."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from gkd.training.seeds import derived_seed


class EpochSampler(Sampler[int]):
    """Shuffled indices, equal for every method of a seed and after every resumption.

    Args:
        length: number of samples.
        seed: of the run.
        rank: which of the ``world_size`` processes this one is.
        world_size: processes that share the samples; the first ones are repeated where the
            samples do not divide evenly, so that all take equally many steps.

    >>> sampler = EpochSampler(5, seed=0)
    >>> sampler.set_epoch(2)
    >>> list(sampler) == list(sampler)
    True
    """

    def __init__(self, length: int, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.length = length
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order is drawn; Lightning calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.length // self.world_size)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(derived_seed(self.seed, "order", self.epoch))
        order = torch.randperm(self.length, generator=generator)
        everyone = len(self) * self.world_size
        shared = order.repeat(-(-everyone // self.length))[:everyone]
        return iter(shared[self.rank :: self.world_size].tolist())
