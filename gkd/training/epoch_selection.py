"""Which epoch's network is kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gkd.evaluation.metric import Metric
from gkd.recipe.training import SelectionRule

LOSS = Metric("loss", higher_is_better=False, share=False)
"""The supervised loss on the validation split."""


def epochs_from_one(rows: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """Return the rows of epochs as they are counted, from 1: those of older runs are from 0.

    >>> epochs_from_one([{"epoch": 0, "loss": 0.5}])
    [{'epoch': 1, 'loss': 0.5}]
    """
    former = bool(rows) and rows[0].get("epoch") == 0
    return [
        {**row, "epoch": row["epoch"] + 1} if former and "epoch" in row else dict(row)
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class Selection:
    """The epoch with the best value of a validation metric, or the last one.

    Of epochs with equal values it is the last: a metric of few samples is soon at its best, while
    the network goes on to learn.

    Args:
        metric: by which; None takes the last epoch.
    """

    metric: Metric | None

    @classmethod
    def of(cls, rule: SelectionRule, main: Metric) -> Selection:
        """Return the selection that a recipe asks for.

        Args:
            rule: its ``selection``.
            main: main metric of the task.
        """
        return cls({"best": main, "best-loss": LOSS, "last": None}[rule])

    @property
    def monitor(self) -> str | None:
        """Name under which validation logs what decides; None where nothing does."""
        return None if self.metric is None else f"validation/{self.metric.name}"

    def merit(self, value: float) -> float:
        """Return a number that is the higher the better a value is, of NaN the lowest."""
        if math.isnan(value):
            return -math.inf
        return -value if self.metric is not None and self.metric.lower_is_better else value

    def epoch(self, rows: Iterable[Mapping[str, float]]) -> Mapping[str, float]:
        """Return the row of the selected epoch.

        Args:
            rows: one per epoch, in order; those of validated epochs have the monitored metric.
        """
        if (monitor := self.monitor) is None:
            return list(rows)[-1]
        validated = [row for row in rows if monitor in row]
        return max(reversed(validated), key=lambda row: self.merit(row[monitor]))

    def __str__(self) -> str:
        if self.metric is None:
            return "the last epoch"
        extreme = "lowest" if self.metric is LOSS else "best"
        return f"the epoch with the {extreme} validation {self.metric.name}"
