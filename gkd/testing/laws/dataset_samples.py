"""Laws of datasets: what the samples are like."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gkd.data import AbstractDataset, Sample, collate
from gkd.distillation.task import TASKS, task_named
from gkd.errors import DataError
from gkd.testing.law import law, require
from gkd.testing.laws.comparison import require_finite
from gkd.testing.subject import Subject

SPLITS = ("train", "validation", "test")
_SHOWN = 3


def splits(dataset: AbstractDataset) -> dict[str, Sequence[Sample]]:
    """Return the three splits by name."""
    return {name: getattr(dataset, name) for name in SPLITS}


def some(dataset: AbstractDataset) -> list[Sample]:
    """Return a few samples of every split: the first ones and the last."""
    places = {split: [*range(min(_SHOWN, len(s))), -1] for split, s in splits(dataset).items()}
    return [splits(dataset)[split][place] for split in places for place in places[split]]


@law("dataset")
def says_what_it_is(subject: Subject) -> None:
    """Models and tasks are made from what a dataset says of itself."""
    data: AbstractDataset = subject.specimen
    for attribute in ("task", "num_features", "num_classes", "inputs", "augmented"):
        require(hasattr(data, attribute), f"it has no attribute {attribute}")
    require(data.task in TASKS, f"task is {data.task!r}, not one of {', '.join(TASKS)}")
    for attribute in ("num_features", "num_classes"):
        value = getattr(data, attribute)
        require(type(value) is int and value >= 1, f"{attribute} is {value!r}")
    names = data.inputs
    require(
        isinstance(names, tuple) and bool(names) and all(isinstance(name, str) for name in names),
        f"inputs is {names!r}, not a tuple of names",
    )
    require(isinstance(data.augmented, bool), f"augmented is {data.augmented!r}, not a bool")


@law("dataset")
def splits_are_sequences(subject: Subject) -> None:
    """Loaders ask for samples by number, and stop where there is none."""
    for name, split in splits(subject.specimen).items():
        size = len(split)
        require(size > 0, f"{name} is empty")
        require(isinstance(split[0], Sample), f"{name}[0] is a {type(split[0]).__name__}")
        require(split[-1].id == split[size - 1].id, f"{name}[-1] is not the last sample")
        try:
            split[size]
        except IndexError:
            continue
        raise AssertionError(f"{name}[{size}] exists, but there are {size} samples")


@law("dataset")
def splits_share_no_sample(subject: Subject) -> None:
    """A sample that is trained on and tested on makes the test worthless."""
    owner: dict[str, str] = {}
    for name, split in splits(subject.specimen).items():
        for index in range(len(split)):
            sample = split[index]
            if sample.id in owner:
                raise AssertionError(f"{sample.id!r} is in {owner[sample.id]} and again in {name}")
            owner[sample.id] = name


@law("dataset")
def samples_fit_the_description(subject: Subject) -> None:
    """The first layer of a model has the width that the dataset names."""
    data: AbstractDataset = subject.specimen
    for sample in some(data):
        batch = collate([sample])
        for name in data.inputs:
            value = getattr(batch, name, None)
            require(isinstance(value, Tensor), f"sample {sample.id!r} has no input {name!r}")
        first = getattr(batch, data.inputs[0])
        require(
            first.ndim == 2 and first.shape[1] == data.num_features,
            f"sample {sample.id!r}: {data.inputs[0]} has the shape {list(first.shape)}, but "
            f"num_features is {data.num_features}",
        )
        for name, tensor in sample.items():
            if tensor.is_floating_point():
                require_finite(tensor, f"sample {sample.id!r}: {name}")


@law("dataset")
def labels_fit_the_task(subject: Subject) -> None:
    """Labels that do not fit the task would train on nonsense."""
    data: AbstractDataset = subject.specimen
    task = task_named(data.task)
    for sample in some(data):
        require("y" in sample, f"sample {sample.id!r} has no labels y")
        require(
            len(sample.y) in (1, sample.num_nodes),
            f"sample {sample.id!r}: y has {len(sample.y)} rows, for {sample.num_nodes} nodes",
        )
        try:
            task.check(torch.zeros(len(sample.y), data.num_classes), sample.y)
        except DataError as error:
            raise AssertionError(f"sample {sample.id!r}: {error}") from error


@law("dataset")
def samples_make_a_batch(subject: Subject) -> None:
    """Training takes samples together, and reports take them apart again."""
    for split in splits(subject.specimen).values():
        samples = [split[index] for index in range(min(_SHOWN, len(split)))]
        parts = collate(samples).split()
        for sample, part in zip(samples, parts, strict=True):
            for name, tensor in sample.items():
                same = torch.equal(tensor, getattr(part, name))
                require(same, f"sample {sample.id!r}: {name} changes in a batch")
