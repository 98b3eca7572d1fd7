"""How one network is trained: the part of a recipe that all its networks have."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from gkd.errors import mistakes
from gkd.recipe.values import Part

SelectionRule: TypeAlias = Literal["best", "last", "best-loss"]


class SamplingRecipe(Part):
    """Neighbourhoods of some nodes of one graph, in place of the whole graph, in every step.

    Args:
        neighbours: fan-outs, one for each layer of the networks that passes messages: how many
            in-edges of a node are drawn at most, from the seed nodes on; ``"all"`` takes all.
        rows: that are seeds once in every epoch: a mask of the graph as terms name them, or
            ``"all"``; by default those that train.
    """

    neighbours: Annotated[
        list[Annotated[int, Field(ge=1, le=10_000)] | Literal["all"]],
        Field(min_length=1, max_length=100),
    ]
    rows: str | None = None


class TrainingRecipe(Part):
    """How one network is trained.

    Args:
        epochs: passes over the training samples.
        batch_size: samples per step, over all devices together; with ``sampling``, seed nodes.
        drop_last: whether the last batch of an epoch is left out where it has fewer samples, which
            are others in every epoch. Batch norm needs more than one value of each channel.
        optimiser: as torch has it.
        learning_rate: of the first epoch.
        weight_decay: L2 penalty (adam, sgd) or decoupled decay (adamw).
        momentum: of sgd, which alone has one.
        nesterov: whether that is Nesterov's.
        schedule: of the learning rate, per epoch; cosine falls to 0 after the last epoch.
        gradient_clipping: largest norm of the gradient.
        validate_every: epochs between two validations; the last epoch is always validated.
        selection: whose epoch's network is kept: ``"best"``, of the best main metric on the
            validation split; ``"best-loss"``, of the lowest supervised loss there; ``"last"``. Of
            equal epochs it is the last. The default's reasons: ``results/README.md``.
        workers: processes that prepare batches; 0 prepares them between the steps, which is
            faster unless a sample takes long to read.
        sampling: neighbourhoods of one graph to train on, a step for each ``batch_size`` of their
            seeds; validation and test run on the whole graph.
    """

    epochs: Annotated[int, Field(gt=0, le=1_000_000)]
    batch_size: PositiveInt = 1
    drop_last: bool = False
    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: PositiveFloat = 0.001
    weight_decay: NonNegativeFloat = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    nesterov: bool = False
    schedule: Literal["constant", "cosine"] = "constant"
    gradient_clipping: PositiveFloat | None = None
    validate_every: PositiveInt = 1
    selection: SelectionRule = "best"
    workers: Annotated[int, Field(ge=0, le=256)] = 0
    sampling: SamplingRecipe | None = None

    @property
    def graphs_per_pass(self) -> int:
        """Samples that networks run on at a time where they do not train."""
        return self.batch_size if self.sampling is None else 1

    @model_validator(mode="after")
    def _check_sampling(self) -> Self:
        if self.sampling is not None and "batch_size" not in self.model_fields_set:
            raise ValueError("sampling needs a batch_size, the number of seed nodes in a step")
        return self

    @model_validator(mode="after")
    def _check_momentum(self) -> Self:
        if self.optimiser != "sgd" and (self.momentum or self.nesterov):
            raise ValueError(f"momentum and nesterov belong to sgd, not to {self.optimiser}")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        return self

    def with_values(self, values: Mapping[str, Any]) -> Self:
        """Return the training with other values of some keys.

        Raises:
            ValueError: one is unknown or wrong.
        """
        try:
            return self.model_validate({**self.model_dump(), **values})
        except ValidationError as error:
            raise ValueError(in_words(error)) from error


def in_words(error: ValidationError) -> str:
    """Return what is wrong with a training, without the place of a recipe."""
    found = [(".".join(map(str, path)), said) for path, said in mistakes(error, TrainingRecipe)]
    return "; ".join(f"{path}: {said}" if path else said for path, said in found)
