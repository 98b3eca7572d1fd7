"""How the weights move: the optimiser of a recipe, and its learning rate in every epoch."""

import math
from collections.abc import Iterable
from typing import Any

from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from gkd.recipe.training import TrainingRecipe


def optimiser(
    parameters: Iterable[Parameter] | Iterable[dict[str, Any]], training: TrainingRecipe
) -> Optimizer:
    """Optimiser that a recipe asks for, over parameters or groups of them, as torch takes them."""
    rate, decay = training.learning_rate, training.weight_decay
    match training.optimiser:
        case "adam":
            return Adam(parameters, rate, weight_decay=decay)
        case "adamw":
            return AdamW(parameters, rate, weight_decay=decay)
        case "sgd":
            momentum, nesterov = training.momentum, training.nesterov
            return SGD(parameters, rate, momentum, weight_decay=decay, nesterov=nesterov)


def learning_rate_schedule(optimizer: Optimizer, training: TrainingRecipe) -> LambdaLR:
    """Schedule that a recipe asks for; it is stepped once per epoch.

    >>> training = TrainingRecipe(epochs=4, learning_rate=0.1, schedule="cosine")
    >>> moved = optimiser([Parameter()], training)
    >>> schedule, rates = learning_rate_schedule(moved, training), []
    >>> for _ in range(4):
    ...     rates.append(round(moved.param_groups[0]["lr"], 3))
    ...     moved.step()
    ...     schedule.step()
    >>> rates
    [0.1, 0.085, 0.05, 0.015]
    """
    return LambdaLR(optimizer, lambda epoch: learning_rate_factor(epoch, training))


def learning_rate_factor(epoch: int, training: TrainingRecipe) -> float:
    """Share of the first learning rate during ``epoch``, from 0."""
    if training.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * epoch / training.epochs))
    return 1.0
