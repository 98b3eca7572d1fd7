"""What a loaded plugin offers, and what is wrong with it."""

import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pluggy

from gkd.errors import suggestion
from gkd.hosting.components import Component, Components
from gkd.hosting.kinds import KINDS, OBSERVER, hook_names
from gkd.hosting.records import Place, PluginRecord, Problem, Source, State, describe

_PATH = re.compile(r"[^\W\d]\w*(\.\w+)*:\w+(\.\w+)*")
_NAME = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?")


@dataclass(slots=True)
class Findings:
    """Components a plugin offers and problems found on the way; both are added as they are found.

    Args:
        source: where the plugin comes from.
        place: its file.
    """

    source: Source
    place: Place
    components: list[Component] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    observes: bool = False

    def report(self, cause: str, place: Place | None = None) -> None:
        """Add a problem, of the plugin as a whole unless ``place`` says where it is."""
        self.problems.append(Problem(cause, place or self.place))

    def record(self, import_seconds: float | None) -> PluginRecord:
        """Return what ``gkd plugins`` shows of the plugin."""
        names: dict[str, tuple[str, ...]] = {}
        for component in self.components:
            names[component.kind] = (*names.get(component.kind, ()), component.name)
        usable = State.ACTIVE if names or self.observes else State.EMPTY
        state = State.FAILED if self.problems else usable
        problems = tuple(self.problems)
        return PluginRecord(self.source, state, names, self.observes, problems, import_seconds)


def examine(
    plugin: object, source: Source, manager: pluggy.PluginManager, known: Components
) -> Findings:
    """Check the hooks of ``plugin`` against the specifications and collect what they return.

    All problems are found, not the first alone; components of the sound hooks are collected even
    so, because an error about a missing name can then say who would have provided it.

    Args:
        plugin: module or object with hook implementations.
        source: where it comes from.
        manager: has the specifications, and the plugins that are there already.
        known: the components that are there already.
    """
    place = Place.of(plugin)
    if not place.file:
        module = sys.modules.get(source.value.partition(":")[0])
        place = Place(getattr(module, "__file__", None) or "")
    findings = Findings(source, place)
    # pluggy takes a plugin once, under one name, and would raise what no user can place.
    for name, other in manager.list_name_plugin():
        if name == source.qualified:
            findings.report(f"{source.distribution} already has a plugin called {source.name!r}")
        elif other is plugin:
            findings.report(f"it is the same object as the plugin {name!r}")
    if findings.problems:
        return findings
    try:
        _examine_hooks(plugin, manager, findings)
    except Exception as error:  # an attribute of the plugin raises when it is looked at
        findings = Findings(source, place)
        findings.report(f"looking for its hooks raised {describe(error)}")
    for component in findings.components:
        if (clash := known.clash(component)) is not None:
            findings.report(f"{clash}, from its plugin {clash.source.name!r}, is there already")
    return findings


def _examine_hooks(plugin: object, manager: pluggy.PluginManager, findings: Findings) -> None:
    marked = set()
    for attribute in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, attribute)
        name = (options and options.get("specname")) or attribute
        # An optional hook is one of another version of gkd: neither called nor a mistake.
        if options is None or (options.get("optionalhook") and name not in hook_names()):
            continue
        marked.add(name)
        function = getattr(plugin, attribute)
        hook = pluggy.HookImpl(plugin, findings.source.qualified, function, options)
        if mistake := _signature_mistake(name, hook, manager):
            findings.report(mistake, Place.of(function))
        elif name == OBSERVER:
            findings.observes = True
        else:
            _collect(name, hook, findings)
    for name in hook_names():
        function = inspect.getattr_static(plugin, name, None)
        if name not in marked and callable(function):
            findings.report(f"{name} is not marked with @gkd.hookimpl", Place.of(function))
    if not marked and not findings.problems:
        expected = ", ".join(sorted(hook_names()))
        findings.report(f"it implements no hook of gkd; expected any of {expected}")


def _signature_mistake(name: str, hook: pluggy.HookImpl, manager: pluggy.PluginManager) -> str:
    if name not in hook_names():
        return f"there is no hook {name!r}; {suggestion(name, hook_names())}"
    if hook.wrapper or hook.hookwrapper:
        return f"{name} is a hook wrapper; gkd asks each plugin for its own answer"
    expected = getattr(manager.hook, name).spec.argnames
    if set(hook.argnames) <= set(expected):
        return ""
    signature, declared = f"{name}({', '.join(expected)})", ", ".join(hook.argnames)
    return f"{name} is called as {signature}, but declares ({declared})"


def _collect(name: str, hook: pluggy.HookImpl, findings: Findings) -> None:
    """Add the components that ``hook`` returns, and what is wrong with them."""
    place = Place.of(hook.function)
    try:
        answer: Any = hook.function()
        items = list(answer.items()) if isinstance(answer, Mapping) else None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit and the panics of native modules included
        module = getattr(hook.function, "__module__", None) or ""
        findings.problems.append(Problem.of(error, module, name, place))
        return
    if items is None:
        returned = type(answer).__name__
        cause = f"{name} must return a mapping from names to factories, it returned {returned}"
        findings.report(cause, place)
        return
    kind = next(kind.name for kind in KINDS.values() if kind.hook == name)
    for key, factory in items:
        if not isinstance(key, str):
            kind_of_key = type(key).__name__
            findings.report(f"{name} must return names as strings, one is {kind_of_key}", place)
            continue
        if any(c.kind == kind and c.name == key for c in findings.components):
            findings.report(f"{name}: {key!r} is offered twice", place)
        elif not _NAME.fullmatch(key):
            cause = f"{name}: {key!r} is no name; use letters, digits, '-', '_' and '.'"
            findings.report(cause, place)
        elif isinstance(factory, str) and not _PATH.fullmatch(factory):
            findings.report(f"{name}: {key!r} is at {factory!r}, expected 'module:object'", place)
        elif not isinstance(factory, str) and not callable(factory):
            made = type(factory).__name__
            findings.report(f"{name}: {key!r} must be a class or function, it is {made}", place)
        findings.components.append(Component(kind, key, factory, findings.source))
