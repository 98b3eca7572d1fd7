"""The laws: ``<kind>_laws.py`` holds those of one kind of component."""

from importlib import import_module

from gkd.hosting.kinds import kind_named
from gkd.testing.law import Law


def laws(kind: str) -> tuple[Law, ...]:
    """Return the laws of a kind of component: loss, kernel, graph, model, dataset or task.

    Raises:
        UnknownNameError: there is no such kind.

    >>> laws("kernel")[0].name
    'finite-and-one-per-edge'
    """
    module = import_module(f"{__name__}.{kind_named(kind).name}_laws")
    # A module's names come in the order of their definition: that of reports.
    return tuple(value for value in vars(module).values() if isinstance(value, Law))
