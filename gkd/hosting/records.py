"""What is known of one plugin: where it comes from, what it provides, why it cannot be used."""

import inspect
import os
import pkgutil
import re
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from pluggy import HookImpl

from gkd.errors import PluginError

CREATING = "while creating"  # how the note begins that says which component could not be made
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
class Place:
    """A line of a file; line 0 is the file as a whole."""

    file: str = ""
    line: int = 0

    @classmethod
    def of(cls, thing: object) -> "Place":
        """Return where a function begins, or the file of any other object's module or class."""
        function = inspect.unwrap(thing) if callable(thing) else thing
        if (code := getattr(function, "__code__", None)) is not None:
            return cls(code.co_filename, code.co_firstlineno)
        module = inspect.getmodule(thing) or inspect.getmodule(type(thing))
        return cls(getattr(module, "__file__", None) or "")

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a plugin, or a part of it, cannot be used."""

    cause: str
    place: Place = Place()

    @classmethod
    def of(
        cls, error: BaseException, module: str, action: str = "", otherwise: Place = Place()
    ) -> "Problem":
        """Return what ``error`` says, and the line of the plugin that is to be looked at.

        The sentence begins with the ``action`` that raised it. The place is ``otherwise`` where it
        passed through no line of the package of ``module``.
        """
        cause = f"{action} raised {describe(error)}" if action else describe(error)
        return cls(cause, failure_place(error, module) or otherwise)

    def __str__(self) -> str:
        return f"{self.cause} [{self.place}]" if self.place.file else self.cause


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
            problem = Problem.of(error, self.offer, f"importing {self.offer}")
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
    state: State
    # Of a failed plugin, those that it would have, as far as known.
    components: list[Component] = field(default_factory=list)
    observers: list[HookImpl] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    # With the libraries that it was the first to need; None where nothing was imported.
    import_seconds: float | None = None
    plugin: object = None  # where it is in use

    def report(self, cause: str, place: Place) -> None:
        """Add a problem."""
        self.problems.append(Problem(cause, place))

    @property
    def usable(self) -> list[Component]:
        """Its components, none if it has failed."""
        return [] if self.state is State.FAILED else self.components

    @property
    def observes(self) -> bool:
        """Whether it is told of training steps."""
        return bool(self.observers)

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


def describe(error: BaseException) -> str:
    r"""Return type and first line of the message of ``error``, in one line.

    >>> describe(ValueError("two\nlines"))
    'ValueError: two'
    """
    try:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception:  # the plugin's own exception class is as broken as the plugin
        message = ""
    first = message.strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def raised_at(error: BaseException) -> Place:
    """Return the deepest line that an error passed through outside of what is installed.

    The deepest of all is often inside a library that somebody's code called wrongly.
    """
    installed = ("<", f"{sysconfig.get_path('stdlib')}{os.sep}")
    places = [place for place, _ in _lines(error)]
    own = [
        place
        for place in places
        if not place.file.startswith(installed) and "site-packages" not in place.file
    ]
    return [Place(), *places[-1:], *own][-1]


def failure_place(error: BaseException, module: str) -> Place | None:
    """Return the deepest line of the package of ``module`` that ``error`` passed through, if any.

    The deepest line of all may be inside a library that the plugin called wrongly.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return Place(error.filename, error.lineno or 0)
    root = module.partition(".")[0]
    own = [place for place, name in _lines(error) if name.partition(".")[0] == root]
    return own[-1] if own else None


def _lines(error: BaseException) -> Iterator[tuple[Place, str]]:
    """Yield the lines that an error passed through, the deepest last, and the module of each."""
    for frame, line in traceback.walk_tb(error.__traceback__):
        yield Place(frame.f_code.co_filename, line), str(frame.f_globals.get("__name__"))
