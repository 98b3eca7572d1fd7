"""What ``gkd components`` and ``gkd plugins`` print."""

import inspect
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from typing import Any, TypeVar

from gkd.errors import PluginError, printable
from gkd.hosting.host import Host, active_host, create_host, current_host
from gkd.hosting.kinds import KINDS
from gkd.hosting.parameters import readable_signature
from gkd.hosting.records import Component, Place, PluginRecord

Result = TypeVar("Result")


def show_components(kind: str | None, *, as_json: bool) -> None:
    """Print the components of ``kind``, or of all kinds.

    Raises:
        UnknownNameError: there is no such kind.
    """
    host = quietly(current_host)
    components = [
        (name, component)
        for each in ([kind] if kind else KINDS)
        for name, component in host.components(each).items()
    ]
    rows = quietly(lambda: [component_row(name, component) for name, component in components])
    if as_json:
        print_json(rows)
    elif rows:
        columns = {"Kind": "kind", "Name": "name", "Parameters": "signature"}
        print_table(columns | {"Distribution": "distribution"}, rows)
    else:
        print(f"No plugin provides a {kind or 'component'}; `gkd plugins` says what was found.")


def show_plugins(*, as_json: bool) -> None:
    """Print all plugins: distribution, version, what each provides, state and, if any, cause."""
    # gkd needs torch itself: its time is not to be charged to the first plugin that imports it.
    import torch  # noqa: F401

    host: Host = active_host() or quietly(create_host)
    rows = [plugin_row(record) for record in host.plugins]
    if as_json:
        print_json(rows)
    elif rows:
        columns = {"Distribution": "distribution", "Version": "version", "Plugin": "name"}
        columns |= {"State": "state", "Import": "seconds", "Provides, or cause": "details"}
        more = ({"seconds": _seconds(r), "details": _details(r)} for r in host.plugins)
        print_table(columns, [row | words for row, words in zip(rows, more, strict=True)])
    else:
        print("No plugin is installed, not even gkd's own; `gkd doctor` says what to do.")


def component_row(name: str, component: Component) -> dict[str, str]:
    """One component as JSON shows it; ``name`` is the shortest that is unambiguous."""
    try:
        factory = component.factory
        words = {
            "signature": readable_signature(factory),
            "summary": inspect.cleandoc(factory.__doc__ or "").partition("\n")[0],
            "file": Place.of(factory).file,
        }
    except PluginError as error:  # one that breaks must not hide the others
        words = {
            "signature": "cannot be imported; see gkd doctor",
            "summary": str(error),
            "file": "",
        }
    return {
        "kind": component.kind,
        "name": name,
        "qualified": component.qualified,
        "distribution": component.source.distribution,
        "version": component.source.version,
        "plugin": component.source.name,
        **words,
    }


def plugin_row(record: PluginRecord) -> dict[str, Any]:
    """One plugin as JSON shows it."""
    return {
        "distribution": record.source.distribution,
        "version": record.source.version,
        "name": record.source.name,
        "entry_point": record.source.value,
        "state": str(record.state),
        "provides": {kind: list(names) for kind, names in record.provides.items()},
        "observes": record.observes,
        "import_seconds": record.import_seconds,
        "problems": [
            {"cause": problem.cause, "file": problem.place.file, "line": problem.place.line}
            for problem in record.problems
        ],
    }


def _seconds(record: PluginRecord) -> str:
    if record.import_seconds is None:
        return ""
    return f"{record.import_seconds:.2f} s{' (slow)' if record.slow else ''}"


def _details(record: PluginRecord) -> str:
    provided = [f"{kind}: {', '.join(sorted(names))}" for kind, names in record.provides.items()]
    watching = ["training steps"] if record.observes else []
    return "\n".join(map(str, record.problems)) or "\n".join([*provided, *watching])


def quietly(function: Callable[[], Result]) -> Result:
    """Call ``function``; what plugins print while they load goes to stderr, not among JSON."""
    with redirect_stdout(sys.stderr):
        return function()


def print_json(value: object) -> None:
    """Print ``value`` as indented JSON."""
    print(json.dumps(value, indent=2))


def print_table(columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Print ``rows`` as a table; ``columns`` maps each heading to a key of the rows."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in columns:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(str(row[key]))) for key in columns.values()))
    # Elsewhere than on a terminal a row stays one line, for grep.
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)
