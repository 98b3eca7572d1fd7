"""Training batches in an order that depends on (seed, epoch) alone, and validation batches."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from gkd.data import AbstractDataset, NeighbourLoader, Sample, collate
from gkd.data.loader_workers import end_quietly
from gkd.data.shared_batch import SharedBatch
from gkd.errors import ParameterError
from gkd.recipe.training import TrainingRecipe
from gkd.training.seeds import derived_seed, set_random_state


class DataModule(LightningDataModule):
    """The dataset's training samples, whose batches the processes share, and its validation split.

    Args:
        dataset: what to train and to validate on.
        training: batches, and the processes that prepare them.
        seed: of the order.
    """

    def __init__(self, dataset: AbstractDataset, training: TrainingRecipe, seed: int) -> None:
        super().__init__()
        self.dataset = dataset
        self.training = training
        self.seed = seed

    def train_dataloader(self) -> "DataLoader[Any]":
        """Loader whose sampler Lightning tells the epoch."""
        assert self.trainer is not None
        # Lightning starts the workers of the first epoch, a resumed one included, before it tells
        # the sampler which it is; `current_epoch` still is the one that the checkpoint ended.
        done = self.trainer.fit_loop.epoch_progress.current
        epoch: int = done.processed  # type: ignore[attr-defined]  # its annotation is narrow
        training = self.training
        if training.sampling is not None:
            loader = neighbour_loader(self.dataset, training, self.seed)
            loader.set_epoch(epoch)
            return loader
        processes = self.trainer.world_size
        shared = partial(SharedBatch, rank=self.trainer.global_rank, processes=processes)
        sampler = EpochSampler(self.dataset, self.seed)
        sampler.set_epoch(epoch)
        return DataLoader(
            _TrainingSamples(self.dataset),
            batch_size=training.batch_size,
            sampler=sampler,
            drop_last=training.drop_last,
            collate_fn=collate if processes == 1 else shared,
            num_workers=training.workers,
            worker_init_fn=partial(_begin_worker, sampler),
            # A loader draws a seed for its workers; from a generator of its own, so that the
            # global random state does not depend on how often a loader was started.
            generator=torch.Generator(),
        )

    def val_dataloader(self) -> "DataLoader[Sample]":
        """Loader of the whole validation split, for every process."""
        return DataLoader(
            self.dataset.validation,  # type: ignore[arg-type]  # a sequence is all it has to be
            batch_size=self.training.graphs_per_pass,
            collate_fn=collate,
            generator=torch.Generator(),  # as above
        )


def neighbour_loader(
    dataset: AbstractDataset, training: TrainingRecipe, seed: int
) -> NeighbourLoader:
    """Return the sampled neighbourhoods of a dataset's training graph.

    Args:
        dataset: with one graph to train on, the same in every epoch.
        training: that samples.
        seed: of order and draws.

    Raises:
        ParameterError: it has several graphs, or they change.
        DataError: the graph has no such rows, or tensors that cannot be divided.
    """
    assert training.sampling is not None
    if dataset.augmented or len(dataset.train) != 1:
        found = "graphs that differ from epoch to epoch" if dataset.augmented else "graphs"
        raise ParameterError(
            f"sampling: neighbourhoods are sampled from one graph, but the dataset has "
            f"{len(dataset.train)} training {found}; batch_size alone takes some of them in a step"
        )
    rows = training.sampling.rows
    return NeighbourLoader(
        dataset.train[0],
        training.sampling.neighbours,
        training.batch_size,
        rows=dataset.rows.get("train", "all") if rows is None else rows,
        seed=derived_seed(seed, "neighbours"),
        drop_last=training.drop_last,
        num_workers=training.workers,
    )


def _begin_worker(sampler: "EpochSampler", worker: int) -> None:
    end_quietly(worker)
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
