"""Messages about recipes: file and line, what was found, what is expected, the nearest key."""

import inspect
import re
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from gkd.errors import GkdError, RecipeError, mistakes, nearest
from gkd.recipe.lines import Path

_SHOWN = 20  # mistakes of one recipe
_LONGEST = 100  # characters of a key
_REPEATED: Mapping[Path, str] = {("seeds",): "--seed"}  # options that give one item of a list


@dataclass(frozen=True)
class Origins:
    """Where the values of a recipe come from: lines of its file, and settings given over it."""

    file: str
    lines: Mapping[Path, int]
    settings: Mapping[Path, str] = field(default_factory=dict)

    def of(self, path: Path) -> str:
        """Place of ``path``, or of the innermost table around it: ``demo.toml:12``."""
        prefixes = [path[:length] for length in range(len(path), 0, -1)]
        for prefix in prefixes:  # a setting replaces all that the file says below it
            if prefix in self.settings:
                return self.settings[prefix]
        for prefix in prefixes:
            if prefix in self.lines:
                return f"{self.file}:{self.lines[prefix]}"
            # A table that exists only because a setting reached into it.
            for key, words in self.settings.items():
                if key[: len(prefix)] == prefix:
                    return words
        return self.file

    @contextmanager
    def context(self, *path: str | int) -> Iterator[None]:
        """Add the place of ``path`` to any gkd error raised inside."""
        try:
            yield
        except GkdError as error:
            place = self.of(self._named_in(str(error), path))
            raise RecipeError(f"{place}: {dotted(path)}: {error}") from error

    def _named_in(self, message: str, path: Path) -> Path:
        """Path of a setting or key below ``path`` that the message is about, or ``path`` itself."""
        # A message quotes what it is about; of other words there are many, and keys called alike.
        below = [key for key in (*self.settings, *self.lines) if key[: len(path)] == path]
        quoted = [key for key in below if f"'{key[-1]}'" in message]
        if quoted:
            return min(quoted, key=lambda key: message.index(f"'{key[-1]}'"))
        said = message.partition("\n")[0]  # what follows names all that is known
        for key in self.settings:
            if key in below and re.search(rf"\b{re.escape(str(key[-1]))}\b", said):
                return key
        return path


def dotted(path: Sequence[str | int]) -> str:
    """Path as it is written on the command line: ``methods.1.terms.0.weight``."""
    return ".".join(str(part)[:_LONGEST] for part in path) or "recipe"


def written(data: Any, at: Path = ()) -> Iterator[tuple[Path, Path, Mapping[str, Any]]]:
    """Yield every table in ``data``, with its path as it is and as a person writes it.

    >>> [path for _, path, _ in written({"methods": [{"name": "lsp", "terms": [{"weight": 1}]}]})]
    [(), ('methods', 'lsp'), ('methods', 'lsp', 'terms', 0)]
    """
    waiting: list[tuple[Path, Path, Any]] = [(at, at, data)]
    while waiting:
        place, path, value = waiting.pop(0)
        if isinstance(value, Mapping):
            yield place, path, value
            waiting += [((*place, key), (*path, key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            for number, item in enumerate(value):
                name = item.get("name", number) if isinstance(item, Mapping) else number
                waiting.append(((*place, number), (*path, name), item))


def whole_keys(data: Any, key: str, at: Path = ()) -> list[str]:
    """Return where the tables inside ``data`` have a key, as it is written in a setting.

    Args:
        data: table or list to look into.
        key: to look for.
        at: path of ``data``.

    >>> whole_keys({"methods": [{"name": "lsp", "terms": [{"weight": 1}]}]}, "weight")
    ['methods.lsp.terms.0.weight']
    """
    inside = ((path, table) for _, path, table in written(data, at) if table is not data)
    return [dotted((*path, key)) for path, table in inside if key in table]


def explain(
    error: ValidationError, model: type[BaseModel], origins: Origins, data: Mapping[str, Any]
) -> RecipeError:
    """All that pydantic found in ``data``, one line each, where a user can correct it."""
    details = error.errors(include_url=False)
    unknown = {each["loc"] for each in details if each["type"] == "extra_forbidden"}
    given = {each["loc"]: each["input"] for each in details}
    lines = []
    for path, sentence in mistakes(error, model):
        words = _at_home(path, sentence, model, data) if path in unknown else sentence
        value, option = given.get(path), _REPEATED.get(path)
        if option is not None and isinstance(value, str) and "did you mean [" in words:
            words += f" Or {' '.join(f'{option} {one.strip()}' for one in value.split(','))}"
        lines.append(f"{origins.of(path)}: {dotted(path)}: {words}")
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return RecipeError("\n".join([*lines[:_SHOWN], *more]))


def _at_home(path: Path, sentence: str, model: type[BaseModel], data: Mapping[str, Any]) -> str:
    """Say in which other table an unknown key would be known; else what is said already."""
    above, key = path[:-1], path[-1]
    names = _names(above)
    homes = [table for table, keys in tables(model) if key in keys and table != names]
    if not homes:
        own, table = next((path, table) for place, path, table in written(data) if place == above)
        if whole := whole_keys(table, str(key), own):
            return f"unknown key; did you mean {whole[0]}?"
        known = dict(tables(model)).get(names, ())
        if "params" not in known or nearest(str(key), known) is not None:
            return sentence
        return f"{sentence}; if the component takes it: {dotted((*own, 'params', key))}"

    def strangeness(table: tuple[str, ...]) -> tuple[int, int]:
        common = next(
            (i for i, (a, b) in enumerate(zip(table, names, strict=False)) if a != b), None
        )
        shared = min(len(table), len(names)) if common is None else common
        return -shared, len(table)

    home = min(homes, key=strangeness)
    words = f"unknown key; {key!r} is one of {dotted(home) if home else 'the recipe as a whole'}"
    # Of tables in a list the first, unless the key stands in one of them already.
    for place, names_there, _ in written(data):
        apart = next(((a, b) for a, b in zip(place, above, strict=False) if a != b), ("", ""))
        if _names(place) == home and place != home and isinstance(apart[0], str):
            return f"{words}; did you mean {dotted((*names_there, key))}?"
    return words


def _names(path: Path) -> tuple[str, ...]:
    """Path of a table without the numbers of elements in lists."""
    return tuple(name for name in path if isinstance(name, str))


def tables(
    model: type[BaseModel], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Collection[str]]]:
    """Yield the path of every table of a model, without indices and own names, and its keys."""
    yield path, model.model_fields
    for name, value in model.model_fields.items():
        for inner in _models(value.annotation):
            yield from tables(inner, (*path, name))


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)
