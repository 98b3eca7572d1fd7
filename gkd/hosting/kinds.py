"""The kinds of component: the hook each comes from and what its factories make."""

import pkgutil
from dataclasses import dataclass
from typing import Any

from gkd.errors import UnknownNameError, suggestion


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of component, and the hook that returns its factories by name."""

    name: str
    hook: str
    product_path: str  # "module:class"

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
        Kind("task", "gkd_tasks", "gkd.data.task:Task"),
        Kind("weigher", "gkd_weighers", "gkd.loss:AbstractWeigher"),
    )
}

OBSERVER = "gkd_step"  # the one hook that offers no component
HOOKS = (*(kind.hook for kind in KINDS.values()), OBSERVER)


def kind_named(name: str) -> Kind:
    """Return the kind called ``name``.

    Raises:
        UnknownNameError: there is no such kind.
    """
    if name in KINDS:
        return KINDS[name]
    raise UnknownNameError(f"no kind of component is called {name!r}; {suggestion(name, KINDS)}")


def product_mistake(kind: str, product: object) -> str:
    """Say what is wrong with what the factory of a component made, ``""`` where nothing is."""
    expected, made = kind_named(kind).product, type(product).__name__
    if not isinstance(product, expected):
        return f"must be {expected.__name__}, but its factory made {made}"
    from torch import nn

    if isinstance(product, nn.Module) and "_modules" not in vars(product):
        return f"is no module yet: {made}.__init__ does not call super().__init__()"
    return ""
