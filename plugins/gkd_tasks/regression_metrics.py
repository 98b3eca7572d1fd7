"""Metrics of numbers, as torchmetrics that take outputs."""

from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric
from torchmetrics.utilities import dim_zero_cat

from gkd_tasks.prepared import Prepared
from gkd_tasks.supervision import columns, exact, require_logits


def regression_metrics(num_outputs: int) -> dict[str, Metric]:
    """Return the mean absolute error, the root mean squared error and R2, by name.

    Labels that are NaN count nowhere. The metrics raise :class:`NonFiniteError` of NaN outputs, and
    :class:`ParameterError` of shapes that do not fit.

    Args:
        num_outputs: D, numbers per row.

    >>> import torch
    >>> metrics = regression_metrics(1)
    >>> for metric in metrics.values():
    ...     metric.update(torch.tensor([1.0, 2.0]), torch.tensor([[1.0], [4.0]]))
    >>> {name: round(metric.compute().item(), 3) for name, metric in metrics.items()}
    {'mae': 1.0, 'rmse': 1.414, 'r2': 0.111}
    """

    def paired(outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        outputs, y = columns(outputs), columns(y)
        require_logits(outputs, (len(y), num_outputs))
        require_logits(outputs, tuple(y.shape))
        return exact(outputs), exact(y)

    def known(outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        outputs, y = paired(outputs, y)
        return outputs[~y.isnan()], y[~y.isnan()]

    return {
        "mae": Prepared(MeanAbsoluteError(), known),
        "rmse": Prepared(MeanSquaredError(squared=False), known),
        "r2": Prepared(ExplainedVariance(), paired),
    }


class ExplainedVariance(Metric):
    r"""Coefficient of determination R², of each number over all batches, and their mean.

    .. math:: 1 - \frac{\sum_i (y_i - z_i)^2}{\sum_i (y_i - \bar y)^2}

    Numbers without variance have none, and are left out of the mean; where there is no other, the
    mean is NaN. torchmetrics' own raises of fewer than two rows, and sums squares in single
    precision, which loses the variance of labels far from 0.
    """

    higher_is_better = True
    is_differentiable = True
    full_state_update = False

    outputs: list[Tensor]
    targets: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("outputs", default=[], dist_reduce_fx="cat")
        self.add_state("targets", default=[], dist_reduce_fx="cat")

    def update(self, outputs: Tensor, y: Tensor) -> None:
        """Add a batch: ``[N, D]`` each; NaN in ``y`` for what is unknown."""
        self.outputs.append(outputs.detach())
        self.targets.append(y)

    def compute(self) -> Tensor:
        """Return the mean over numbers."""
        outputs, y = dim_zero_cat(self.outputs), dim_zero_cat(self.targets)
        errors = (y - outputs).square().nansum(0)
        spread = (y - y.nanmean(0)).square().nansum(0)
        return (1 - errors[spread > 0] / spread[spread > 0]).mean().float()
