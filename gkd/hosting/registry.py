"""The plugins of one host: their records, their hooks and the components they provide."""

from dataclasses import replace

import pluggy

from gkd.errors import PluginError
from gkd.hosting import hookspecs
from gkd.hosting.components import Components
from gkd.hosting.plugin_checks import Findings, examined, plugin_place
from gkd.hosting.plugin_record import PluginRecord, Problem, Source
from gkd.hosting.plugin_sources import described


class Registry:
    """Plugins that were found, and the hooks and components of the usable ones."""

    def __init__(self) -> None:
        self.records: list[PluginRecord] = []
        self.components = Components()
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)

    def add(
        self, plugin: object, source: Source, import_seconds: float | None = None
    ) -> PluginRecord:
        """Examine ``plugin`` and record it; it takes part if there is no problem."""
        findings = self._examined(plugin, source)
        if not findings.problems:
            self._manager.register(plugin, source.qualified)
            self.components.add(findings.components)
        return self.note(findings.record(source, import_seconds))

    def note(self, record: PluginRecord) -> PluginRecord:
        """Record a plugin that is not there to be examined: blocked, or impossible to import."""
        self.records.append(record)
        return record

    @property
    def observers(self) -> list[pluggy.HookImpl]:
        """Implementations of the hook that observes training steps."""
        return list(self._manager.hook.gkd_step.get_hookimpls())

    def disable_observer(self, observer: pluggy.HookImpl, problem: Problem) -> PluginRecord:
        """Stop calling ``observer``; its plugin's components stay."""
        # Unregistering ends the plugin's hooks alone: its components were collected before.
        self._manager.unregister(name=observer.plugin_name)
        names = [record.source.qualified for record in self.records]
        position = names.index(observer.plugin_name)
        disabled = replace(self.records[position], observes=False, problems=(problem,))
        self.records[position] = disabled
        return disabled

    def _examined(self, plugin: object, source: Source) -> Findings:
        twin = self._twin(plugin, source)
        if twin:
            return Findings(problems=[Problem(twin, plugin_place(plugin, source))])
        try:
            findings = examined(plugin, source, self._manager)
        except Exception as error:
            cause = f"looking for its hooks raised {described(error)}"
            return Findings(problems=[Problem(cause, plugin_place(plugin, source))])
        for component in findings.components:
            other = self.components.clash(component)
            if other is not None:
                cause = f"{other}, from its plugin {other.source.name!r}, is there already"
                findings.problems.append(Problem(cause, plugin_place(plugin, source)))
        return findings

    def _twin(self, plugin: object, source: Source) -> str:
        """Return why pluggy would take ``plugin`` for one that it has, ``""`` if it would not."""
        for name, other in self._manager.list_name_plugin():
            if name == source.qualified:
                return f"{source.distribution} already has a plugin called {source.name!r}"
            if other is plugin:
                return f"it is the same object as the plugin {name!r}"
        return ""


def require_sound(records: list[PluginRecord]) -> None:
    """Raise :class:`PluginError` with the causes of all of ``records`` that have a problem."""
    broken = [f"  {record}" for record in records if record.problems]
    if broken:
        raise PluginError("\n".join(["plugins that cannot be used:", *broken]))
