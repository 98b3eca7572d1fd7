"""The kinds of component: the hook each comes from and what its factories make."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from gkd.data import AbstractDataset
from gkd.errors import UnknownNameError, suggestion
from gkd.kernel import AbstractKernel
from gkd.loss import AbstractLoss


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of component.

    Args:
        name: as in ``gkd.names("loss")``.
        hook: the hook that returns its factories by name.
        product: what a factory must make.
    """

    name: str
    hook: str
    product: Any


KINDS = {
    kind.name: kind
    for kind in (
        Kind("loss", "gkd_losses", AbstractLoss),
        Kind("kernel", "gkd_kernels", AbstractKernel),
        Kind("graph", "gkd_graph_builders", Callable),
        Kind("model", "gkd_models", nn.Module),
        Kind("dataset", "gkd_datasets", AbstractDataset),
    )
}


OBSERVER = "gkd_step"
"""The one hook that offers no component."""


def hook_names() -> list[str]:
    """Names of all hooks.

    >>> hook_names()[:2]
    ['gkd_losses', 'gkd_kernels']
    """
    return [*(kind.hook for kind in KINDS.values()), OBSERVER]


def kind_named(name: str) -> Kind:
    """Return the kind called ``name``.

    Raises:
        UnknownNameError: there is no such kind.

    >>> kind_named("graph").hook
    'gkd_graph_builders'
    """
    if name not in KINDS:
        raise UnknownNameError(
            f"no kind of component is called {name!r}; {suggestion(name, KINDS)}"
        )
    return KINDS[name]
