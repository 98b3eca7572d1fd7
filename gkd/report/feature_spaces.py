"""What the networks of a run make of one sample, read from their folders."""

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from gkd.errors import DataError
from gkd.evaluation.feature_distances import FILE_NAME
from gkd.training.run_directory import method_folder


class FeatureSpace(BaseModel):
    """One network's view, as its ``feature_space.json`` has it.

    Args:
        sample: Id of the sample.
        node: Number of the marked point.
        tap: Where the features are.
        pos: Position of every point.
        distances: By epoch (of the teacher: ``trained``), every feature's distance to the marked
            point's.
    """

    model_config = ConfigDict(frozen=True)

    sample: str
    node: int
    tap: str
    pos: list[list[float]]
    distances: dict[str, list[float]]


class FeatureSpaces(BaseModel):
    """Views of the same sample: the trained teacher's, and the students' of one seed by method."""

    seed: int
    teacher: FeatureSpace
    students: dict[str, FeatureSpace]


def feature_spaces(directory: Path, methods: Sequence[str]) -> FeatureSpaces | None:
    """Read the views of the first seed that has any.

    Args:
        directory: Run directory.
        methods: In the order to show them in.

    Raises:
        DataError: A file is not what training writes.
    """
    teacher = _read(directory / "teacher" / FILE_NAME)
    folders = sorted(
        {path.parent.name for path in directory.glob(f"students/*/seed-*/{FILE_NAME}")},
        key=lambda name: int(name.removeprefix("seed-")),
    )
    if teacher is None or not folders:
        return None
    found = {
        name: _read(method_folder(directory, name) / folders[0] / FILE_NAME) for name in methods
    }
    return FeatureSpaces(
        seed=int(folders[0].removeprefix("seed-")),
        teacher=teacher,
        students={name: view for name, view in found.items() if view is not None},
    )


def _read(path: Path) -> FeatureSpace | None:
    if not path.is_file():
        return None
    try:
        return FeatureSpace.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, ValidationError) as error:
        raise DataError(
            f"{path} is damaged; delete its folder to train that network anew"
        ) from error
