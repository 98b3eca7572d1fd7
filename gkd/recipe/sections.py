"""What a recipe may ask for beside training: a picture, a search, what others published."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from gkd.recipe.values import Domain, LayoutOfTap, Part


class FeatureSpaceRecipe(Part):
    """A picture of feature spaces: every point's distance to a marked one, in each network.

    Args:
        student: tap of the students' features.
        teacher: tap of the teacher's.
        epochs: after which the students are looked at, from 1; in place of those after the end of
            the training, after its last one.
        sample: id of a test sample whose nodes have positions; by default the first.
        objects: test samples whose distances are compared with the teacher's, that one and others
            from all over the split.
        node: number of the marked point, in every sample.
        student_layout: what the axes of the student's tapped features are, as of a term.
        teacher_layout: what those of the teacher's are.
    """

    student: str
    teacher: str
    epochs: Annotated[list[PositiveInt], Field(min_length=1)]
    sample: str | None = None
    objects: Annotated[int, Field(ge=1, le=10_000)] = 1
    node: NonNegativeInt = 0
    student_layout: LayoutOfTap = None
    teacher_layout: LayoutOfTap = None

    @model_validator(mode="before")
    @classmethod
    def _leave_out_rows(cls, data: Any) -> Any:
        # Recipes of older runs were written with this key, which never had a meaning here.
        if isinstance(data, dict) and data.get("rows") == "all":
            return {key: value for key, value in data.items() if key != "rows"}
        return data


class LoggingRecipe(Part):
    """Where the curves of every network go beside its own ``metrics.csv``, which is always written.

    Args:
        to: loggers: ``"tensorboard"``, ``"wandb"``, ``"mlflow"``; each needs ``pip install
            'gkd[NAME]'``. They are told the settings of each network (network, method, seed, the
            keys of its training) and a row for every epoch, with the scores in validation; nothing
            of the many networks of a sweep.
        project: that a network is entered under: the project of W&B, the experiment of MLflow.
        offline: whether nothing leaves the machine: W&B writes into the network's folder, MLflow
            into ``mlflow.db`` in the run's. False leaves it to their own environment variables.
    """

    to: list[Literal["tensorboard", "wandb", "mlflow"]] = []
    project: Annotated[str, Field(min_length=1)] = "gkd"
    offline: bool = True


class SweepRecipe(Part):
    """What ``gkd sweep`` tries.

    Args:
        trials: of each method, the first with the recipe's own values.
        seeds: of the students of a trial, whose mean counts; never those of the recipe, which
            judge what was found.
        seed: of the search itself.
        pruning: whether a trial ends early that is worse than half of those before it.
        space: what to try, by key, as ``--set`` writes keys: ``"1..1000 log"``, or a list. Keys of
            ``training`` are tried for every method by itself.
    """

    trials: Annotated[int, Field(ge=1, le=100_000)] = 20
    seeds: Annotated[list[NonNegativeInt], Field(min_length=1)] = [100, 101]
    seed: NonNegativeInt = 0
    pruning: bool = True
    space: dict[str, Domain] = {}

    @field_validator("space", mode="before")
    @classmethod
    def _join_keys(cls, space: Any) -> Any:
        # Without its quotes, a.b = "1..2" is a table in a table.
        if not isinstance(space, dict):
            return space
        joined: dict[str, Any] = {}
        for key, value in space.items():
            below = cls._join_keys(value) if isinstance(value, dict) and value else None
            joined |= {f"{key}.{k}": v for k, v in below.items()} if below else {key: value}
        return joined

    @model_validator(mode="after")
    def _check_seeds(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds should differ, got {self.seeds}")
        return self


class PublishedCost(Part):
    """What somebody says that a network costs, as printed.

    Args:
        parameters: in millions, ``"3.64M"``.
        milliseconds: to answer one sample.
        seconds: of training, per iteration or epoch: only what is compared with the baseline's
            means the same elsewhere.
        gigabytes: of memory in training.
    """

    parameters: Annotated[str, Field(pattern=r"^\d+(\.\d+)?M$")] | None = None
    milliseconds: PositiveFloat | None = None
    seconds: PositiveFloat | None = None
    gigabytes: PositiveFloat | None = None


class PublishedRecipe(Part):
    """What somebody published of the same networks, to be shown beside the results.

    Args:
        source: who, where.
        test: the main metric by method, shares in percent; ``teacher`` for the teacher's.
        settings: values of the recipe's keys as they were there, ``{"training.epochs": 500}``:
            reports say which differ.
        samples: how many there were in each split.
        classes: how many classes there were.
        remarks: what else was done otherwise there.
        costs: what networks cost there, by method.
        machine: that they were measured on.
    """

    source: Annotated[str, Field(min_length=1)]
    test: dict[str, float]
    settings: dict[str, Any] = {}
    samples: dict[Literal["train", "validation", "test"], NonNegativeInt] = {}
    classes: PositiveInt | None = None
    remarks: list[str] = []
    costs: dict[str, PublishedCost] = {}
    machine: str = ""
