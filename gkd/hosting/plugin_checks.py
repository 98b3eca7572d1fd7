"""What a loaded plugin offers, and what is wrong with it."""

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pluggy

from gkd.errors import suggestion
from gkd.hosting.components import Component
from gkd.hosting.kinds import KINDS
from gkd.hosting.plugin_record import Place, PluginRecord, Problem, Source, State
from gkd.hosting.plugin_sources import described, failure_place

OBSERVER = "gkd_step"

_NAME = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?")


@dataclass(slots=True)
class Findings:
    """Components a plugin offers and problems found on the way."""

    components: list[Component] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    observes: bool = False

    def record(self, source: Source, import_seconds: float | None = None) -> PluginRecord:
        """Return what ``gkd plugins`` shows of the plugin."""
        names: dict[str, tuple[str, ...]] = {}
        for component in self.components:
            names[component.kind] = (*names.get(component.kind, ()), component.name)
        usable = State.ACTIVE if names or self.observes else State.EMPTY
        state = State.FAILED if self.problems else usable
        problems = tuple(self.problems)
        return PluginRecord(source, state, names, self.observes, problems, import_seconds)


def examined(plugin: object, source: Source, manager: pluggy.PluginManager) -> Findings:
    """Check the hooks of ``plugin`` against the specifications and collect what they return.

    All problems are found, not the first alone; components of the sound hooks are collected even
    so, because an error about a missing name can then say who would have provided it.
    """
    findings = Findings()
    implementations = list(_implementations(plugin, source, manager))
    for name, implementation in implementations:
        problem = _signature_problem(name, implementation, manager)
        if problem is not None:
            findings.problems.append(problem)
        elif name == OBSERVER:
            findings.observes = True
        else:
            _collect(name, implementation, source, findings)
    findings.problems += _forgotten_marks(plugin, {name for name, _ in implementations})
    if not implementations and not findings.problems:
        expected = ", ".join(sorted(hook_names()))
        findings.problems.append(
            Problem(
                f"it implements no hook of gkd; expected any of {expected}",
                plugin_place(plugin, source),
            )
        )
    return findings


def hook_names() -> list[str]:
    """Names of all hooks.

    >>> hook_names()[:2]
    ['gkd_losses', 'gkd_kernels']
    """
    return [*(kind.hook for kind in KINDS.values()), OBSERVER]


def place_of(function: object) -> Place:
    """File and line of a function, or of the module or class of any other object."""
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    if code is not None:
        return Place(code.co_filename, code.co_firstlineno)
    file = getattr(function, "__file__", None)
    if file is None:
        module = inspect.getmodule(function if inspect.isclass(function) else type(function))
        file = getattr(module, "__file__", None)
    return Place(file or "")


def plugin_place(plugin: object, source: Source) -> Place:
    """Return the file of ``plugin``, or that of the module it was found in."""
    place = place_of(plugin)
    module = sys.modules.get(source.value.partition(":")[0])
    return place if place.file else Place(getattr(module, "__file__", None) or "")


def _implementations(
    plugin: object, source: Source, manager: pluggy.PluginManager
) -> Iterator[tuple[str, pluggy.HookImpl]]:
    for attribute in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, attribute)
        if options is not None:
            name = options.get("specname") or attribute
            # An optional hook is one of another version of gkd: neither called nor a mistake.
            if name in hook_names() or not options.get("optionalhook"):
                function = getattr(plugin, attribute)
                yield name, pluggy.HookImpl(plugin, source.qualified, function, options)


def _signature_problem(
    name: str, implementation: pluggy.HookImpl, manager: pluggy.PluginManager
) -> Problem | None:
    place = place_of(implementation.function)
    if name not in hook_names():
        return Problem(f"there is no hook {name!r}; {suggestion(name, hook_names())}", place)
    if implementation.wrapper or implementation.hookwrapper:
        return Problem(f"{name} is a hook wrapper; gkd asks each plugin for its own answer", place)
    expected = getattr(manager.hook, name).spec.argnames
    extra = [a for a in implementation.argnames if a not in expected]
    if extra:
        signature = f"{name}({', '.join(expected)})"
        declared = ", ".join(implementation.argnames)
        return Problem(f"{name} is called as {signature}, but declares ({declared})", place)
    return None


def _collect(
    name: str, implementation: pluggy.HookImpl, source: Source, findings: Findings
) -> None:
    place = place_of(implementation.function)
    module = getattr(implementation.function, "__module__", None) or ""
    try:
        answer: Any = implementation.function()
        if not isinstance(answer, Mapping):
            kind = type(answer).__name__
            cause = f"{name} must return a mapping from names to factories, it returned {kind}"
            findings.problems.append(Problem(cause, place))
            return
        items = list(answer.items())
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        cause = f"{name} raised {described(error)}"
        findings.problems.append(Problem(cause, failure_place(error, module) or place))
        return
    kind_name = next(kind.name for kind in KINDS.values() if kind.hook == name)
    offered = {c.name for c in findings.components if c.kind == kind_name}
    for key, factory in items:
        cause = _item_problem(name, key, factory, offered)
        if cause:
            findings.problems.append(Problem(cause, place))
        if isinstance(key, str):
            findings.components.append(Component(kind_name, key, factory, source))


def _item_problem(hook: str, name: object, factory: object, offered: set[str]) -> str:
    if not isinstance(name, str):
        return f"{hook} must return names as strings, one is {type(name).__name__}"
    if name in offered:
        return f"{hook}: {name!r} is offered twice"
    if not _NAME.fullmatch(name):
        return f"{hook}: {name!r} is no name; use letters, digits, '-', '_' and '.'"
    if not callable(factory):
        return f"{hook}: {name!r} must be a class or function, it is {type(factory).__name__}"
    return ""


def _forgotten_marks(plugin: object, marked: set[str]) -> Iterator[Problem]:
    for name in hook_names():
        function = inspect.getattr_static(plugin, name, None)
        if name not in marked and callable(function):
            yield Problem(f"{name} is not marked with @gkd.hookimpl", place_of(function))
