"""All laws, by the kind of component."""

from collections.abc import Mapping

from gkd.hosting.kinds import kind_named
from gkd.testing.law import Law
from gkd.testing.laws import dataset, graph, kernel, loss, model

_LAWS: Mapping[str, tuple[Law, ...]] = {
    "loss": loss.LAWS,
    "kernel": kernel.LAWS,
    "graph": graph.LAWS,
    "model": model.LAWS,
    "dataset": dataset.LAWS,
}


def laws(kind: str) -> tuple[Law, ...]:
    """Return the laws of a kind of component: loss, kernel, graph, model or dataset.

    Raises:
        UnknownNameError: there is no such kind.

    >>> laws("kernel")[0].name
    'finite-and-one-per-edge'
    """
    return _LAWS[kind_named(kind).name]
