"""The plugin host: finds plugins, sets broken ones aside, creates components."""

import functools
import inspect
import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from gkd.errors import ParameterError, PluginError, UnknownNameError, nearest, suggestion
from gkd.errors.causes import CREATING, Place, Problem
from gkd.hosting import hookspecs
from gkd.hosting.examination import examine
from gkd.hosting.kinds import kind_named, product_mistake
from gkd.hosting.loading import PluginSettings, installed_plugins, load_plugin
from gkd.hosting.own_code import imported, is_own, is_place, own_component
from gkd.hosting.parameters import bind_parameters, signature_of
from gkd.hosting.records import Component, PluginRecord, Source

logger = logging.getLogger(__name__)

_SHOWN = 5  # of the distributions that are left out for the same reason
_active: ContextVar["Host | None"] = ContextVar("gkd_host", default=None)


class Host:
    """Plugins and the components they provide; made by :func:`create_host`.

    A name of the form ``module:Object`` that no plugin has is a component of somebody's own: a
    class, or a function that is annotated to return one, imported from there.

    Attributes:
        code: folder in which modules of such names are looked for before all others.
        imports: whether there are such names at all.
    """

    def __init__(self, settings: PluginSettings) -> None:
        self.settings = settings
        self.code: Path | None = None
        self.imports = True
        self._records: list[PluginRecord] = []
        self._loading = False
        self._discovered = False
        self._made: dict[tuple[str, str], Component] = {}

    @property
    def made(self) -> tuple[Component, ...]:
        """All components that were made so far, each once."""
        return tuple(self._made.values())

    @property
    def plugins(self) -> tuple[PluginRecord, ...]:
        """All plugins found, usable or not, in the order in which they were found."""
        return tuple(self._records)

    def discover(self) -> None:
        """Load the plugins that entry points of the group ``gkd`` name.

        A plugin that cannot be used is set aside; :attr:`plugins` says where it is, and why.

        Raises:
            PluginError: the settings name an unknown plugin, or are strict and a plugin is broken.
        """
        self._discovered = True
        installed = installed_plugins()
        selected = self.settings.select([source for source, _ in installed])
        with self._while_loading():
            for source, entry in installed:
                record = PluginRecord(source)
                if source in selected:
                    begin = time.perf_counter()
                    plugin = load_plugin(entry)
                    record.import_seconds = time.perf_counter() - begin
                    if isinstance(plugin, Problem):
                        record.problems = [plugin]
                    else:
                        examine(plugin, record, self._records)
                self._records.append(record)
        if self.settings.strict:
            _require_sound(self._records)
            # Whoever wants no broken plugin wants none that only breaks when it is used.
            for record in self._records:
                for component in record.components:
                    _ = component.factory

    def register(
        self, plugin: object, *, distribution: str = "local", name: str | None = None
    ) -> PluginRecord:
        """Add a plugin that no entry point names, and return its record.

        Args:
            plugin: module or object with hook implementations.
            distribution: prefix of the qualified names of what it provides.
            name: of the plugin; by default the module's, or that of the object's class.

        Raises:
            PluginError: it cannot be used.
        """
        name = name or getattr(plugin, "__name__", None) or type(plugin).__name__
        record = PluginRecord(Source(distribution, "", name))
        with self._while_loading():
            examine(plugin, record, self._records)
        self._records.append(record)
        _require_sound([record])
        return record

    def with_code(self, folder: Path | None, imports: bool = True) -> "Host":
        """Return the host of the same plugins with another place of modules of one's own.

        Args:
            folder: in which they are looked for first.
            imports: whether ``module:Object`` names anything, as it should not in a file of
                somebody else's.
        """
        other = Host.__new__(Host)
        vars(other).update(vars(self), code=folder, imports=imports)
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process finds what is installed by itself.
        by_hand = [
            (one.__name__ if isinstance(one, ModuleType) else one, record.source)
            for record in self._records
            if (one := record.plugin) is not None and not record.source.version
        ]
        return create_host, (self._discovered, self.settings), (by_hand, self.code, self.imports)

    def __setstate__(self, state: tuple[list[tuple[object, Source]], Path | None, bool]) -> None:
        by_hand, self.code, self.imports = state
        for one, source in by_hand:
            plugin = import_module(one) if isinstance(one, str) else one
            self.register(plugin, distribution=source.distribution, name=source.name)

    def names(self, kind: str) -> list[str]:
        """Return the names of the components of ``kind``; a shared one is listed qualified."""
        return list(self.components(kind))

    def components(self, kind: str) -> dict[str, Component]:
        """Return the components of ``kind`` by name, as :meth:`names` lists them."""
        found = self._offered(kind)
        sharing = Counter(component.name for component in found)
        shortest = {c.name if sharing[c.name] == 1 else c.qualified: c for c in found}
        return dict(sorted(shortest.items()))

    def _offered(self, kind: str) -> list[Component]:
        """Return the components of ``kind`` in the order in which plugins were found."""
        if self._loading:
            raise PluginError(
                "plugins are still being loaded: ask for components when a component is created, "
                "not when the plugin is imported or its hooks are called"
            )
        kind = kind_named(kind).name
        return [c for record in self._records for c in record.usable if c.kind == kind]

    def component(self, kind: str, name: str) -> Component:
        """Return the component of ``kind`` called ``name``, short, qualified or ``module:Object``.

        Raises:
            UnknownNameError: nothing is called so; names plugins that may have it.
            PluginError: several plugins offer the name.
            ParameterError: what ``module:Object`` names is not there, or of another kind.
        """
        offered = self._offered(kind)
        if not isinstance(name, str):
            raise ParameterError(f"the name of a {kind} is a string, got {name!r}")
        found = [component for component in offered if component.is_called(name)]
        if len(found) > 1:
            owners = " and ".join(component.source.release for component in found)
            either = " or ".join(repr(component.qualified) for component in found)
            raise PluginError(f"{kind} {name!r} is offered by {owners}; ask for {either}")
        if found:
            return found[0]
        qualified = [component.qualified for component in offered]
        if self.is_own(name):
            try:
                own = imported(name, self.code, self.imports)
                return own_component(kind, name, own, lambda: self._taker(kind, name))
            except UnknownNameError:
                # There is no such module: it may be a distribution that is meant.
                if not get_close_matches(name, qualified):
                    raise
        _, colon, short = name.rpartition(":")
        choices = qualified if colon else self.names(kind)
        near = suggestion(name, choices)
        if nearest(name, choices) is None:  # to ask components, they must be imported
            near = self._taker(kind, name) or near
            if is_place(place := ":".join(name.rsplit(".", 1))):
                near = f"a class of your own is written {place!r}; {near}"
        message = f"no {kind} is called {name!r}; {near}"
        raise UnknownNameError("\n".join([message, *self._possible_sources(kind, short)]))

    def _taker(self, kind: str, name: str) -> str:
        """Name the component with a parameter for what is called so; ``""`` where none has one.

        A component says so by a static method ``parameter_for``.
        """
        with self.activated():
            for taker, component in self.components(kind).items():
                try:
                    factory = component.factory
                except PluginError:  # what cannot be used is no answer, and not what was asked for
                    continue
                parameter_for = getattr(factory, "parameter_for", None)
                parameter = None if parameter_for is None else parameter_for(name)
                if parameter is not None:
                    return f'did you mean name = "{taker}", {parameter} = "{name}"?'
        return ""

    def is_own(self, name: str) -> bool:
        """Whether a name is the place of somebody's own code, and no plugin's or component's."""
        return is_own(name, self._records, self.code)

    def _possible_sources(self, kind: str, name: str) -> Iterator[str]:
        """Yield lines about the plugins that are not in use and may offer the component."""
        unusable = [record for record in self._records if record.plugin is None]
        certain = [record for record in unusable if name in record.provides.get(kind, ())]
        if certain:
            yield "It would come from:"
        elif unusable:
            yield "It may come from a plugin that is not in use:"
        told = certain or unusable
        for record in told:
            if record.cause:
                yield f"  {record.source}: {record.cause}"
        # In one line: whoever names a few plugins has left out all the others.
        blocked = list(dict.fromkeys(one.source.release for one in told if not one.cause))
        if blocked:
            more = f" and {len(blocked) - _SHOWN} more" if len(blocked) > _SHOWN else ""
            yield f"  {', '.join(blocked[:_SHOWN])}{more}: not in GKD_PLUGINS"

    def signature(self, kind: str, name: str) -> inspect.Signature:
        """Return the parameters of the component of ``kind`` called ``name``."""
        return signature_of(self.component(kind, name).factory)

    def check_parameters(self, kind: str, name: str, given: Mapping[str, Any]) -> None:
        """Make sure that a component takes what it will be given, beside what the engine adds.

        Raises:
            ParameterError: a parameter is unknown or mistyped.
        """
        factory = self.component(kind, name).factory
        bind_parameters(factory, given, f"{kind} {name!r}", trust=False, whole=False)

    def create(self, kind: str, name: str, /, **parameters: Any) -> Any:
        """Return a new component, see :func:`create`; what it creates in turn is this host's."""
        return self.make(self.component(kind, name), f"{kind} {name!r}", parameters)

    def make(self, component: Component, owner: str, parameters: Mapping[str, Any]) -> Any:
        """Return what a component's factory makes, as :meth:`create` does.

        Args:
            component: of this host.
            owner: what messages call it.
            parameters: of its factory.
        """
        values = bind_parameters(component.factory, parameters, owner)
        try:
            with self.activated():
                product = component.factory(**values)
        except Exception as error:
            if isinstance(error, ParameterError):
                # Its constructor may have refused a value under the name of its class: here the
                # same is said of the component, which is what the user asked for.
                bind_parameters(component.factory, parameters, owner, trust=False)
            error.add_note(f"{CREATING} {component}")
            raise
        self._made[component.kind, component.qualified] = component
        if mistake := product_mistake(component.kind, product):
            raise PluginError(f"{component} {mistake} [{Place.of(component.factory)}]")
        return product

    def notify(self, event: hookspecs.StepEvent) -> None:
        """Tell all observers of a finished training step.

        An observer that raises is reported once and disabled: training goes on.

        Raises:
            PluginError: an observer raised, and the settings are strict.
        """
        # Not by pluggy's own call, which would end with the first that raises.
        for record in [record for record in self._records if record.plugin is not None]:
            try:
                for hook in record.observers:
                    hook.function(**dict.fromkeys(hook.argnames, event))
            except Exception as error:
                problem = Problem.of_call(error, hook.function, "observing a training step")
                record.observers, record.problems = [], [problem]
                if self.settings.strict:
                    raise PluginError(str(record)) from error
                logger.warning("%s; it no longer observes", record)

    @contextmanager
    def activated(self) -> Iterator[None]:
        """Let ``gkd.create`` and ``gkd.names`` use this host, in this thread or task."""
        token = _active.set(self)
        try:
            yield
        finally:
            _active.reset(token)

    @contextmanager
    def _while_loading(self) -> Iterator[None]:
        self._loading = True
        try:
            # A plugin that asks for components too early is told so by this host, not by the
            # process's own, whose loading it may be part of.
            with self.activated():
                yield
        finally:
            self._loading = False


def _require_sound(records: Iterable[PluginRecord]) -> None:
    broken = [f"  {record}" for record in records if record.problems]
    if broken:
        raise PluginError("\n".join(["plugins that cannot be used:", *broken]))


def create_host(discover: bool = True, settings: PluginSettings | None = None) -> Host:
    """Return a new host, with the installed plugins unless ``discover`` is False.

    Args:
        discover: whether to load the plugins that entry points of the group ``gkd`` name.
        settings: by default those of the environment variables ``GKD_PLUGINS`` and
            ``GKD_STRICT_PLUGINS``.

    Raises:
        PluginError: ``GKD_PLUGINS`` names an unknown plugin, or ``GKD_STRICT_PLUGINS=1`` and a
            plugin is broken.

    >>> create_host(discover=False).names("loss")
    []
    """
    host = Host(PluginSettings.from_environment() if settings is None else settings)
    if discover:
        host.discover()
    return host


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


def active_host() -> Host | None:
    """Return the host that creates a component, loads plugins or is activated here, if any."""
    return _active.get()


def current_host() -> Host:
    """Return the host at work: the one that is creating a component, else the process's own."""
    return active_host() or default_host()


def import_own(place: str) -> Any:
    """Return what ``module:Object`` names, for plugins that take code by its place themselves.

    Raises:
        UnknownNameError: there is no such module, or none is imported here.
        ParameterError: importing it fails, or it has no such object.
    """
    host = current_host()
    return imported(place, host.code, host.imports)


def names(kind: str) -> list[str]:
    """Return the names of the components of ``kind``: loss, kernel, graph, model, and so on.

    A name that two plugins offer is listed as ``distribution:name`` of each.

    Raises:
        UnknownNameError: there is no such kind.

    >>> import gkd
    >>> "lsp" in gkd.names("loss")
    True
    """
    return current_host().names(kind)


def create(kind: str, name: str, /, **parameters: Any) -> Any:
    """Return a new component of ``kind``, made by the plugin that provides ``name``.

    Args:
        kind: loss, kernel, graph, model, dataset, task or weigher.
        name: short, ``distribution:name`` where two plugins offer the short one, or
            ``module:Object`` for a class of your own.
        **parameters: of the component; checked against its signature.

    Raises:
        UnknownNameError: no such kind or component; the nearest is named, and so are plugins that
            may have provided it but cannot be used.
        ParameterError: a parameter is unknown, missing or mistyped.
        PluginError: several plugins offer the name, or its factory made something else.

    >>> import gkd
    >>> loss = gkd.create("loss", "lsp", kernel="rbf", sigma=1.0)
    """
    return current_host().create(kind, name, **parameters)
