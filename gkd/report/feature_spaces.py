"""What students make of the test samples that a recipe wants looked at, beside their teacher."""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError, model_validator

from gkd.errors import DataError
from gkd.files import read_sealed_json
from gkd.report.summary import Number
from gkd.training.run_directory import FEATURE_SPACE, method_folder

Coordinate = Annotated[float, Field(ge=-1e100, le=1e100)]
_TRAINED = "trained"
Epoch = Annotated[str, Field(pattern=f"^({_TRAINED}|[0-9]{{1,18}})$")]


class FeatureSpace(BaseModel):
    """One network's view, as its ``feature_space.json`` has it.

    Args:
        sample: Id of the sample.
        node: Number of the marked point.
        tap: Where the features are.
        pos: Position of every point.
        distances: By epoch (of the teacher: ``trained``), every feature's distance to the marked
            point's.
        others: The same of further samples, by their ids.
    """

    model_config = ConfigDict(frozen=True)

    sample: str
    node: NonNegativeInt
    tap: str
    pos: list[Annotated[list[Coordinate], Field(min_length=1, max_length=3)]]
    distances: Annotated[dict[Epoch, list[Coordinate]], Field(min_length=1)]
    others: dict[str, dict[Epoch, list[Coordinate]]] = {}

    @property
    def subject(self) -> str:
        """What is looked at, in words: views of one sample from one node have the same."""
        size = f"{len(self.pos)} points in {len(self.pos[0])} dimensions"
        return f"{size} of {self.sample!r} from number {self.node}"

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        sizes = {len(self.pos), *map(len, self.distances.values())}
        if len(sizes) > 1 or self.node >= len(self.pos) or len(set(map(len, self.pos))) > 1:
            raise ValueError(f"has positions and distances of {sorted(sizes)} points")
        return self


class FeatureSpaces(BaseModel):
    """Views of the same sample: the trained teacher's, and the students' of one seed by method."""

    seed: int
    teacher: FeatureSpace
    students: dict[str, FeatureSpace]


RankCorrelations: TypeAlias = dict[str, dict[int, dict[int, Number]]]
"""By method, epoch and seed."""


def feature_spaces(directory: Path, methods: Sequence[str]) -> FeatureSpaces | None:
    """Read the views of the first seed that has any.

    Args:
        directory: Run directory.
        methods: In the order to show them in.

    Raises:
        DataError: A file is not what training writes.
    """
    return next(_by_seed(directory, methods), None)


def rank_correlations(directory: Path, methods: Sequence[str]) -> RankCorrelations:
    """Return how alike students and teacher rank the points, the mean over the samples looked at.

    Args:
        directory: Run directory.
        methods: In the order to return them in.

    Raises:
        DataError: A file is not what training writes.
    """
    found: RankCorrelations = {}
    for spaces in _by_seed(directory, methods):
        (target,) = spaces.teacher.distances.values()
        targets = {spaces.teacher.sample: target}
        targets |= {name: next(iter(one.values())) for name, one in spaces.teacher.others.items()}
        for method, view in spaces.students.items():
            views = {view.sample: view.distances, **view.others}
            for epoch in view.distances:
                values = [
                    rank_correlation(at[epoch], targets[sample])
                    for sample, at in views.items()
                    if epoch in at and len(at[epoch]) == len(targets.get(sample, ()))
                ]
                by_epoch = found.setdefault(method, {}).setdefault(int(epoch), {})
                by_epoch[spaces.seed] = fmean(values) if values else math.nan
    return {name: found[name] for name in methods if name in found}


def rank_correlation(first: list[float], second: list[float]) -> float:
    """Spearman's correlation; NaN where all distances are equal.

    >>> round(rank_correlation([0.0, 1.0, 2.0], [0.0, 10.0, 100.0]), 4)
    1.0
    """
    if min(map(len, map(set, (first, second)))) < 2:
        return math.nan
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def _ranks(values: list[float]) -> NDArray[np.float64]:
    """Return the place of each value among all, from 1 on; equal ones share the mean of theirs."""
    _, groups, sizes = np.unique(values, return_inverse=True, return_counts=True)
    places: NDArray[np.float64] = np.cumsum(sizes) - (sizes - 1) / 2
    return places[groups]


def _by_seed(directory: Path, methods: Sequence[str]) -> Iterator[FeatureSpaces]:
    folders = sorted(
        {
            path.parent.name
            for path in directory.glob(f"students/*/seed-*/{FEATURE_SPACE}")
            if re.fullmatch(r"seed-[0-9]{1,20}", path.parent.name)
        },
        key=lambda name: int(name.removeprefix("seed-")),
    )
    for folder in folders:
        # Where each seed has data of its own, it has a teacher of its own, too.
        own = directory / "teacher" / folder
        teacher = _feature_space((own if own.is_dir() else own.parent) / FEATURE_SPACE)
        if teacher is None:
            continue
        found = {
            name: _feature_space(method_folder(directory, name) / folder / FEATURE_SPACE, teacher)
            for name in methods
        }
        yield FeatureSpaces(
            seed=int(folder.removeprefix("seed-")),
            teacher=teacher,
            students={name: view for name, view in found.items() if view is not None},
        )


def _feature_space(path: Path, teacher: FeatureSpace | None = None) -> FeatureSpace | None:
    """Return what a file holds: the view of a teacher, or of a student beside its teacher's."""
    if not path.is_file():
        return None
    try:
        view = FeatureSpace.model_validate(read_sealed_json(path))
        whole = (
            [*view.distances] == [_TRAINED] if teacher is None else _TRAINED not in view.distances
        )
        if not whole:
            raise DataError(f"{path}: distances are of {', '.join(view.distances)}")
        if teacher is not None and view.subject != teacher.subject:
            raise DataError(f"{path}: it shows {view.subject}, the teacher's {teacher.subject}")
        return view
    except (DataError, ValidationError) as error:
        raise DataError(
            f"{path} is damaged; delete its folder, and the network is trained again"
        ) from error
