"""Data that can be trained on and are probably a mistake: said before anything is trained."""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gkd.data import AbstractDataset, Sample
from gkd.data.batch_attributes import tensor_attribute
from gkd.data.rows import Rows
from gkd.data.task import Task
from gkd.distillation.task_choice import find_task
from gkd.errors import DataError
from gkd.evaluation.splits import SPLITS
from gkd.files import checksum

_WIDE = ("x", "pos", "edge_attr")
"""Inputs that have the same columns in every sample; others may be matrices of nodes."""


def doubtful_data(dataset: AbstractDataset, splits: Sequence[str] = SPLITS) -> list[str]:
    """Return in words what is odd about the samples and labels of these splits of a dataset.

    All of them are read, as what is tested on is otherwise looked at when all is trained.

    Raises:
        DataError: no network can answer to a sample; no row of a split has a label, or one has a
            label that the task does not take.
    """
    task = find_task(dataset.task)
    # Those of a task that makes its own examples are its own affair.
    has_labels = type(task).examples is Task.examples
    inputs, copies, notes = _Inputs(dataset.inputs, task.target), _Copies(), []
    for split in splits:
        samples, labels = getattr(dataset, split), _Labels(task, dataset.num_classes, split)
        rows = Rows.parse(dataset.rows.get(split, "all"))
        for sample in (samples[index] for index in range(len(samples))):
            with _named(f"the {split} split, sample {sample.id!r}"):
                inputs.look(sample)
            # One graph whose masks nobody uses is told as that.
            if not dataset.rows and "train_mask" not in sample:
                copies.look(sample, split)
            if has_labels:
                y = tensor_attribute(sample, task.target, "target")
                taken = rows.of(sample, len(y))
                with _named(f"labels of the {split} split, sample {sample.id!r}"):
                    labels.look(y if taken is None else y[taken])
        notes += copies.doubts(split, len(samples))
        notes += labels.doubts() if has_labels else []
    return [*notes, *inputs.doubts]


@contextmanager
def _named(where: str) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


@dataclass
class _Inputs:
    """What networks are called with, by name, and how wide each was in the first sample.

    Some networks are called with more of a sample, which is no mistake unless they are: a doubt.
    """

    names: Sequence[str]
    target: str
    doubts: list[str] = field(default_factory=list)
    first: dict[str, tuple[str, int]] = field(default_factory=dict)

    def look(self, sample: Sample) -> None:
        if sample.num_nodes == 0 and "batch" in self.names:
            raise DataError("it has no nodes, of which a network could make the answer of a graph")
        for name in self.names:
            value = getattr(sample, name, None)
            if not isinstance(value, Tensor):
                continue
            if fault := _not_finite(name, value):
                raise DataError(
                    f"{fault}: what is not a finite number makes every answer NaN; leave such rows "
                    "out, or fill them"
                )
            if name in _WIDE and value.ndim == 2:
                other, width = self.first.setdefault(name, (sample.id, value.shape[1]))
                if value.shape[1] != width:
                    raise DataError(
                        f"{name} has {value.shape[1]} columns, and that of sample {other!r} {width}"
                    )
        others = [name for name in sample.keys() if name not in {*self.names, self.target}]  # noqa: SIM118
        faults = (_not_finite(name, getattr(sample, name)) for name in others)
        if not self.doubts and (fault := next(filter(None, faults), None)):
            self.doubts.append(
                f"sample {sample.id!r}: {fault}: a network that is called with it answers NaN"
            )


def _not_finite(name: str, value: Tensor) -> str | None:
    """Say which number of a tensor is not finite, if one is not."""
    if not value.is_floating_point() or bool((finite := value.isfinite()).all()):
        return None
    place = tuple((~finite).nonzero()[0].tolist())
    return f"{name}[{', '.join(map(str, place))}] is {float(value[place])}"


@dataclass
class _Copies:
    """Samples that are in several splits; small graphs may well be alike, so it is no error."""

    owners: dict[str, tuple[str, str]] = field(default_factory=dict)
    found: list[tuple[str, str, str]] = field(default_factory=list)

    def look(self, sample: Sample, split: str) -> None:
        content = checksum(dict(sample.items()))
        owner, first = self.owners.setdefault(content, (split, sample.id))
        if owner != split:
            self.found.append((sample.id, owner, first))

    def doubts(self, split: str, count: int) -> list[str]:
        found, self.found = self.found, []
        if not found:
            return []
        sample, owner, first = found[0]
        return [
            f"{len(found)} of {count} samples of the {split} split are in {owner}, too, with the "
            f"same features and labels (sample {sample!r} is {first!r}): what is tested on should "
            "not have been trained on"
        ]


@dataclass
class _Labels:
    """Labels of a split: how many rows have some, the extremes of each column, and the classes."""

    task: Task
    num_classes: int
    split: str
    rows: int = 0
    least: Tensor | None = None
    most: Tensor | None = None
    classes: Tensor | None = None

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(0)
        self.metrics = self.task.metrics(self.num_classes)

    def look(self, y: Tensor) -> None:
        self.task.check(torch.zeros(()).expand(len(y), self.num_classes), y)
        known = self.task.known(y)
        if self.split != "train":
            self._score(y)
        elif y.ndim == 1 and not y.is_floating_point():
            found = torch.bincount(y[known].flatten(), minlength=self.num_classes)
            self.classes = found if self.classes is None else self.classes + found
        if not len(y):
            return
        y, known = y.reshape(len(y), -1).double(), known.reshape(len(y), -1)
        least = torch.where(known, y, math.inf).amin(0)
        most = torch.where(known, y, -math.inf).amax(0)
        self.rows += int(known.any(1).sum())
        self.least = least if self.least is None else torch.minimum(self.least, least)
        self.most = most if self.most is None else torch.maximum(self.most, most)

    def _score(self, y: Tensor) -> None:
        """Score answers at random: what is no number for them is none for any."""
        outputs = torch.randn(len(y), self.num_classes, generator=self.generator)
        self.metrics.update(outputs, y)

    def doubts(self) -> list[str]:
        if not self.rows:
            raise DataError(f"no row of the {self.split} split has a label")
        if self.split != "train":
            return self._of_metrics()
        if not self._differ:
            if self.rows == 1:
                return []
            return [f"all {self.rows} training rows have one label: there is nothing to learn"]
        return self._of_classes()

    @property
    def _differ(self) -> bool:
        if self.least is None or self.most is None:
            return False
        return bool((self.most > self.least).any())

    def _of_classes(self) -> list[str]:
        if self.classes is None or bool(self.classes.all()):
            return []
        lacking = (self.classes == 0).nonzero().flatten().tolist()
        hint = "; classes are numbered from 0" if lacking[0] == 0 else ""
        some = ", ".join(map(str, lacking[:3])) + (", ..." if len(lacking) > 3 else "")
        return [
            f"{len(lacking)} of {self.num_classes} classes have no training label, so that no "
            f"network can learn them: {some}{hint}"
        ]

    def _of_metrics(self) -> list[str]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = float(self.metrics.compute()[self.task.metric])
        if not math.isnan(value):
            return []
        return [
            f"{self.task.metric} of the {self.split} split is not a number whatever a network "
            "answers, as where all its labels are of one class: nothing can be chosen or compared "
            "by it; take another metric or split"
        ]
