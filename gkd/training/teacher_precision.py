"""Whether a teacher is as good in the precision that it teaches in."""

from contextlib import AbstractContextManager

import torch
from torch import nn

from gkd.errors import ParameterError
from gkd.evaluation.scores import Scores
from gkd.training.precision import autocast

TOLERANCE = 0.005
"""Of the main metric in validation, half a point of a share; of other metrics that fraction."""


def require_as_good(
    teacher: nn.Module, scores: Scores, teaching: str, trained: str, device: torch.device
) -> None:
    """Raise where a teacher is worse in validation in the precision that it teaches in.

    Args:
        teacher: trained, on its device.
        scores: of the data set.
        teaching: precision that it teaches in.
        trained: precision of the run.
        device: where it is.

    Raises:
        ParameterError: its main metric is worse by more than the tolerance.
    """
    main = scores.main

    def score(precision: str) -> float:
        def context() -> AbstractContextManager[object]:
            return autocast(precision, device.type)

        found = Scores(scores.dataset, scores.batch_size, context)
        return found(teacher, "validation")[main.name]

    before, after = score(trained), score(teaching)
    loss = after - before if main.lower_is_better else before - after
    allowed = TOLERANCE if main.share else TOLERANCE * abs(before)
    if not loss <= allowed:
        raise ParameterError(
            f"precision: in {teaching} the teacher's validation {main.name} is {after:.4f}, in "
            f"{trained} it is {before:.4f}: worse by more than the {allowed:.2g} allowed; leave "
            "precision out, and the teacher runs as the students do"
        )
