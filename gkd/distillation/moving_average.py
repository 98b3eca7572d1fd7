"""The moving average of a student's weights, which may teach it."""

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gkd.errors import ParameterError


class MovingAverage(nn.Module):
    r"""Exponential moving average of the weights and buffers of a network.

    .. math:: \bar w \leftarrow d \, \bar w + (1 - d) \, w

    The first update takes the weights over as they are, as in torch's ``AveragedModel``.

    Args:
        student: whose weights are averaged.
        decay: d, between 0 and 1.

    Raises:
        ParameterError: the decay is out of its range.

    >>> student = nn.Linear(1, 1)
    >>> average = MovingAverage(student, decay=0.9)
    >>> average.update(student)
    >>> bool(average.network.weight == student.weight)
    True
    """

    def __init__(self, student: nn.Module, decay: float) -> None:
        super().__init__()
        if not isinstance(decay, float) or not 0 < decay < 1:
            raise ParameterError(f"ema: expected a decay between 0 and 1, got {decay!r}")
        averages = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        self._averaged = AveragedModel(student, multi_avg_fn=averages, use_buffers=True)
        self._averaged.requires_grad_(False)
        self._seen: list[int] | None = None
        self._updated = False

    @property
    def network(self) -> nn.Module:
        """The network with the averaged weights."""
        module: nn.Module = self._averaged.module
        return module

    def update(self, student: nn.Module) -> None:
        """Take in the student's weights."""
        self._averaged.update_parameters(student)
        self._updated = True

    def require_updates(self, student: nn.Module) -> None:
        """Make sure that nobody forgot the average.

        Raises:
            ParameterError: the student has moved since it was first looked at, but no update came.
        """
        if self._updated:
            return
        versions = [parameter._version for parameter in student.parameters()]
        self._seen = versions if self._seen is None else self._seen
        if versions != self._seen:
            raise ParameterError(
                "ema: the student's weights have changed, but their average was never updated; "
                "call distiller.update_average() after every step of the optimiser"
            )
