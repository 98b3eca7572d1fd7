"""Entry points of the group ``gkd``: which are installed, which are allowed, how one is loaded."""

import os
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from importlib.util import find_spec

from gkd.errors import PluginError, suggestion
from gkd.errors.causes import Place, Problem, describe, failure_place
from gkd.hosting.records import Source, canonical_name


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """Which plugins may be used, and whether a broken one is an error."""

    # Entry-point names, distributions or "distribution:name"; None allows all.
    allowed: tuple[str, ...] | None = None
    strict: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "PluginSettings":
        """Read ``GKD_PLUGINS`` (comma-separated, empty: none) and ``GKD_STRICT_PLUGINS``.

        Raises:
            PluginError: ``GKD_STRICT_PLUGINS`` is neither 0 nor 1.

        >>> PluginSettings.from_environment({"GKD_PLUGINS": "gkd, my-plugin"})
        PluginSettings(allowed=('gkd', 'my-plugin'), strict=False)
        """
        listed = environment.get("GKD_PLUGINS")
        allowed = None if listed is None else tuple(filter(None, map(str.strip, listed.split(","))))
        strict = environment.get("GKD_STRICT_PLUGINS", "").strip()
        if strict not in {"", "0", "1"}:
            raise PluginError(f"GKD_STRICT_PLUGINS must be 0 or 1, got {strict!r}")
        return cls(allowed, strict == "1")

    def select(self, sources: Collection[Source]) -> set[Source]:
        """Those of ``sources`` that may be used.

        Raises:
            PluginError: an allowed name is not among them.
        """
        if self.allowed is None:
            return set(sources)
        for wanted in self.allowed:
            if not any(source.is_called(wanted) for source in sources):
                choices = {name for source in sources for name in source.names}
                raise PluginError(
                    f"GKD_PLUGINS names {wanted!r}, which no installed plugin or distribution is "
                    f"called; {suggestion(wanted, choices)}"
                )
        return {source for source in sources if any(map(source.is_called, self.allowed))}


def installed_plugins() -> list[tuple[Source, EntryPoint]]:
    """Entry points of the group ``gkd`` with their sources, in a reproducible order."""
    # Metadata hold a whole README, and many plugins may be of one distribution.
    of_distribution = cache(_name_and_version)
    found = []
    for entry in entry_points(group="gkd"):
        name, version = of_distribution(entry.dist)
        source = Source(name or "unknown", version or "unknown", entry.name, entry.value)
        found.append((source, entry))
    return sorted(found, key=lambda pair: (canonical_name(pair[0].qualified), pair[0].value))


def _name_and_version(distribution: Distribution | None) -> tuple[str | None, str | None]:
    # Metadata may be missing or damaged; the plugin behind it can still work.
    try:
        metadata = distribution.metadata  # type: ignore[union-attr]
        return metadata["Name"], metadata["Version"]
    except Exception:
        return None, None


def load_plugin(entry: EntryPoint) -> object:
    """Import what ``entry`` names; return the :class:`Problem` if that fails, in whatever way."""
    # What EntryPoint.load does not understand ends there in an AttributeError about None.
    if entry.pattern.match(entry.value) is None:
        cause = f"the entry point {entry.value!r} is not of the form 'module' or 'module:attribute'"
        return Problem(cause, _home(entry))
    try:
        return entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit and the panics of native modules included
        return Problem(_cause(error, entry), failure_place(error, entry.module) or _home(entry))


def _home(entry: EntryPoint) -> Place:
    """Return the plugin's module if it can be found, else the folder its distribution lies in."""
    with suppress(Exception):
        spec = find_spec(re.split("[.:]", entry.value)[0])
        if spec is not None and spec.origin:
            return Place(spec.origin)
        if entry.dist:
            return Place(str(entry.dist.locate_file("")))
    return Place()


def _cause(error: BaseException, entry: EntryPoint) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        if f"{entry.module}.".startswith(f"{error.name}."):
            return f"its entry point names the module {entry.module!r}, which does not exist"
        if error.name.partition(".")[0] == entry.module.partition(".")[0]:
            return f"it imports its own module {error.name!r}, which does not exist"
        return f"it needs the module {error.name!r}, which is not installed"
    if isinstance(error, AttributeError) and failure_place(error, entry.module) is None:
        return f"its entry point names {entry.value!r}, but the module has no such attribute"
    if isinstance(error, SystemExit):
        return f"importing it ended the process (SystemExit: {error.code})"
    return describe(error)
