"""What ``gkd components`` and ``gkd plugins`` print."""

import inspect
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, TypeVar

from gkd.commands.tables import print_table
from gkd.errors import PluginError
from gkd.errors.causes import Place
from gkd.hosting.hookspecs import PROJECT
from gkd.hosting.host import Host, active_host, create_host, current_host
from gkd.hosting.kinds import KINDS
from gkd.hosting.loading import installed_plugins
from gkd.hosting.parameters import readable_signature
from gkd.hosting.records import Component, PluginRecord

Result = TypeVar("Result")
OUTPUTS: Mapping[str, str] = MappingProxyType(
    {"softmax": "single-label", "sigmoid": "multi-label", "gaussian": "regression"}
)
"""What outputs of a likelihood are called in tables."""


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
    # To say what it declares a loss is made: not where nobody is told.
    declared = as_json or kind == "loss"
    rows = quietly(lambda: [component_row(*component, declared) for component in components])
    if as_json:
        print_json(rows)
    elif rows and kind == "loss":
        columns = {"Name": "name", "Paper": "paper", "Needs": "needs", "Outputs": "outputs"}
        columns |= {"Memory": "memory", "Distribution": "distribution", "Parameters": "signature"}
        print_table(columns, [row | loss_words(row["declares"]) for row in rows])
    elif rows:
        columns = {"Kind": "kind", "Name": "name", "Distribution": "distribution"}
        print_table(columns | {"Parameters": "signature"}, rows)
    else:
        print(f"No plugin provides a {kind or 'component'}; `gkd plugins` says what was found.")


def show_plugins(*, as_json: bool) -> None:
    """Print all plugins: distribution, version, what each provides, state and, if any, cause."""
    # gkd needs torch itself: its time is not to be charged to the first plugin that imports it, as
    # those of others do. gkd's own wait until a component is asked for.
    if any(source.distribution != PROJECT for source, _ in installed_plugins()):
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


def component_row(name: str, component: Component, declared: bool = True) -> dict[str, Any]:
    """One component as JSON shows it.

    Args:
        name: the shortest that is unambiguous.
        component: of that name.
        declared: whether to say what a loss declares.
    """
    declares: dict[str, Any] = {}
    try:
        factory = component.factory
        if declared and component.kind == "loss":
            declares = loss_declarations(factory)
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
        **({"declares": declares} if component.kind == "loss" else {}),
    }


def loss_declarations(factory: Callable[..., Any]) -> dict[str, Any]:
    """Return what a loss says of itself, for JSON; nothing where it cannot be made by itself.

    ``needs`` lists the parts of the views, what its ``forward`` asks for by keyword, and
    ``"learned"`` where it has parts that learn.
    """
    from gkd.distillation.loss_call import asked_by
    from gkd.errors import GkdError
    from gkd.hosting.example_parameters import example_parameters
    from gkd.loss import AbstractLoss

    try:
        loss = factory(**next(iter(example_parameters(factory))))
        asked = [name for name in asked_by(loss) if name != "rows"]  # which it can do without
    except (GkdError, TypeError):  # its parameters have no defaults, and it names no example
        return {}
    learned = ["learned"] if type(loss).build is not AbstractLoss.build else []
    paper = loss.paper
    return {
        "needs": [*loss.uses, *asked, *learned],
        "likelihoods": list(loss.likelihoods),
        "bounded_memory": loss.bounded_memory,
        "parity": list(loss.parity),
        "paper": None if paper is None else {**asdict(paper), "citation": paper.citation},
    }


def loss_words(declares: Mapping[str, Any]) -> dict[str, str]:
    """Return what :func:`loss_declarations` says, as cells of a table."""
    if not declares:
        return dict.fromkeys(("paper", "needs", "outputs", "memory"), "")
    return {
        "paper": (declares["paper"] or {}).get("citation", ""),
        "needs": ", ".join(declares["needs"]),
        "outputs": ", ".join(OUTPUTS[each] for each in declares["likelihoods"]) or "any",
        "memory": "bounded" if declares["bounded_memory"] else "pairs or edges",
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
        "observes": bool(record.observers),
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
    watching = ["training steps"] if record.observers else []
    return "\n".join(map(str, record.problems)) or "\n".join([*provided, *watching])


def quietly(function: Callable[[], Result]) -> Result:
    """Call ``function``; what plugins print while they load goes to stderr, not among JSON."""
    with redirect_stdout(sys.stderr):
        return function()


def print_json(value: object) -> None:
    """Print ``value`` as indented JSON."""
    print(json.dumps(value, indent=2))
