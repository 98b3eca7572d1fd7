"""Messages about recipes: file and line, what was found, what is expected, the nearest key."""

import inspect
import re
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydantic import BaseModel, ValidationError

from gkd.errors import GkdError, RecipeError, mistakes
from gkd.recipe.lines import Path

_SHOWN = 20  # mistakes of one recipe
_LONGEST = 100  # characters of a key


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
        for key in self.settings:
            if key[: len(path)] == path and re.search(rf"\b{re.escape(str(key[-1]))}\b", message):
                return key
        # Of a file's keys there are many, and words that are called alike: a message quotes them.
        below = [key for key in self.lines if key[: len(path)] == path]
        quoted = [key for key in below if f"'{key[-1]}'" in message]
        return min(quoted, key=lambda key: message.index(f"'{key[-1]}'"), default=path)


def dotted(path: Sequence[str | int]) -> str:
    """Path as it is written on the command line: ``methods.1.terms.0.weight``."""
    return ".".join(str(part)[:_LONGEST] for part in path) or "recipe"


def explain(error: ValidationError, model: type[BaseModel], origins: Origins) -> RecipeError:
    """All that pydantic found, one line each, at the places where a user can correct it."""
    lines = [
        f"{origins.of(path)}: {dotted(path)}: {_at_home(path, sentence, model)}"
        for path, sentence in mistakes(error, model)
    ]
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return RecipeError("\n".join([*lines[:_SHOWN], *more]))


def _at_home(path: Path, sentence: str, model: type[BaseModel]) -> str:
    """Say of an unknown key in which other table it would be known; else what is said already."""
    if not sentence.startswith("unknown key"):
        return sentence
    *above, key = path
    names = tuple(name for name in above if isinstance(name, str))
    homes = [table for table, keys in tables(model) if key in keys and table != names]
    if not homes:
        return sentence

    def strangeness(table: tuple[str, ...]) -> tuple[int, int]:
        common = next(
            (i for i, (a, b) in enumerate(zip(table, names, strict=False)) if a != b), None
        )
        shared = min(len(table), len(names)) if common is None else common
        return -shared, len(table)

    home = min(homes, key=strangeness)
    return f"unknown key; {key!r} is one of {dotted(home) if home else 'the recipe as a whole'}"


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
