"""Networks in evaluation mode for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def eval_mode(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and every module back into its own mode afterwards.

    >>> network = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2).eval())
    >>> with eval_mode(network):
    ...     print([module.training for module in network])
    [False, False]
    >>> [module.training for module in network]
    [True, False]
    """
    # Not train() at the end: it would level a frozen normalisation with the rest.
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
