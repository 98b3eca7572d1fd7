"""Components by kind and name: finding one, and saying why there is none."""

import pkgutil
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from gkd.errors import ParameterError, PluginError, UnknownNameError, suggestion
from gkd.hosting.kinds import kind_named
from gkd.hosting.records import PluginRecord, Problem, Source, State, canonical_name


@dataclass(frozen=True, slots=True)
class Component:
    """One factory that a plugin provides.

    Args:
        kind: as in ``gkd.names("loss")``.
        name: short name, unique within its distribution.
        offer: the factory, or ``"module:object"``, where it is imported from when it is needed.
        source: the plugin it comes from.
    """

    kind: str
    name: str
    offer: Callable[..., Any] | str
    source: Source

    @property
    def factory(self) -> Callable[..., Any]:
        """What makes the component from its parameters.

        Raises:
            PluginError: it cannot be imported, or is neither a class nor a function.
        """
        if not isinstance(self.offer, str):
            return self.offer
        try:
            factory = pkgutil.resolve_name(self.offer)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit and the panics of native modules included
            problem = Problem.of(error, self.offer, f"importing {self.offer}")
            raise PluginError(f"{self} cannot be used: {problem}") from error
        if not callable(factory):
            raise PluginError(f"{self} cannot be used: {self.offer} is not a class or function")
        return cast(Callable[..., Any], factory)

    @property
    def qualified(self) -> str:
        """``distribution:name``."""
        return f"{self.source.distribution}:{self.name}"

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} of {self.source.release}"


class Components:
    """The components of a host's plugins, looked up by kind and name."""

    def __init__(self) -> None:
        # All that share a name are kept: each can still be asked for as distribution:name.
        self._found: dict[str, dict[str, list[Component]]] = defaultdict(lambda: defaultdict(list))

    def add(self, offered: Iterable[Component]) -> None:
        """Add what one plugin offers."""
        for component in offered:
            self._found[component.kind][component.name].append(component)

    def __iter__(self) -> Iterator[Component]:
        """Yield all components, those that share a name included."""
        for by_name in self._found.values():
            for sharing in by_name.values():
                yield from sharing

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
            owners = " and ".join(c.source.release for c in candidates)
            either = " or ".join(repr(c.qualified) for c in candidates)
            raise PluginError(f"{kind} {name!r} is offered by {owners}; ask for {either}")
        if not candidates:
            choices: Collection[str] = {c.qualified for c in known.values()} if colon else known
            message = f"no {kind} is called {name!r}; {suggestion(name, choices)}"
            raise UnknownNameError("\n".join([message, *_possible_sources(kind, short, records)]))
        return candidates[0]


def _same_name(one: str, other: str) -> bool:
    return canonical_name(one) == canonical_name(other)


def _possible_sources(kind: str, name: str, records: Iterable[PluginRecord]) -> Iterator[str]:
    """Yield lines about the plugins that are not in use and may offer the component."""
    unusable = [r for r in records if r.state in {State.FAILED, State.BLOCKED}]
    certain = [r for r in unusable if name in r.provides.get(kind, ())]
    if unusable:
        yield "It would come from:" if certain else "It may come from a plugin that is not in use:"
    for record in certain or unusable:
        blocked = record.state is State.BLOCKED
        yield f"  {record.source}: {'not in GKD_PLUGINS' if blocked else record.cause}"
