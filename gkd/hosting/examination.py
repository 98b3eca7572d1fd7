"""What a loaded plugin offers, and what is wrong with it."""

import inspect
import re
import sys
from collections.abc import Collection, Mapping

import pluggy

from gkd.errors import suggestion
from gkd.errors.causes import Place, Problem, describe
from gkd.hosting import hookspecs
from gkd.hosting.kinds import HOOKS, KINDS, OBSERVER, Kind
from gkd.hosting.own_code import is_place
from gkd.hosting.records import Component, PluginRecord

_NAME = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?")
_SPECIFIED = pluggy.PluginManager(hookspecs.PROJECT)
_SPECIFIED.add_hookspecs(hookspecs)


def examine(plugin: object, record: PluginRecord, others: Collection[PluginRecord]) -> None:
    """Check ``plugin`` against the specifications; complete its ``record``.

    All problems are found, not the first alone; components of the sound hooks are recorded even
    so, because an error about a missing name can then say who would have provided it. ``others``
    are the plugins that are there already.
    """
    source, place = record.source, Place.of(plugin)
    if not place.file:
        place = Place.of(sys.modules.get(source.value.partition(":")[0]))
    used = [other for other in others if other.plugin is not None]
    try:
        bool(plugin == source)  # all that come later are compared with it: to raise harms those
        same = next((other.source.qualified for other in used if plugin == other.plugin), None)
        if any(source.qualified == other.source.qualified for other in used):
            cause = f"{source.distribution} already has a plugin called {source.name!r}"
            record.report(cause, place)
        elif same is not None:
            record.report(f"it is the same object as the plugin {same!r}", place)
        else:
            _examine_hooks(plugin, record, place)
    except Exception as error:  # the plugin raises when it is compared or looked at
        record.report(f"looking for its hooks raised {describe(error)}", place)
    for other in (component for each in used for component in each.components):
        # Not even distribution:name would tell the two apart.
        if any(c.kind == other.kind and c.is_called(other.qualified) for c in record.components):
            cause = f"{other}, from its plugin {other.source.name!r}, is there already"
            record.report(cause, place)
    if not record.problems:
        record.plugin = plugin


def _examine_hooks(plugin: object, record: PluginRecord, place: Place) -> None:
    marked = set()
    for attribute in dir(plugin):
        options = _SPECIFIED.parse_hookimpl_opts(plugin, attribute)
        name = (options and options.get("specname")) or attribute
        # An optional hook is one of another version of gkd: neither called nor a mistake.
        if options is None or (options.get("optionalhook") and name not in HOOKS):
            continue
        marked.add(name)
        if inspect.isclass(plugin) and inspect.isfunction(
            inspect.getattr_static(plugin, attribute)
        ):
            made = plugin.__name__
            cause = f"it is the class {made}, whose hooks need an object: write plugin = {made}() "
            record.report(f"{cause}and name that in the entry point", place)
            return
        hook = pluggy.HookImpl(plugin, record.source.qualified, getattr(plugin, attribute), options)
        if mistake := _signature_mistake(name, hook):
            record.report(mistake, Place.of(hook.function))
        elif name == OBSERVER:
            record.observers.append(hook)
        else:
            _collect(name, hook, record)
    for name in HOOKS:
        function = inspect.getattr_static(plugin, name, None)
        if name not in marked and callable(function):
            record.report(f"{name} is not marked with @gkd.hookimpl", Place.of(function))
    if not marked and not record.problems:
        expected = ", ".join(sorted(HOOKS))
        record.report(f"it implements no hook of gkd; expected any of {expected}", place)


def _signature_mistake(name: str, hook: pluggy.HookImpl) -> str:
    if name not in HOOKS:
        return f"there is no hook {name!r}; {suggestion(name, HOOKS)}"
    if hook.wrapper or hook.hookwrapper:
        return f"{name} is a hook wrapper; gkd asks each plugin for its own answer"
    expected = getattr(_SPECIFIED.hook, name).spec.argnames
    if set(hook.argnames) <= set(expected):
        return ""
    signature, declared = f"{name}({', '.join(expected)})", ", ".join(hook.argnames)
    return f"{name} is called as {signature}, but declares ({declared})"


def _collect(name: str, hook: pluggy.HookImpl, record: PluginRecord) -> None:
    """Add the components that ``hook`` returns, and what is wrong with them."""
    place = Place.of(hook.function)
    try:
        answer = hook.function()
        if not isinstance(answer, Mapping):
            returned = type(answer).__name__
            cause = f"{name} must return a mapping from names to factories, it returned {returned}"
            record.report(cause, place)
            return
        items = list(answer.items())
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit and the panics of native modules included
        record.problems.append(Problem.of_call(error, hook.function, name))
        return
    kind = next(kind for kind in KINDS.values() if kind.hook == name)
    for key, offer in items:
        if mistake := _offer_mistake(kind, key, offer, record.provides.get(kind.name, ())):
            record.report(mistake, place)
        if isinstance(key, str):
            record.components.append(Component(kind.name, key, offer, record.source))


def _offer_mistake(kind: Kind, key: object, offer: object, taken: Collection[str]) -> str:
    hook = kind.hook
    if not isinstance(key, str):
        return f"{hook} must return names as strings, one is {type(key).__name__}"
    if key in taken:
        return f"{hook}: {key!r} is offered twice"
    if not _NAME.fullmatch(key):
        return f"{hook}: {key!r} is not a valid name; use letters, digits, '-', '_' and '.'"
    if isinstance(offer, str) and not is_place(offer):
        return f"{hook}: {key!r} is at {offer!r}, expected 'module:object'"
    if not isinstance(offer, str) and not callable(offer):
        return f"{hook}: {key!r} must be a class or function, it is {type(offer).__name__}"
    product = kind.product_path.rpartition(":")[2]  # by its name: it need not be imported
    if any(base.__name__ == product for base in type(offer).__mro__):
        made = type(offer).__name__
        return f"{hook}: {key!r} is made already; offer its class, {made}, or a function"
    return ""
