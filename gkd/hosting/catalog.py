"""Components of the current host: what ``gkd.create`` and ``gkd.names`` are."""

import functools
import inspect
import logging
from typing import Any

from gkd.hosting.host import Host, active_host, create_host

logger = logging.getLogger(__name__)


@functools.cache
def default_host() -> Host:
    """Return the host of this process: all installed plugins, loaded at the first call.

    Plugins that cannot be used are logged as warnings, once.
    """
    host = create_host()
    for record in host.plugins:
        if record.problems:
            logger.warning("skipped a plugin that cannot be used: %s", record)
    return host


def current_host() -> Host:
    """Return the host at work: the one that is creating a component, else the process's own."""
    return active_host() or default_host()


def names(kind: str) -> list[str]:
    """Return the names of the components of ``kind``: loss, kernel, graph, model or dataset.

    A name that two plugins offer is listed as ``distribution:name`` of each.

    Raises:
        UnknownNameError: there is no such kind.

    >>> import gkd
    >>> "lsp" in gkd.names("loss")
    True
    """
    return current_host().names(kind)


def signature(kind: str, name: str) -> inspect.Signature:
    """Return the parameters of the component of ``kind`` called ``name``.

    Raises:
        UnknownNameError: there is no such kind or component.
        PluginError: several plugins offer the name.
    """
    return current_host().signature(kind, name)


def create(kind: str, name: str, /, **parameters: Any) -> Any:
    """Return a new component of ``kind``, made by the plugin that provides ``name``.

    Args:
        kind: loss, kernel, graph, model or dataset.
        name: short, or ``distribution:name`` where two plugins offer the short one.
        **parameters: of the component; checked against its signature.

    Raises:
        UnknownNameError: no such kind or component; the nearest is named, and so are plugins that
            may have provided it but cannot be used.
        ParameterError: a parameter is unknown, missing or mistyped.
        PluginError: several plugins offer the name.

    >>> import gkd
    >>> loss = gkd.create("loss", "lsp", kernel="rbf", sigma=1.0)
    """
    return current_host().create(kind, name, **parameters)
