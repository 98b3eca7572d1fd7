"""Write ``docs/recipe.md``: every key of a recipe, from the models that check it.

python docs/generate/recipe_keys.py
"""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gkd.errors import notation
from gkd.recipe.model import Recipe

PAGE = Path(__file__).resolve().parents[1] / "recipe.md"

INTRODUCTION = """\
# Every key of a recipe

A recipe is a TOML file. `gkd recipes show communities` prints one, `gkd recipes check FILE` tries
one, `--set KEY=VALUE` gives a value over that of the file, by the path of the key:
`--set training.epochs=3`, `--set methods.lsp.terms.0.weight=30`. `python
docs/generate/recipe_keys.py` makes this page from what checks recipes.

Any other key is an error that names the nearest one. Parameters of components (a dataset's keys,
`params`) are listed by `gkd components KIND`, with types, ranges and defaults; a loss's meaning and
formula are in [the zoo](zoo.md).
"""


def meanings(documented: Any) -> dict[str, str]:
    """Return what the keys of a model, or parameters of a component, mean, by its docstring."""
    _, _, section = inspect.cleandoc(documented.__doc__ or "").partition("\nArgs:\n")
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if line.strip() and not line.startswith("    "):  # the next section
            break
        if (entry := re.match(r"    (\w+): (.*)", line)) is not None:
            name = entry[1]
            found[name] = entry[2]
        elif name:
            found[name] += f" {line.strip()}"
    return {name: markdown(text.strip()) for name, text in found.items()}


def page() -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    for model, paths in sections().items():
        heading = paths[0] or "The recipe itself"
        parts.append(f"## {heading if not paths[0] else _table(paths[0])}\n")
        if len(paths) > 1:
            parts.append(f"Also {', '.join(_table(path) for path in paths[1:])}.\n")
        about = inspect.cleandoc(model.__doc__ or "").partition("\nArgs:\n")[0].strip()
        parts.append(f"{markdown(about)}\n")
        rows = [_row(name, field, meanings(model)) for name, field in model.model_fields.items()]
        heads = ["| key | type | default | meaning |", "|---|---|---|---|"]
        parts.append("\n".join([*heads, *rows]) + "\n")
    return "\n".join(parts)


def sections() -> dict[type[BaseModel], list[str]]:
    """Return the models of a recipe with the paths of their tables, ``""`` for the whole."""
    found: dict[type[BaseModel], list[str]] = {}

    def take(model: type[BaseModel], path: str) -> None:
        found.setdefault(model, []).append(path)
        for name, field in model.model_fields.items():
            for part, suffix in _models(field.annotation):
                take(part, f"{path}.{name}{suffix}".lstrip("."))

    take(Recipe, "")
    # The shortest path of a table is the one that is met most.
    return {
        model: sorted(paths, key=lambda path: path.count(".")) for model, paths in found.items()
    }


def _models(annotation: Any, suffix: str = "") -> Iterator[tuple[type[BaseModel], str]]:
    """Yield the models in an annotation, and how their place differs from the key."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation, suffix
    for part in get_args(annotation):
        origin = getattr(annotation, "__origin__", None)
        yield from _models(part, {list: "[]", dict: ".NAME"}.get(origin, suffix))


def _table(path: str) -> str:
    plain = path.replace("[]", "")
    return f"`[[{plain}]]`" if path.endswith("[]") else f"`[{plain}]`"


def _row(name: str, field: FieldInfo, known: dict[str, str]) -> str:
    cells = [f"`{name}`", _type(field), "", known[name]]
    cells[2] = "required" if field.is_required() else default(field.default)
    return f"| {' | '.join(map(cell, cells))} |"


def cell(text: str) -> str:
    """Return a text as a cell of a table may have it."""
    return text.replace("|", "&#124;")


def shown(annotation: str) -> str:
    """Return a type as Markdown has it."""
    return annotation.replace("<", "&lt;").replace(">", "&gt;")


def default(value: Any) -> str:
    """Return a default as recipes write it; nothing for None."""
    return "" if value is None else f"`{json.dumps(value, default=repr)}`"


def _type(field: FieldInfo) -> str:
    words = next((part for part in field.metadata if isinstance(part, str)), None)
    if words is None:
        words = re.sub(r" matching '[^']*'", "", notation(field.rebuild_annotation()))
        words = re.sub(r"dict\[str, (\w+)\]", r"table of \1", words.removesuffix(" | None"))
    return shown(words.replace("table of Any", "table"))


def markdown(text: str) -> str:
    """Return a docstring's words as Markdown."""
    text = re.sub(r":\w+:`([^`]*)`", r"`\1`", text)
    return text.replace("``", "`")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
