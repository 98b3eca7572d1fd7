"""The laws: ``<kind>_laws.py`` holds those of one kind of component.

Where they are many, ``<kind>_<what>_laws.py`` holds the rest.
"""

import pkgutil
import re
from importlib import import_module

from gkd.hosting.kinds import kind_named
from gkd.testing.law import Law

_MODULES = sorted(module.name for module in pkgutil.iter_modules(__path__))


def laws(kind: str) -> tuple[Law, ...]:
    """Return the laws of a kind of component: loss, kernel, graph, model, dataset, task or weigher.

    Raises:
        UnknownNameError: there is no such kind.

    >>> laws("kernel")[0].name
    'finite-and-one-per-edge'
    """
    name = kind_named(kind).name
    # A module's names come in the order of their definition: that of reports.
    return tuple(
        value
        for module in _MODULES
        if re.fullmatch(rf"{name}_(\w+_)?laws", module)
        for value in vars(import_module(f"{__name__}.{module}")).values()
        if isinstance(value, Law)
    )
