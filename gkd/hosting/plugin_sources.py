"""Entry points of the group ``gkd``: which are installed, which are allowed, how one is loaded."""

import importlib.util
import os
import re
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from gkd.errors import PluginError, suggestion
from gkd.hosting.plugin_record import Place, Problem, Source, canonical

GROUP = "gkd"


class PluginUnusableError(PluginError):
    """Carries the :class:`~gkd.hosting.plugin_record.Problem` of a plugin that does not load."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """Which plugins may be used, and whether a broken one is an error.

    Args:
        allowed: entry-point names, distributions or ``distribution:name``; None allows all.
        strict: a plugin that cannot be used raises instead of being skipped.
    """

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

    def select(self, sources: Iterable[Source]) -> set[Source]:
        """Those of ``sources`` that may be used.

        Raises:
            PluginError: an allowed name is not among them.
        """
        known = list(sources)
        if self.allowed is None:
            return set(known)
        selected: set[Source] = set()
        for wanted in self.allowed:
            matching = {source for source in known if _names(wanted, source)}
            if not matching:
                choices = {name for s in known for name in (s.name, s.distribution, s.qualified)}
                raise PluginError(
                    f"GKD_PLUGINS names {wanted!r}, which no installed plugin or distribution is "
                    f"called; {suggestion(wanted, choices)}"
                )
            selected |= matching
        return selected


def _names(wanted: str, source: Source) -> bool:
    return wanted == source.name or canonical(wanted) in {
        canonical(source.distribution),
        canonical(source.qualified),
    }


def installed_plugins() -> list[tuple[Source, EntryPoint]]:
    """Entry points of the group ``gkd`` with their sources, in a reproducible order."""
    found = [(_source(entry), entry) for entry in entry_points(group=GROUP)]
    return sorted(found, key=lambda pair: (canonical(pair[0].qualified), pair[0].value))


def _source(entry: EntryPoint) -> Source:
    # Metadata may be missing or damaged; the plugin behind it can still work.
    try:
        name, version = entry.dist.metadata["Name"], entry.dist.version  # type: ignore[union-attr]
    except Exception:
        name, version = None, None
    return Source(name or "unknown", version or "unknown", entry.name, entry.value)


def load_plugin(entry: EntryPoint) -> object:
    """Import what ``entry`` names.

    Raises:
        PluginUnusableError: the import fails, in whatever way; says where and why.
    """
    if not re.fullmatch(r"[^\W\d]\w*(\.\w+)*\s*(:\s*\w+(\.\w+)*)?\s*(\[.*\])?", entry.value):
        cause = f"the entry point {entry.value!r} is not of the form 'module' or 'module:attribute'"
        raise PluginUnusableError(Problem(cause, _home(entry)))
    try:
        return entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit and the panics of native modules included
        problem = Problem(_cause(error, entry), failure_place(error, entry.module) or _home(entry))
        raise PluginUnusableError(problem) from error


def _home(entry: EntryPoint) -> Place:
    """Return the plugin's module if it can be found, else the folder its distribution lies in."""
    try:
        spec = importlib.util.find_spec(re.split("[.:]", entry.value)[0])
        if spec is not None and spec.origin:
            return Place(spec.origin)
        return Place(str(entry.dist.locate_file(""))) if entry.dist else Place()
    except Exception:
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
    return described(error)


def described(error: BaseException) -> str:
    r"""Return type and first line of the message of ``error``, in one line.

    >>> described(ValueError("two\nlines"))
    'ValueError: two'
    """
    try:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception:  # the plugin's own exception class is as broken as the plugin
        message = ""
    first = message.strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def failure_place(error: BaseException, module: str) -> Place | None:
    """Return the deepest line of the package of ``module`` that ``error`` passed through, if any.

    A line inside a library that the plugin called wrongly would blame the library.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return Place(error.filename, error.lineno or 0)
    root = module.partition(".")[0]
    own = [
        Place(frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] == root
    ]
    return own[-1] if own else None
