"""What the numbers of a metric mean to a reader: which way is up, and whether they are shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torchmetrics


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, as far as training and reports need to know it.

    Args:
        name: key of its values.
        higher_is_better: whether more of it is better; None where it says nothing of good and bad.
        share: whether it lies between 0 and 1, and is written in percent, its differences in
            points; otherwise it has a unit of its own, such as that of the labels.
    """

    name: str
    higher_is_better: bool | None = True
    share: bool = True

    @classmethod
    def of(cls, name: str, metric: torchmetrics.Metric) -> Metric:
        """Read off what a metric of torchmetrics says of itself.

        >>> from torchmetrics import MeanAbsoluteError
        >>> Metric.of("mae", MeanAbsoluteError())
        Metric(name='mae', higher_is_better=False, share=False)
        """
        bounds = (metric.plot_lower_bound, metric.plot_upper_bound)
        return cls(name, metric.higher_is_better, bounds == (0, 1))

    @property
    def lower_is_better(self) -> bool:
        """Whether less of it is better."""
        return self.higher_is_better is False
