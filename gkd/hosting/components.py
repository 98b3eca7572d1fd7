"""Components by kind and name: finding one, and saying why there is none."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gkd.errors import ParameterError, PluginError, UnknownNameError, suggestion
from gkd.hosting.kinds import kind_named
from gkd.hosting.plugin_record import PluginRecord, Source, State, canonical


@dataclass(frozen=True, slots=True)
class Component:
    """One factory that a plugin provides.

    Args:
        kind: as in ``gkd.names("loss")``.
        name: short name, unique within its distribution.
        factory: makes the component from its parameters.
        source: the plugin it comes from.
    """

    kind: str
    name: str
    factory: Callable[..., Any]
    source: Source

    @property
    def qualified(self) -> str:
        """``distribution:name``."""
        return f"{self.source.distribution}:{self.name}"

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} of {self.source.release}"


class Components:
    """The components of a host's plugins, looked up by kind and name."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, list[Component]]] = defaultdict(lambda: defaultdict(list))

    def add(self, offered: Iterable[Component]) -> None:
        """Add what one plugin offers."""
        for component in offered:
            self._found[component.kind][component.name].append(component)

    def clash(self, component: Component) -> Component | None:
        """Another component that even ``distribution:name`` would not tell apart, if any."""
        same = self._found[component.kind][component.name]
        return next((c for c in same if _same_name(c.qualified, component.qualified)), None)

    def of(self, kind: str) -> dict[str, Component]:
        """Components of ``kind`` by the shortest name that is unambiguous.

        Raises:
            UnknownNameError: there is no such kind.
        """
        by_name = self._found[kind_named(kind).name]
        shortest = {
            (component.name if len(sharing) == 1 else component.qualified): component
            for sharing in by_name.values()
            for component in sharing
        }
        return dict(sorted(shortest.items()))

    def find(self, kind: str, name: str, records: Iterable[PluginRecord] = ()) -> Component:
        """Return the component of ``kind`` called ``name`` or ``distribution:name``.

        Args:
            kind: of the component.
            name: short or qualified.
            records: all plugins, so that an error can name those that might have provided it.

        Raises:
            UnknownNameError: nothing is called so.
            PluginError: several plugins offer the name.
        """
        known = self.of(kind)
        if not isinstance(name, str):
            raise ParameterError(f"the name of a {kind} is a string, got {name!r}")
        _, colon, short = name.rpartition(":")
        candidates = self._found[kind].get(short, [])
        if colon:
            candidates = [c for c in candidates if _same_name(c.qualified, name)]
        if len(candidates) > 1:
            raise PluginError(_conflict(kind, name, candidates))
        if not candidates:
            raise UnknownNameError(_unknown(kind, name, known, list(records)))
        return candidates[0]


def _same_name(one: str, other: str) -> bool:
    return canonical(one) == canonical(other)


def _conflict(kind: str, name: str, candidates: list[Component]) -> str:
    owners = " and ".join(c.source.release for c in candidates)
    choices = " or ".join(repr(c.qualified) for c in candidates)
    return f"{kind} {name!r} is offered by {owners}; ask for {choices}"


def _unknown(
    kind: str, name: str, known: Mapping[str, Component], records: list[PluginRecord]
) -> str:
    qualified = {component.qualified for component in known.values()}
    choices = qualified if ":" in name else known
    message = f"no {kind} is called {name!r}; {suggestion(name, choices)}"
    unusable = [r for r in records if r.state in {State.FAILED, State.BLOCKED}]
    short = name.rpartition(":")[2]
    certain = [r for r in unusable if short in r.provides.get(kind, ())]
    head = "It would come from" if certain else "It may come from a plugin that is not in use"
    lines = [f"  {r.source}: {_reason(r)}" for r in certain or unusable]
    return "\n".join([message, f"{head}:", *lines]) if lines else message


def _reason(record: PluginRecord) -> str:
    return "not in GKD_PLUGINS" if record.state is State.BLOCKED else record.cause
