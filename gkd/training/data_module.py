"""Training batches in an order that depends on (seed, epoch) alone, and validation batches."""

from collections.abc import Iterator
from functools import partial

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from gkd.data import AbstractDataset, Sample, collate
from gkd.data.shared_batch import SharedBatch
from gkd.training.seeds import derived_seed, set_random_state


class DataModule(LightningDataModule):
    """The dataset's training samples, whose batches the processes share, and its validation split.

    Args:
        dataset: what to train and to validate on.
        batch_size: samples per step, over all processes together.
        seed: of the order.
        workers: processes that prepare batches.
        drop_last: whether a last batch of fewer samples is left out.
    """

    def __init__(
        self,
        dataset: AbstractDataset,
        batch_size: int,
        seed: int,
        workers: int = 0,
        drop_last: bool = False,
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self.batch_size = batch_size
        self.seed = seed
        self.workers = workers
        self.drop_last = drop_last

    def train_dataloader(self) -> "DataLoader[Sample]":
        """Loader whose sampler Lightning tells the epoch."""
        assert self.trainer is not None
        processes = self.trainer.world_size
        shared = partial(SharedBatch, rank=self.trainer.global_rank, processes=processes)
        sampler = EpochSampler(self.dataset, self.seed)
        # Lightning starts the workers of the first epoch, a resumed one included, before it tells
        # the sampler which it is; `current_epoch` still is the one that the checkpoint ended.
        done = self.trainer.fit_loop.epoch_progress.current
        sampler.set_epoch(done.processed)  # type: ignore[attr-defined]  # its annotation is narrow
        return DataLoader(
            _TrainingSamples(self.dataset),
            batch_size=self.batch_size,
            sampler=sampler,
            drop_last=self.drop_last,
            collate_fn=collate if processes == 1 else shared,
            num_workers=self.workers,
            worker_init_fn=partial(_seed_worker, sampler),
            # A loader draws a seed for its workers; from a generator of its own, so that the
            # global random state does not depend on how often a loader was started.
            generator=torch.Generator(),
        )

    def val_dataloader(self) -> "DataLoader[Sample]":
        """Loader of the whole validation split, for every process."""
        return DataLoader(
            self.dataset.validation,  # type: ignore[arg-type]  # a sequence is all it has to be
            batch_size=self.batch_size,
            collate_fn=collate,
            generator=torch.Generator(),  # as above
        )


def _seed_worker(sampler: "EpochSampler", worker: int) -> None:
    # Workers start anew in every epoch, after the sampler and the data set were told of it.
    set_random_state(derived_seed(sampler.seed, "worker", sampler.epoch, worker))


class _TrainingSamples(Dataset[Sample]):
    """The training split as it is at each moment: ``set_epoch`` may exchange it."""

    def __init__(self, dataset: AbstractDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset.train)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset.train[index]


class EpochSampler(Sampler[int]):
    """Shuffled indices, equal for every method of a seed and after every resumption.

    Lightning's own choice, a ``DistributedSampler``, adds the epoch to the seed: epoch 1 of seed 0
    has the order of epoch 0 of seed 1, and networks that should be independent are tied.

    Args:
        dataset: its training samples are ordered; it is told every epoch.
        seed: of the run.
    """

    def __init__(self, dataset: AbstractDataset, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch; Lightning calls it before the first batch is drawn."""
        self.epoch = epoch
        self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.dataset.train)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(derived_seed(self.seed, "order", self.epoch))
        return iter(torch.randperm(len(self), generator=generator).tolist())
