"""Regression: every row has one or several numbers."""

from typing import TYPE_CHECKING, Literal

from torch import Tensor
from torch.nn import functional

from gkd import Task
from gkd.errors import DataError, validated
from gkd_tasks.supervision import at_least_single, columns, form

if TYPE_CHECKING:
    from torchmetrics import MetricCollection


class Regression(Task):
    r"""Every row has one or D numbers: mean squared error over rows and numbers.

    .. math:: \frac{1}{|K|} \sum_{(i,d) \in K} (z_{id} - y_{id})^2

    K are the known numbers: one that is NaN counts nowhere. Outputs and labels are ``[N, D]``; of a
    single number each may also be ``[N]``.

    Outputs are means of normal variables of one variance, so that KD is the mean squared difference
    from the teacher's, whatever the temperature.

    Metrics: mean absolute error and root mean squared error, in units of the labels, where lower is
    better; and R2, the share of the labels' variance that is explained, mean over the D numbers.

    Args:
        metric: the main one.

    Raises:
        DataError: in ``check``, labels that do not fit the outputs, or are infinite.

    Example:
        >>> import torch
        >>> Regression().loss(torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 4.0]))
        tensor(2.)
    """

    likelihood = "gaussian"

    @validated
    def __init__(self, metric: Literal["mae", "rmse", "r2"] = "mae") -> None:
        self.metric = metric

    def known(self, y: Tensor) -> Tensor:
        """Say which numbers are not NaN."""
        return ~y.isnan()

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Mean squared error over known numbers."""
        outputs, y = columns(at_least_single(outputs)), columns(y)
        known = self.known(y)
        if not known.any():
            return 0 * outputs.sum()
        return functional.mse_loss(outputs[known], y[known].to(outputs.dtype))

    def check(self, outputs: Tensor, y: Tensor) -> None:
        """Expect floating-point outputs ``[N, D]`` and as many finite or unknown numbers."""
        if outputs.ndim not in (1, 2) or not outputs.is_floating_point() or 0 in outputs.shape[1:]:
            raise DataError(
                "regression outputs: expected floating point of shape [N, D], or [N] for one "
                f"number, got {form(outputs)}"
            )
        # Checked beforehand: [N] and [N, 1] would be broadcast to all pairs of rows.
        if y.ndim not in (1, 2) or y.is_complex() or columns(y).shape != columns(outputs).shape:
            raise DataError(
                f"regression targets: expected numbers of shape {list(outputs.shape)}, got "
                f"{form(y)}"
            )
        if y.isinf().any():
            raise DataError("regression targets: expected finite numbers, or NaN for unknown ones")

    def metrics(self, num_classes: int) -> "MetricCollection":
        """Mean absolute error, root mean squared error and R2."""
        from torchmetrics import MetricCollection

        from gkd_tasks.regression_metrics import regression_metrics

        return MetricCollection({**regression_metrics(num_classes)}, compute_groups=False)
