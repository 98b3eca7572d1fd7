"""Installed components by the names that users have for them."""

import tomllib
from collections.abc import Mapping
from typing import Any

from gkd.errors import ParameterError, UnknownNameError, suggestion
from gkd.hosting.catalog import current_host
from gkd.hosting.components import Component
from gkd.hosting.host import Host
from gkd.hosting.kinds import KINDS
from gkd.hosting.plugin_record import Source, canonical
from gkd.testing.subject import EXAMPLES, Subject, example_parameters, subject


def selected(text: str, examples: int = EXAMPLES) -> list[Subject]:
    """Return the installed components that ``text`` names.

    Args:
        text: a component (``"loss:lsp"``, ``"loss:distribution:lsp"``), or all of a plugin, by its
            entry point, its distribution or both (``"my-plugin:entry"``); what is no plugin may be
            a component of any kind (``"kd"``, ``"distribution:kd"``). ``"kind:name"`` may be
            followed by parameters as in TOML: ``"graph:radius {radius = 0.5}"``; without them it
            is there once for each of its ``example_parameters``.
        examples: how many problems most laws try.

    Raises:
        UnknownNameError: nothing that is installed is called so.
        ParameterError: the parameters are not TOML, or follow a plugin's name.

    >>> [subject.label for subject in selected("kernel:rbf {sigma = 2.0}")]
    ['kernel:rbf(sigma=2.0)']
    """
    name, params = _split(text)
    kind, colon, rest = name.partition(":")
    host = current_host()
    if colon and kind in KINDS:
        chosen = [(rest, host.component(kind, rest))]
    else:
        chosen = _components_of_plugin(host, name)
        if params is not None:
            raise ParameterError("parameters go with one component, as in 'kernel:rbf {sigma = 1}'")
    return [
        subject(component.kind, short, choice, examples)
        for short, component in chosen
        for choice in (example_parameters(component.factory) if params is None else (params,))
    ]


def _split(text: str) -> tuple[str, Mapping[str, Any] | None]:
    name, brace, rest = text.partition("{")
    if not brace:
        return name.strip(), None
    try:
        return name.strip(), tomllib.loads(f"params = {{{rest}")["params"]
    except tomllib.TOMLDecodeError as error:
        raise ParameterError(f"the parameters in {text!r} are not TOML: {error}") from None


def _components_of_plugin(host: Host, name: str) -> list[tuple[str, Component]]:
    """Components of the plugins that ``name`` is an entry point or the distribution of."""
    everything = [item for kind in KINDS for item in host.components(kind).items()]
    found = [item for item in everything if _is_called(item[1].source, name)]
    found = found or [item for item in everything if _names_component(name, item[1])]
    if found:
        return found
    records = [record for record in host.plugins if _is_called(record.source, name)]
    if records:
        listed = "; ".join(str(record) for record in records)
        raise UnknownNameError(f"{name!r} provides no component: {listed}")
    known = {called for record in host.plugins for called in _names(record.source)}
    known |= {f"{kind}:{short}" for kind in KINDS for short in host.names(kind)}
    raise UnknownNameError(
        f"no plugin or component that is installed is called {name!r}; {suggestion(name, known)}"
    )


def _names_component(name: str, component: Component) -> bool:
    return name == component.name or canonical(name) == canonical(component.qualified)


def _is_called(source: Source, name: str) -> bool:
    return canonical(name) in {canonical(known) for known in _names(source)}


def _names(source: Source) -> tuple[str, str, str]:
    return source.name, source.distribution, source.qualified
