"""What is known of one plugin: where it comes from, what it provides, why it cannot be used."""

import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from pluggy import HookImpl

from gkd.errors import PluginError
from gkd.errors.causes import Place, Problem

SLOW_IMPORT = 1.0  # seconds that every command would wait


class State(StrEnum):
    """Whether a plugin can be used."""

    ACTIVE = "active"
    EMPTY = "empty"
    BLOCKED = "blocked"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a plugin comes from: an entry point of a distribution."""

    distribution: str
    version: str  # "" for a plugin that was not installed
    name: str
    value: str = ""  # "module" or "module:attribute"

    @property
    def qualified(self) -> str:
        """``distribution:name``, unique among plugins."""
        return f"{self.distribution}:{self.name}"

    @property
    def names(self) -> tuple[str, str, str]:
        """What a user may call it: by its name, its distribution or both."""
        return self.name, self.distribution, self.qualified

    def is_called(self, name: str) -> bool:
        """Whether ``name`` is one of its own, as package indexes compare names."""
        return canonical_name(name) in map(canonical_name, self.names)

    @property
    def release(self) -> str:
        """Distribution and version, as far as there is one."""
        return f"{self.distribution} {self.version}".rstrip()

    def __str__(self) -> str:
        return f"{self.release} (plugin {self.name!r})"


@dataclass(frozen=True, slots=True)
class Component:
    """One factory that a plugin provides."""

    kind: str
    name: str  # short, unique within its distribution
    offer: Callable[..., Any] | str  # or "module:object", imported when it is needed
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
            module = self.offer.partition(":")[0]
            problem = Problem.of(error, module, f"importing {self.offer}")
            raise PluginError(f"{self} cannot be used: {problem}") from error
        if not callable(factory):
            raise PluginError(f"{self} cannot be used: {self.offer} is not a class or function")
        return cast(Callable[..., Any], factory)

    @property
    def qualified(self) -> str:
        """``distribution:name``."""
        return f"{self.source.distribution}:{self.name}"

    def is_called(self, name: str) -> bool:
        """Whether ``name`` is its own, short or qualified."""
        return name == self.name or canonical_name(name) == canonical_name(self.qualified)

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} of {self.source.release}"


@dataclass(slots=True)
class PluginRecord:
    """One plugin as ``gkd plugins`` shows it."""

    source: Source
    # Of a failed plugin, those that it would have, as far as known.
    components: list[Component] = field(default_factory=list)
    observers: list[HookImpl] = field(default_factory=list)  # which are told of training steps
    problems: list[Problem] = field(default_factory=list)
    # With the libraries that it was the first to need; None where nothing was imported.
    import_seconds: float | None = None
    plugin: object = None  # where it is in use

    @property
    def state(self) -> State:
        """Whether it is in use, and if not why."""
        if self.plugin is None:
            return State.FAILED if self.problems else State.BLOCKED
        # An observer that has raised is gone, and has left a problem.
        used = self.components or self.observers or self.problems
        return State.ACTIVE if used else State.EMPTY

    def report(self, cause: str, place: Place) -> None:
        """Add a problem."""
        self.problems.append(Problem(cause, place))

    @property
    def usable(self) -> list[Component]:
        """Its components, none if it is not in use."""
        return [] if self.plugin is None else self.components

    @property
    def provides(self) -> dict[str, tuple[str, ...]]:
        """Names of its components by kind."""
        names: dict[str, tuple[str, ...]] = {}
        for component in self.components:
            names[component.kind] = (*names.get(component.kind, ()), component.name)
        return names

    @property
    def slow(self) -> bool:
        """Whether importing it takes long enough to be noticed."""
        return self.import_seconds is not None and self.import_seconds >= SLOW_IMPORT

    @property
    def cause(self) -> str:
        """All problems in one line, ``""`` when there is none."""
        return "; ".join(str(problem) for problem in self.problems)

    def __str__(self) -> str:
        return f"{self.source}: {self.cause or self.state}"


def canonical_name(name: str) -> str:
    """Distribution name as package indexes compare it, or a qualified name with such a prefix.

    >>> canonical_name("My_Plugin.extra")
    'my-plugin-extra'
    >>> canonical_name("My_Plugin:lsp")
    'my-plugin:lsp'
    """
    distribution, colon, rest = name.partition(":")
    return re.sub(r"[-_.]+", "-", distribution).lower() + colon + rest
