"""The summary that training leaves of every finished network."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from gkd.errors import DataError, mistakes
from gkd.evaluation.metric import Metric
from gkd.files import read_sealed_json
from gkd.training.epoch_selection import epochs_from_one

FILE_NAME = "summary.json"
_LARGEST = 1e100

Count = Annotated[int, Field(ge=0, lt=2**63)]
Seconds = Annotated[float, Field(ge=0, le=_LARGEST)]


def _small(value: float) -> float:
    if abs(value) > _LARGEST:
        raise ValueError(f"must be a number up to {_LARGEST}, got {value}")
    return value


def _number(value: object) -> object:
    infinite = isinstance(value, float) and not math.isfinite(value)
    return math.nan if value is None or infinite else value


# JSON knows no NaN: a value that is there but is not a number travels as null. What is larger is
# damage: its square, of which deviations are made, is no number.
Number = Annotated[
    float,
    AfterValidator(_small),
    BeforeValidator(_number),
    PlainSerializer(lambda value: value if math.isfinite(value) else None),
]


def _in_order(history: list[dict[str, float]]) -> list[dict[str, float]]:
    epochs = [row.get("epoch") for row in history]
    before = 0.0
    for place, epoch in enumerate(epochs):
        if epoch is None or not epoch.is_integer() or epoch <= before:
            raise ValueError(f"epochs must be whole numbers that grow, [{place}] has {epoch}")
        before = epoch
    return history


class Origin(BaseModel):
    """What the run that wrote a network's given weights says of their training."""

    epochs: Count
    seed: Annotated[int, Field(ge=0, lt=2**64)]


class AsGood(BaseModel):
    """When a student was first as good, in validation, as the baseline of its seed in the end.

    Args:
        epochs: Number of that epoch; None where it never was.
        seconds: Time of training until then; NaN where it was not measured.
    """

    epochs: Count | None = None
    seconds: Number = math.nan


class Summary(BaseModel):
    """One trained network, as its ``summary.json`` has it; further keys are kept.

    Args:
        network: ``"teacher"`` or ``"student"``.
        method: Name of the method; a teacher's is ``"teacher"``.
        seed: Seed it was trained with.
        parameters: Number of scalars in its parameters.
        test: Metrics on the test split, shares as fractions.
        primary_metric: Metric that networks are compared by; absent from old summaries, where it
            is that of the selection.
        metrics: What the metrics' numbers mean; old summaries have shares alone.
        milliseconds_per_sample: Time of inference.
        teacher_milliseconds: That of its run's teacher, measured on the same machine; a report
            notes it, as times of several runs do not compare.
        epochs: Epochs it was trained for; this and the following are absent from a network whose
            weights were given.
        best_epoch: Epoch its weights are from: the selected one, counted from 1, as in the history;
            in the files of older runs from 0.
        selection: Which epoch that is, ``"the epoch with the best validation accuracy"``; in old
            summaries what it is the best by, ``"validation accuracy"``.
        training: Of a teacher, metrics on the training rows, its mean largest probability
            (``confidence``), what a guess has of it (``uniform_confidence``), and its expected
            calibration error.
        certainty: Mean largest probability (``confidence``) on the test split, and the expected
            calibration error (``calibration_error``).
        validation: Metrics on the validation split, shares as fractions.
        training_seconds: Wall-clock time of the whole training.
        seconds_per_epoch: Wall-clock time of one epoch.
        peak_memory_bytes: Memory of a training step, where it could be measured.
        history: One mapping per epoch, of its number, losses and validation metrics.
        as_good: When it was as good as the baseline, as results have it, whose history may lack
            epochs; None of what training leaves, and where it is not known.
        made_by: Hash of what it follows from in its run's recipe, checksum of its teacher.
        checksums: Of the files beside it, by their names.
        origin: Of given weights, how the run that wrote them trained them; None where that is not
            known.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    network: Literal["teacher", "student"]
    method: Annotated[str, Field(max_length=200)]  # it is that of a folder, too
    seed: Annotated[int, Field(ge=0, lt=2**64)]
    parameters: Count
    test: dict[str, Number]
    primary_metric: str | None = None
    metrics: list[Metric] = []
    milliseconds_per_sample: Seconds
    teacher_milliseconds: Seconds | None = None
    epochs: Count | None = None
    best_epoch: Count | None = None
    selection: str | None = None
    training: dict[str, Number] = {}
    validation: dict[str, Number] = {}
    training_seconds: Seconds | None = None
    seconds_per_epoch: Seconds | None = None
    peak_memory_bytes: Count | None = None
    history: Annotated[list[dict[str, Number]], AfterValidator(_in_order)] = []
    as_good: AsGood | None = None
    certainty: dict[str, Number] = {}
    made_by: dict[str, JsonValue] = {}
    checksums: dict[str, str] = {}
    origin: Origin | None = None

    @model_validator(mode="before")
    @classmethod
    def _count_from_one(cls, data: Any) -> Any:
        history = data.get("history") if isinstance(data, dict) else None
        rows = isinstance(history, list) and all(isinstance(row, dict) for row in history)
        if not rows or not history or history[0].get("epoch") != 0:
            return data
        best = data.get("best_epoch")
        counted = {"best_epoch": best + 1} if isinstance(best, int) else {}
        return {**data, "history": epochs_from_one(history), **counted}

    @property
    def key(self) -> tuple[str, str, int]:
        """Network, method and seed: together they identify a network of a run."""
        return (self.network, self.method, self.seed)


def read_summary(path: Path) -> Summary:
    """Read one ``summary.json``.

    Raises:
        DataError: The file is damaged, or a key is missing or of the wrong type.
    """
    try:
        return Summary.model_validate(read_sealed_json(path))
    except ValidationError as error:
        place, sentence = next(mistakes(error, Summary))
        where = ".".join(map(str, place)) or "the whole file"
        raise DataError(f"{path} is not a summary: {where[:100]}: {sentence}") from error


def summaries(folder: Path) -> list[Summary]:
    """Read every summary below a folder.

    Raises:
        DataError: One cannot be read, or two are of the same network.
    """
    found: dict[tuple[str, str, int], Path] = {}
    read = []
    for path in sorted(folder.rglob(FILE_NAME)):
        summary = read_summary(path)
        if summary.key in found:
            raise DataError(f"{found[summary.key]} and {path} are both of {name_of(summary.key)}")
        found[summary.key] = path
        read.append(summary)
    return read


def name_of(key: tuple[str, str, int]) -> str:
    """Name a network in words.

    >>> name_of(("student", "baseline", 1))
    'baseline, seed 1'
    """
    network, method, seed = key
    return f"{'teacher' if network == 'teacher' else method}, seed {seed}"
