"""Laws of datasets: the same again, here and elsewhere."""

import pickle
import random
from collections.abc import Sequence

import numpy as np
import torch

from gkd.data import AbstractDataset, Sample
from gkd.testing.law import law, require
from gkd.testing.laws.dataset_samples import some
from gkd.testing.other_process import elsewhere
from gkd.testing.random_states import seeded
from gkd.testing.subject import Subject


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
    with seeded(1):
        first = some(data)
    with seeded(2):
        again = some(data)
    require_same(again, first, "asked again")


@law("dataset")
def same_data_for_the_same_parameters(subject: Subject) -> None:
    """Equal parameters must give equal data, or results cannot be compared."""
    require_same(some(subject.create(seed=1)), some(subject.create(seed=2)), "made again")


@law("dataset")
def random_state_left_alone(subject: Subject) -> None:
    """Reading data must not change what the training draws next."""
    data = subject.specimen
    with seeded(0):
        before = _random_states()
        some(data)
        for library, state in _random_states().items():
            unchanged = state == before[library]
            require(unchanged, f"reading samples draws from the random state of {library}")


def _random_states() -> dict[str, object]:
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002  others may draw from it
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": str(numpy_state["state"]["pos"]) + str(numpy_state["state"]["key"].tolist()),
        "random": random.getstate(),
    }


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
    require_same(elsewhere(some, data), some(data), "in another process")
