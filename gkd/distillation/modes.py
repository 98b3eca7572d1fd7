"""Training and evaluation mode of networks."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from torch import nn


def switch_to_evaluation(network: nn.Module) -> None:
    """Put a network into evaluation mode, unless it has the mode that it was exported in."""
    # Modules of torch.export refuse; what torch.jit.freeze made has no modes any more.
    with suppress(NotImplementedError):
        if hasattr(network, "training"):
            network.eval()


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and every module back into its own mode afterwards.

    >>> network = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2).eval())
    >>> with evaluation_mode(network):
    ...     print([module.training for module in network])
    [False, False]
    >>> [module.training for module in network]
    [True, False]
    """
    # Not train() at the end: it would level a frozen normalisation with the rest.
    modes = [(m, m.training) for m in network.modules() if hasattr(m, "training")]
    switch_to_evaluation(network)
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
