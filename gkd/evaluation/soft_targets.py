"""What a network's predictions are like: how sure it is, and how rightly so, in words."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # reports have no tensors
    from gkd.data.task import Task

CONFIDENCE, CALIBRATION = "confidence", "calibration_error"
UNIFORM = "uniform_confidence"
"""Largest probability of a prediction that knows nothing: 1/C."""

# Of the way from 1/C to 1.
_NEAR_UNIFORM, _NEAR_ONE_HOT = 0.05, 0.98


def uniform_confidence(task: "Task", num_classes: int) -> float:
    """Return the largest probability of a prediction that knows nothing."""
    return 1 / num_classes if task.likelihood == "softmax" and num_classes > 1 else 0.5


def judgement(training: Mapping[str, float]) -> str | None:
    """Say whether soft targets teach hardly anything; None where they do, or there are none.

    Args:
        training: what was measured on the training rows.

    >>> judgement({"confidence": 0.144, "uniform_confidence": 1 / 7})
    'near uniform (mean largest probability 0.144, where a guess has 0.143): they teach hardly ...'
    """
    if CONFIDENCE not in training or UNIFORM not in training:
        return None
    confidence, uniform = training[CONFIDENCE], training[UNIFORM]
    measured = f"(mean largest probability {confidence:.3f}, where a guess has {uniform:.3f})"
    share = (confidence - uniform) / (1 - uniform)
    if share < _NEAR_UNIFORM:
        return (
            f"near uniform {measured}: they teach hardly anything; train the teacher for longer, "
            "or select another of its epochs"
        )
    if share > _NEAR_ONE_HOT:
        return (
            f"near one-hot {measured}: they say hardly more than labels; a temperature above 1 "
            "softens them"
        )
    return None
