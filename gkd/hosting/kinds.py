"""The kinds of component: the hook each comes from and what its factories make."""

import pkgutil
from dataclasses import dataclass
from typing import Any

from gkd.errors import UnknownNameError, suggestion


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of component.

    Args:
        name: as in ``gkd.names("loss")``.
        hook: the hook that returns its factories by name.
        product_path: ``module:class`` of what a factory must make.
    """

    name: str
    hook: str
    product_path: str

    @property
    def product(self) -> Any:
        """What a factory must make; imported here, as names of components need no torch."""
        return pkgutil.resolve_name(self.product_path)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("loss", "gkd_losses", "gkd.loss:AbstractLoss"),
        Kind("kernel", "gkd_kernels", "gkd.kernel:AbstractKernel"),
        Kind("graph", "gkd_graph_builders", "collections.abc:Callable"),
        Kind("model", "gkd_models", "torch.nn:Module"),
        Kind("dataset", "gkd_datasets", "gkd.data:AbstractDataset"),
    )
}


OBSERVER = "gkd_step"
"""The one hook that offers no component."""

HOOKS = (*(kind.hook for kind in KINDS.values()), OBSERVER)


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
