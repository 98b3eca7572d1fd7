"""What can be trained on and is probably a mistake: said before anything is trained."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from gkd.data import AbstractDataset, Batch
from gkd.data.batch_attributes import tensor_attribute
from gkd.data.rows import Rows
from gkd.data.task import Task
from gkd.distillation.distiller import Distiller
from gkd.distillation.inputs import declared_inputs, forward_parameters
from gkd.distillation.schedule import Schedule
from gkd.distillation.task_choice import find_task
from gkd.errors import NAMED, DataError
from gkd.evaluation.splits import SPLITS
from gkd.graph import Graph

_OVERWHELMING = 1e6
"""Ratio of gradients beyond which Adam, in single precision, follows the larger alone."""


def doubtful_labels(dataset: AbstractDataset, splits: Sequence[str] = SPLITS) -> list[str]:
    """Return in words what is odd about the labels of these splits of a dataset.

    Raises:
        DataError: no row of a split has a label, or one has a label that the task does not take.
    """
    task = find_task(dataset.task)
    if type(task).examples is not Task.examples:
        return []  # its labels are its own affair
    notes = []
    for split in splits:
        rows = Rows.parse(dataset.rows.get(split, "all"))
        samples, seen = getattr(dataset, split), _Seen()
        for index in range(len(samples)):
            sample = samples[index]
            y = tensor_attribute(sample, task.target, "target")
            taken = rows.of(sample, len(y))
            y = y if taken is None else y[taken]
            # What is tested on is otherwise looked at when all is trained.
            with _named(f"labels of the {split} split, sample {sample.id!r}"):
                task.check(torch.zeros(()).expand(len(y), dataset.num_classes), y)
            if not seen.differ:
                seen.add(y, task.known(y))
        if not seen.rows:
            raise DataError(f"no row of the {split} split has a label")
        if split == "train" and not seen.differ and seen.rows > 1:
            notes.append(f"all {seen.rows} training rows have one label: there is nothing to learn")
    return notes


@contextmanager
def _named(where: str) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def unread_data(network: nn.Module, dataset: AbstractDataset) -> list[str]:
    """Return in words what the data have and a network could take, and is not called with.

    Nothing of one that says itself what it is called with.
    """
    if declared_inputs(network) is not None:
        return []
    others = {*dataset.inputs, *dataset.rows.values(), find_task(dataset.task).target}
    names = [name for name in dataset.train[0].keys() if name not in others]  # noqa: SIM118
    optional = {p.name for p in forward_parameters(network) if p.kind in NAMED}
    if not (unread := [name for name in names if name in optional]):
        return []
    inputs = ", ".join(f'"{name}"' for name in (*dataset.inputs, *unread))
    return [
        f"the data have {', '.join(unread)}, for which its forward has a parameter, and it is "
        f"called with {', '.join(dataset.inputs)} alone: to give it all, say inputs = [{inputs}]"
    ]


@dataclass
class _Seen:
    """Number of labelled rows, smallest and largest known label of each column."""

    rows: int = 0
    least: Tensor | None = None
    most: Tensor | None = None

    def add(self, y: Tensor, known: Tensor) -> None:
        if not len(y):
            return
        y, known = y.reshape(len(y), -1).double(), known.reshape(len(y), -1)
        least = torch.where(known, y, math.inf).amin(0)
        most = torch.where(known, y, -math.inf).amax(0)
        self.rows += int(known.any(1).sum())
        self.least = least if self.least is None else torch.minimum(self.least, least)
        self.most = most if self.most is None else torch.maximum(self.most, most)

    @property
    def differ(self) -> bool:
        if self.least is None or self.most is None:
            return False
        return bool((self.most > self.least).any())


def doubtful_terms(distiller: Distiller, batch: Batch, epochs: int) -> list[str]:
    """Take a batch through the epochs in which terms weigh most, and return what is odd about them.

    Args:
        distiller: prepared; stays in the last of those epochs.
        batch: of training.
        epochs: of the training.
    """
    notes, heaviest = [], {}
    for term in distiller.terms:
        if not isinstance(term.weight, Schedule):  # in every epoch alike
            heaviest[term.name] = 0
            continue
        heaviest[term.name] = max(range(epochs), key=term.weight.weight_at)
        if term.weight.weight_at(heaviest[term.name]) == 0:
            notes.append(f"the term {term.name!r} has no weight in any of {epochs} epochs")
    for epoch in sorted({*heaviest.values()} or {0}):
        distiller.epoch = epoch
        report = distiller(batch)
        notes += [
            f"the loss of the term {name!r} has no gradient, so that it teaches nothing: it is a "
            "constant, detached, or computed under no_grad"
            for name, value in report.terms.items()
            if heaviest[name] == epoch and not value.requires_grad
        ]
        if report.task_weight == 0:
            continue
        for name, share in report.gradient_shares().items():
            if heaviest[name] == epoch and _OVERWHELMING < share < math.inf:
                notes.append(
                    f"the gradient of the term {name!r}, with the weight {report.weights[name]:g} "
                    f"in epoch {epoch + 1}, is {share:.0e} times that of the task, which the "
                    "student will not learn beside it"
                )
    return notes


def late_parameters(distiller: Distiller, known: Sequence[nn.Parameter]) -> list[str]:
    """Name the terms that have made parameters after the optimiser's were collected.

    Args:
        distiller: that has taken a batch.
        known: its parameters before.
    """
    ids = {id(parameter) for parameter in known}
    return [
        f"the loss of the term {name!r} makes parameters while it runs, which no optimiser knows "
        "and nothing trains: it should make them in build(self, student, teacher)"
        for name, loss in distiller.losses.items()
        if any(id(parameter) not in ids for parameter in loss.parameters())
    ]


@dataclass
class CompleteGraphs:
    """Which modules join every node of a sample with every other one, as a k beyond N makes them.

    Attributes:
        notes: one for each such module.
    """

    notes: list[str] = field(default_factory=list)

    @contextmanager
    def watched(self, batch: Batch) -> Iterator[None]:
        """Look at the graphs that modules return for ``batch`` inside."""

        def look(module: nn.Module, arguments: object, output: object) -> None:
            if isinstance(output, Graph) and (size := _joined_completely(output, batch.ptr)):
                self.notes.append(
                    f"{type(module).__name__}({module.extra_repr()}) joins all {size} nodes of a "
                    "sample with each other, as it has too few to choose neighbours from"
                )

        handle = register_module_forward_hook(look)
        try:
            yield
        finally:
            handle.remove()


def _joined_completely(graph: Graph, ptr: Tensor) -> int:
    """Return the size of the smallest sample of which all nodes are joined; 0 if there is none."""
    sizes = ptr.diff()
    if graph.num_nodes != int(ptr[-1]):
        return 0
    others = graph.row_pointer.diff()
    others[graph.target[graph.self_loops]] -= 1  # each edge is there once
    owner = torch.repeat_interleave(sizes)
    lacking = others < sizes[owner] - 1
    complete = (sizes > 2) & (torch.bincount(owner[lacking], minlength=len(sizes)) == 0)
    return int(sizes[complete].min()) if complete.any() else 0
