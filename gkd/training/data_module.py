"""Training batches, in an order that depends on (seed, epoch) alone."""

from functools import partial

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from gkd.data import AbstractDataset, Sample, collate
from gkd.training.sampler import EpochSampler
from gkd.training.seeds import derived_seed, set_random_state


class TrainingBatches(LightningDataModule):
    """The dataset's training samples, shared out among the processes.

    Args:
        dataset: what to train on.
        batch_size: samples per step, over all processes together.
        seed: of the order.
        workers: processes that prepare batches.
    """

    def __init__(
        self, dataset: AbstractDataset, batch_size: int, seed: int, workers: int = 0
    ) -> None:
        super().__init__()
        self.workers = workers
        self.dataset = dataset
        self.batch_size = batch_size
        self.seed = seed

    def train_dataloader(self) -> "DataLoader[Sample]":
        """Loader whose sampler Lightning tells the epoch."""
        assert self.trainer is not None
        rank, processes = self.trainer.global_rank, self.trainer.world_size
        samples = _TrainingSamples(self.dataset)
        sampler = EpochSampler(len(samples), self.seed, rank, processes)
        return DataLoader(
            samples,
            batch_size=self.batch_size // processes,
            sampler=sampler,
            collate_fn=collate,
            num_workers=self.workers,
            worker_init_fn=partial(_seed_worker, sampler),
            # A loader draws a seed for its workers; from a generator of its own, so that the
            # global random state does not depend on how often a loader was started.
            generator=torch.Generator(),
        )


def _seed_worker(sampler: EpochSampler, worker: int) -> None:
    # Workers start anew in every epoch, after the sampler and the data set were told of it.
    set_random_state(derived_seed(sampler.seed, "worker", sampler.epoch, sampler.rank, worker))


class _TrainingSamples(Dataset[Sample]):
    """The training split as it is at each moment: ``set_epoch`` may exchange it."""

    def __init__(self, dataset: AbstractDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset.train)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset.train[index]
