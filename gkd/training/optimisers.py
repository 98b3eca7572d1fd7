"""Optimisers and learning rates of a recipe."""

import math
from collections.abc import Callable, Iterable

from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer

from gkd.recipe.model import TrainingRecipe


def _adam(parameters: list[Parameter], training: TrainingRecipe) -> Optimizer:
    return Adam(parameters, training.learning_rate, weight_decay=training.weight_decay)


def _adamw(parameters: list[Parameter], training: TrainingRecipe) -> Optimizer:
    return AdamW(parameters, training.learning_rate, weight_decay=training.weight_decay)


def _sgd(parameters: list[Parameter], training: TrainingRecipe) -> Optimizer:
    return SGD(
        parameters,
        training.learning_rate,
        momentum=training.momentum,
        nesterov=training.nesterov,
        weight_decay=training.weight_decay,
    )


_OPTIMISERS: dict[str, Callable[[list[Parameter], TrainingRecipe], Optimizer]] = {
    "adam": _adam,
    "adamw": _adamw,
    "sgd": _sgd,
}


def optimiser(parameters: Iterable[Parameter], training: TrainingRecipe) -> Optimizer:
    """Optimiser that a recipe asks for, over ``parameters``."""
    return _OPTIMISERS[training.optimiser](list(parameters), training)


def _constant(progress: float) -> float:
    return 1.0


def _cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


_SCHEDULES: dict[str, Callable[[float], float]] = {"constant": _constant, "cosine": _cosine}


def learning_rate_at(epoch: int, training: TrainingRecipe) -> float:
    """Learning rate during ``epoch`` (from 0): a function of the epoch, so nothing to resume.

    >>> training = TrainingRecipe(epochs=4, learning_rate=0.1, schedule="cosine")
    >>> [round(learning_rate_at(epoch, training), 3) for epoch in range(4)]
    [0.1, 0.085, 0.05, 0.015]
    """
    return training.learning_rate * _SCHEDULES[training.schedule](epoch / training.epochs)
