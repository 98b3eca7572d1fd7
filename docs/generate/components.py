"""Write ``docs/components.md`` while the site is built: every shipped component but the losses.

It is not kept in the repository: ``gkd components KIND`` prints the same of what is installed, and
losses have a page of their own, which is.
"""

import importlib.util
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from gkd.errors import annotations, notation
from gkd.hosting.host import create_host
from gkd.hosting.parameters import signature_of

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "components.md"
KINDS = {
    "dataset": "Data sets",
    "model": "Models",
    "task": "Tasks",
    "kernel": "Kernels",
    "graph": "Graph builders",
    "weigher": "Weighers",
}

INTRODUCTION = """\
# Components

What ships with gkd, by kind, with its parameters: a dataset's are keys of `[dataset]`, those of
models and losses stand in `params`. `gkd components KIND` prints what is installed. Losses are in
[the zoo](zoo.md).
"""


def page() -> str:
    """Return the page."""
    host = create_host()
    parts = [INTRODUCTION]
    for kind, title in KINDS.items():
        parts.append(f"## {title}\n")
        for name, component in host.components(kind).items():
            if component.source.distribution == "gkd":
                parts += [f"### {name}\n", *entry(component.factory)]
    return "\n".join(parts)


def entry(factory: Callable[..., Any]) -> Iterator[str]:
    """Yield what there is to say of a component."""
    documentation = inspect.cleandoc(factory.__doc__ or "")
    about = documentation.partition("\n\n")[0]
    yield f"{keys().markdown(about)}\n"
    meanings = keys().meanings(factory)
    target = factory.__init__ if inspect.isclass(factory) else factory
    types = dict(annotations(target))
    rows = []
    for parameter in signature_of(factory).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        known = types.get(parameter.name, parameter.annotation)
        words = "" if known is parameter.empty else keys().shown(notation(known))
        required = parameter.default is parameter.empty
        default = "required" if required else keys().default(parameter.default)
        cells = [f"`{parameter.name}`", words, default, meanings.get(parameter.name, "")]
        rows.append(f"| {' | '.join(map(keys().cell, cells))} |")
    if rows:
        heads = ["| parameter | type | default | meaning |", "|---|---|---|---|"]
        yield "\n".join([*heads, *rows]) + "\n"


@cache
def keys() -> ModuleType:
    """Return the generator of the reference of recipes, which reads docstrings, too."""
    spec = importlib.util.spec_from_file_location("recipe_keys", HERE / "recipe_keys.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
