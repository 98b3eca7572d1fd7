"""The plugin host: finds plugins, sets broken ones aside, creates components."""

import inspect
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import EntryPoint
from typing import Any

from gkd.errors import ParameterError, PluginError
from gkd.hosting.components import Component
from gkd.hosting.hookspecs import StepEvent
from gkd.hosting.kinds import kind_named
from gkd.hosting.parameters import bind_parameters, signature_of
from gkd.hosting.plugin_checks import place_of
from gkd.hosting.plugin_record import PluginRecord, Problem, Source, State
from gkd.hosting.plugin_sources import (
    PluginSettings,
    PluginUnusableError,
    described,
    failure_place,
    installed_plugins,
    load_plugin,
)
from gkd.hosting.registry import Registry, require_sound

logger = logging.getLogger(__name__)

_active: ContextVar["Host | None"] = ContextVar("gkd_host", default=None)


def active_host() -> "Host | None":
    """Return the host that creates a component, loads plugins or is activated here, if any."""
    return _active.get()


class Host:
    """Plugins and the components they provide; made by :func:`create_host`.

    Args:
        settings: which plugins may be used, and whether a broken one is an error.
    """

    def __init__(self, settings: PluginSettings) -> None:
        self.settings = settings
        self._registry = Registry()
        self._loading = False

    @property
    def plugins(self) -> tuple[PluginRecord, ...]:
        """All plugins found, usable or not, in the order in which they were found."""
        return tuple(self._registry.records)

    def discover(self) -> None:
        """Load the plugins that entry points of the group ``gkd`` name.

        A plugin that cannot be used is set aside; :attr:`plugins` says where it is, and why.

        Raises:
            PluginError: the settings name an unknown plugin, or are strict and a plugin is broken.
        """
        installed = installed_plugins()
        selected = self.settings.select(source for source, _ in installed)
        with self._loads():
            for source, entry in installed:
                if source not in selected:
                    self._registry.note(PluginRecord(source, State.BLOCKED))
                    continue
                self._load(source, entry)
        if self.settings.strict:
            require_sound(self._registry.records)

    def _load(self, source: Source, entry: EntryPoint) -> None:
        begin = time.perf_counter()
        try:
            plugin = load_plugin(entry)
        except PluginUnusableError as error:
            seconds = time.perf_counter() - begin
            problems = (error.problem,)
            failed = PluginRecord(source, State.FAILED, problems=problems, import_seconds=seconds)
            self._registry.note(failed)
        else:
            self._registry.add(plugin, source, time.perf_counter() - begin)

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
        with self._loads():
            record = self._registry.add(plugin, Source(distribution, "", name))
        require_sound([record])
        return record

    def names(self, kind: str) -> list[str]:
        """Return the names of the components of ``kind``; a shared one is listed qualified."""
        return list(self.components(kind))

    def components(self, kind: str) -> dict[str, Component]:
        """Return the components of ``kind`` by name, as :meth:`names` lists them."""
        self._require_loaded()
        return self._registry.components.of(kind)

    def component(self, kind: str, name: str) -> Component:
        """Return the component of ``kind`` called ``name`` or ``distribution:name``.

        Raises:
            UnknownNameError: nothing is called so; plugins that may have provided it are named.
            PluginError: several plugins offer the name.
        """
        self._require_loaded()
        return self._registry.components.find(kind, name, self._registry.records)

    def signature(self, kind: str, name: str) -> inspect.Signature:
        """Return the parameters of the component of ``kind`` called ``name``."""
        return signature_of(self.component(kind, name).factory)

    def create(self, kind: str, name: str, /, **parameters: Any) -> Any:
        """Return a new component; what it creates in turn comes from this host as well.

        Raises:
            UnknownNameError: nothing is called so.
            ParameterError: a parameter is unknown, missing or mistyped.
            PluginError: several plugins offer the name, or its factory made something else.
        """
        component = self.component(kind, name)
        owner = f"{kind} {name!r}"
        values = bind_parameters(component.factory, parameters, owner)
        try:
            with self.activated():
                product = component.factory(**values)
        except Exception as error:
            if isinstance(error, ParameterError):
                # Its constructor may have refused a value under the name of its class: here the
                # same is said of the component, which is what the user asked for.
                bind_parameters(component.factory, parameters, owner, trust=False)
            error.add_note(f"while creating {component}")
            raise
        expected = kind_named(kind).product
        if not isinstance(product, expected):
            raise PluginError(
                f"{component} must be {expected.__name__}, but its factory made "
                f"{type(product).__name__} [{place_of(component.factory)}]"
            )
        return product

    def notify(self, event: StepEvent) -> None:
        """Tell all observers of a finished training step.

        An observer that raises is reported once and disabled: training goes on.

        Raises:
            PluginError: an observer raised, and the settings are strict.
        """
        for observer in self._registry.observers:
            try:
                observer.function(**dict.fromkeys(observer.argnames, event))
            except Exception as error:
                place = failure_place(error, observer.function.__module__)
                cause = f"observing a training step raised {described(error)}"
                problem = Problem(cause, place or place_of(observer.function))
                record = self._registry.disable_observer(observer, problem)
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
    def _loads(self) -> Iterator[None]:
        self._loading = True
        try:
            with self.activated():
                yield
        finally:
            self._loading = False

    def _require_loaded(self) -> None:
        if self._loading:
            raise PluginError(
                "plugins are still being loaded: ask for components when a component is created, "
                "not when the plugin is imported or its hooks are called"
            )


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
