"""The laws of datasets."""

import pickle
from collections.abc import Sequence

import torch
from torch import Tensor

from gkd.data import AbstractDataset, Sample, collate
from gkd.data.rows import require_mask_used
from gkd.distillation.task_choice import find_task
from gkd.errors import DataError, GkdError
from gkd.evaluation.splits import SPLITS, require_separate_splits
from gkd.testing.law import law
from gkd.testing.laws.declarations import declarations_are_known
from gkd.testing.laws.global_state import require_left_alone, require_nothing_drawn
from gkd.testing.laws.requirements import require, require_finite
from gkd.testing.other_process import call_elsewhere
from gkd.testing.subject import Subject, fixed_seed

_SHOWN = 3


def splits(dataset: AbstractDataset) -> dict[str, Sequence[Sample]]:
    """Return the three splits by name."""
    return {name: getattr(dataset, name) for name in SPLITS}


def some(dataset: AbstractDataset) -> list[Sample]:
    """Return a few samples of every split: the first ones and the last."""
    places = {split: [*range(min(_SHOWN, len(s))), -1] for split, s in splits(dataset).items()}
    return [splits(dataset)[split][place] for split in places for place in places[split]]


@law("dataset", premise=True)
def says_what_it_is(subject: Subject) -> None:
    """Models and tasks are made from what a dataset says of itself."""
    data: AbstractDataset = subject.specimen
    for attribute in ("task", "num_features", "num_classes", "inputs", "augmented"):
        require(hasattr(data, attribute), f"it has no attribute {attribute}")
    try:
        find_task(data.task)
    except GkdError as error:
        raise AssertionError(f"its task cannot be had: {error}") from error
    for attribute in ("num_features", "num_classes"):
        value = getattr(data, attribute)
        require(type(value) is int and value >= 1, f"{attribute} is {value!r}")
    names = data.inputs
    require(
        isinstance(names, tuple) and bool(names) and all(isinstance(name, str) for name in names),
        f"inputs is {names!r}, not a tuple of names",
    )
    require(isinstance(data.augmented, bool), f"augmented is {data.augmented!r}, not a bool")


@law("dataset", premise=True)
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
def splits_share_no_row(subject: Subject) -> None:
    """A sample, or a row of one, that is trained on and tested on makes the test worthless."""
    data: AbstractDataset = subject.specimen
    try:
        require_separate_splits(data)
    except DataError as error:
        raise AssertionError(str(error)) from error
    if data.rows:
        return  # of one graph, each split may take some rows
    owner: dict[str, str] = {}
    for name, split in splits(data).items():
        for index in range(len(split)):
            sample = split[index]
            if sample.id in owner:
                raise AssertionError(f"{sample.id!r} is in {owner[sample.id]} and again in {name}")
            owner[sample.id] = name


@law("dataset")
def masks_are_declared(subject: Subject) -> None:
    """A mask that the dataset does not name goes unused: labels to test on would train."""
    data: AbstractDataset = subject.specimen
    if "train" not in data.rows:
        for sample in some(data):
            try:
                require_mask_used(sample)
            except DataError as error:
                raise AssertionError(f"sample {sample.id!r}: {error}") from error


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
        task = find_task(data.task)
        for name, tensor in sample.items():
            if tensor.is_floating_point():
                numbers = tensor[task.known(tensor)] if name == task.target else tensor
                require_finite(numbers, f"sample {sample.id!r}: {name}")


@law("dataset")
def labels_fit_the_task(subject: Subject) -> None:
    """Labels that do not fit the task would train on nonsense."""
    data: AbstractDataset = subject.specimen
    task = find_task(data.task)
    for sample in some(data):
        rows = sample.num_nodes
        if task.target in sample and "edge_label_index" not in sample:
            rows = len(getattr(sample, task.target))
            require(
                rows in (1, sample.num_nodes),
                f"sample {sample.id!r}: {task.target} has {rows} rows, for {sample.num_nodes} "
                "nodes",
            )
        try:
            outputs = torch.zeros(rows, data.num_classes)
            task.check(*task.examples(outputs, sample, task.target))
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


def require_same(result: Sequence[Sample], expected: Sequence[Sample], when: str) -> None:
    """Require that samples hold the same, bit by bit."""
    for one, other in zip(result, expected, strict=True):
        require(one.id == other.id, f"{when}, sample {other.id!r} is {one.id!r}")
        require(one.keys() == other.keys(), f"{when}, sample {one.id!r} has {one.keys()}")
        for name, tensor in one.items():
            same = torch.equal(tensor, getattr(other, name))
            require(same, f"{when}, {name} of sample {one.id!r} differs")


@law("dataset")
def same_sample_each_time(subject: Subject) -> None:
    """Within an epoch a sample is the same for whoever asks, in whatever order."""
    data = subject.specimen
    # Under different seeds: a sample must not depend on what was drawn before it was asked for.
    with fixed_seed(1):
        first = some(data)
    with fixed_seed(2):
        again = some(data)
    require_same(again, first, "asked again")


@law("dataset")
def same_data_for_the_same_parameters(subject: Subject) -> None:
    """Equal parameters must give equal data, or results cannot be compared."""
    require_same(some(subject.create(seed=1)), some(subject.specimen), "made again")


@law("dataset")
def global_state_left_alone(subject: Subject) -> None:
    """Reading data must not change what the training draws next, nor what is set for all."""
    require_left_alone(lambda: subject.make(**subject.params), "making it")
    require_nothing_drawn(lambda: some(subject.specimen), "reading samples")


@law("dataset")
def epochs_change_what_is_declared(subject: Subject) -> None:
    """What was computed from a sample is kept over epochs unless it is declared to change."""
    data: AbstractDataset = subject.create()
    data.set_epoch(0)
    first, held_out = list(_first(data.train)), [*_first(data.validation), *_first(data.test)]
    data.set_epoch(1)
    second = list(_first(data.train))
    require_same([*_first(data.validation), *_first(data.test)], held_out, "in another epoch")
    if data.augmented:
        require(
            any(_differ(one, other) for one, other in zip(first, second, strict=True)),
            "it declares augmented = True, but the samples of epoch 1 are those of epoch 0",
        )
    else:
        require_same(second, first, "without augmented = True, in another epoch")
    data.set_epoch(0)
    require_same(list(_first(data.train)), first, "in epoch 0 again")


@law("dataset")
def seeds_share_the_description(subject: Subject) -> None:
    """A run compares networks over seeds, which must be of the same sizes and the same task."""
    data: AbstractDataset = subject.specimen
    for seed in (0, 1):
        with fixed_seed(1):
            own = data.for_seed(seed)
        if own is data:
            continue
        for attribute in ("task", "num_features", "num_classes", "inputs", "rows", "augmented"):
            here, there = getattr(own, attribute), getattr(data, attribute)
            require(here == there, f"for seed {seed}, {attribute} is {here!r}, not {there!r}")
        with fixed_seed(2):
            require_same(some(data.for_seed(seed)), some(own), f"asked again for seed {seed}")
        try:
            require_separate_splits(own)
        except DataError as error:
            raise AssertionError(f"for seed {seed}, {error}") from error


def _differ(one: Sample, other: Sample) -> bool:
    return not all(torch.equal(tensor, getattr(other, name)) for name, tensor in one.items())


def _first(split: Sequence[Sample], count: int = 4) -> list[Sample]:
    return [split[index] for index in range(min(count, len(split)))]


@law("dataset")
def pickles(subject: Subject) -> None:
    """Data loaders send datasets to their processes by pickle."""
    data = subject.specimen
    require_same(some(pickle.loads(pickle.dumps(data))), some(data), "after pickling")


@law("dataset")
def works_in_two_processes(subject: Subject) -> None:
    """Several processes load data together, and none sees the others' memory."""
    data = subject.specimen
    # The other process hashes strings differently: an order taken from a set shows here.
    require_same(call_elsewhere(some, data), some(data), "in another process")


declarations = law("dataset")(declarations_are_known)
