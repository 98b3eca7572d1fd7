"""Components by kind and name: finding one, and saying why there is none."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from gkd.errors import ParameterError, PluginError, UnknownNameError, suggestion
from gkd.hosting.kinds import kind_named
from gkd.hosting.records import Component, PluginRecord, State


def usable_components(records: Iterable[PluginRecord]) -> Iterator[Component]:
    """Yield the components of all plugins that have not failed."""
    for record in records:
        if record.state is not State.FAILED:
            yield from record.components


def components_by_name(kind: str, records: Iterable[PluginRecord]) -> dict[str, Component]:
    """Return the components of ``kind`` by the shortest name that is unambiguous.

    Raises:
        UnknownNameError: there is no such kind.
    """
    kind = kind_named(kind).name
    found = [component for component in usable_components(records) if component.kind == kind]
    sharing = Counter(component.name for component in found)
    shortest = {c.name if sharing[c.name] == 1 else c.qualified: c for c in found}
    return dict(sorted(shortest.items()))


def find_component(kind: str, name: str, records: Collection[PluginRecord]) -> Component:
    """Return what :meth:`gkd.Host.component` does; an error names plugins that may have it."""
    known = components_by_name(kind, records)
    if not isinstance(name, str):
        raise ParameterError(f"the name of a {kind} is a string, got {name!r}")
    found = [c for c in usable_components(records) if c.kind == kind and c.is_called(name)]
    if len(found) > 1:
        owners = " and ".join(component.source.release for component in found)
        either = " or ".join(repr(component.qualified) for component in found)
        raise PluginError(f"{kind} {name!r} is offered by {owners}; ask for {either}")
    if not found:
        _, colon, short = name.rpartition(":")
        choices: Collection[str] = {c.qualified for c in known.values()} if colon else known
        message = f"no {kind} is called {name!r}; {suggestion(name, choices)}"
        raise UnknownNameError("\n".join([message, *_possible_sources(kind, short, records)]))
    return found[0]


def _possible_sources(kind: str, name: str, records: Iterable[PluginRecord]) -> Iterator[str]:
    """Yield lines about the plugins that are not in use and may offer the component."""
    unusable = [r for r in records if r.state in {State.FAILED, State.BLOCKED}]
    certain = [r for r in unusable if name in r.provides.get(kind, ())]
    if unusable:
        yield "It would come from:" if certain else "It may come from a plugin that is not in use:"
    for record in certain or unusable:
        blocked = record.state is State.BLOCKED
        yield f"  {record.source}: {'not in GKD_PLUGINS' if blocked else record.cause}"
