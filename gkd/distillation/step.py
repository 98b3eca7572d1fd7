"""Steps: what losses may know of a training step beside the views of networks."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from gkd.data.batch_attributes import value_of
from gkd.data.batch_nodes import BatchNodes
from gkd.distillation.supervised_loss import SupervisedLoss
from gkd.loss import Step, View

_APART = 0x9E3779B97F4A7C15 - 2**64  # odd, so that no two nodes of a sample get one key


@dataclass(frozen=True, slots=True)
class Moment:
    """When a step is: its epoch, and its number in the epoch, both from 0.

    Attributes:
        seed: of what is drawn; None for that of torch.
    """

    epoch: int = 0
    number: int = 0
    seed: int | None = None

    def generator(self, purpose: str, device: torch.device) -> torch.Generator:
        """Return the generator of a purpose in this step.

        Its own: what a term draws must not change what the networks' dropout draws.
        """
        start = torch.initial_seed() if self.seed is None else self.seed
        place = f"{start} {self.epoch} {self.number} {purpose}"
        seed = int.from_bytes(hashlib.sha256(place.encode()).digest()[:7], "big")
        return torch.Generator(device).manual_seed(seed)


def make_step(
    moment: Moment,
    term: str,
    student: str,
    teachers: Sequence[str],
    view: View,
    nodes: BatchNodes,
    supervised: SupervisedLoss,
    second_pass: Callable[..., Tensor],
) -> Step:
    """Return what the loss of a term may know.

    Args:
        moment: when it is.
        term: its name.
        student: name of the network that it trains.
        teachers: names of the networks that it compares with.
        view: of what learns.
        nodes: of the batch.
        supervised: which labels may be used.
        second_pass: runs a network on a batch once more, with other inputs.
    """
    batch, count, device = nodes.batch, view.num_rows, view.device
    labelled = torch.ones(count, dtype=torch.bool, device=device)
    taken = None if supervised.rows is None else supervised.rows.of(batch, count)
    if taken is not None:
        labelled[:] = False
        labelled[taken] = True
    names = nodes.names_of(count)
    return Step(
        labels=value_of(batch, supervised.target),
        labelled=labelled,
        nodes=torch.arange(count, device=device) if names is None else names,
        samples=nodes.ids,
        epoch=moment.epoch,
        number=moment.number,
        batch=batch,
        generator=moment.generator(f"term {term}", device),
        logits=partial(second_pass, batch),
        keys=row_keys(nodes, count, device, view.batch),
        teachers=tuple(teachers),
        student=student,
    )


def row_keys(
    nodes: BatchNodes, count: int, device: torch.device, samples: Tensor | None = None
) -> Tensor | None:
    """Return a number for each row that no other row has, int64 ``[N]``.

    By the batch's ``n_id``; else by the names of its samples (``ids``) and the place within the
    sample, hashed: of a million rows, two have one key with a probability of 3e-8.

    Args:
        nodes: of the batch.
        count: N: of its nodes, or of its samples.
        device: where the keys go.
        samples: the sample of each row, where that is known.

    Returns:
        None where the batch has names neither of nodes nor of samples.

    >>> from types import SimpleNamespace
    >>> nodes = BatchNodes(SimpleNamespace(n_id=torch.tensor([4, 9])))
    >>> row_keys(nodes, 2, torch.device("cpu"))
    tensor([4, 9])
    """
    known, names = nodes.names_of(count), nodes.ids
    if known is not None:
        return known.to(device)
    if samples is None:
        samples = nodes.samples_of(count)
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
