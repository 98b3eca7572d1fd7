"""The size of a network."""

from torch import nn
from torch.nn.parameter import is_lazy

from gkd.errors import ParameterError


def parameter_count(model: nn.Module) -> int:
    """Count the scalars of a model's parameters, frozen ones included, shared ones once.

    Buffers (running statistics of a normalisation) are not parameters.

    Raises:
        ParameterError: A lazy parameter has no shape yet.

    >>> parameter_count(nn.Linear(3, 2))
    8
    """
    for name, parameter in model.named_parameters():
        if is_lazy(parameter):
            raise ParameterError(f"parameter {name!r} has no shape before the first forward pass")
    return sum(parameter.numel() for parameter in model.parameters())
