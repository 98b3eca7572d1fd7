"""Values given over a recipe's own: ``--set training.epochs=3``."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gkd.errors import RecipeError, shown, suggestion
from gkd.recipe.lines import Path
from gkd.recipe.origins import dotted, whole_keys

_LONGEST = 200  # characters of a setting, in messages
_INDEX = re.compile(r"\d{1,9}", re.ASCII)


@dataclass(frozen=True)
class Setting:
    """A value for a path, and the words it was given in, such as ``--set a.b=1``."""

    path: tuple[str, ...]
    value: Any
    words: str

    @classmethod
    def of(cls, text: str, option: str = "--set", within: tuple[str, ...] = ()) -> "Setting":
        """Read ``a.b=value``; the value is TOML, or a plain string where it is not.

        Args:
            text: to read.
            option: that it was given by.
            within: path of a table in which the whole of ``a.b`` is a key; by default it is a path.

        Raises:
            RecipeError: there is no ``=`` or no path before it.

        >>> Setting.of("training.epochs=3").value, Setting.of("dataset.root=./data").value
        (3, './data')
        """
        key, equals, value = text.partition("=")
        parts = tuple(part.strip() for part in key.split("."))
        text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
        if not equals or not all(parts):
            example = "training.learning_rate=1e-4..0.1 log" if within else "training.epochs=3"
            raise RecipeError(f"{option} {text}: expected KEY=VALUE, such as {example}")
        path = (*within, ".".join(parts)) if within else parts
        value = value.strip()
        try:
            document = tomllib.loads(f"value = {value}")
        except (ValueError, RecursionError):  # no TOML, or no number that a computer has
            document = {}
        # Not "1\nb = 2", which would be a value and another key.
        found = document["value"] if len(document) == 1 else value
        return cls(path, found, f"{option} {text}")

    def apply(self, data: dict[str, Any]) -> Path:
        """Put the value into ``data``, making tables on the way; return the path it went to.

        An element of a list is reached by its index, or by its name where it has one.

        Raises:
            RecipeError: the path leads through something that is not a table, or past a list's end.
        """
        place: Any = data
        taken: Path = ()
        for part in self.path[:-1]:
            key = self._key(place, part, taken)
            place = place.setdefault(key, {}) if isinstance(place, dict) else place[key]
            taken = (*taken, key)
        key = self._key(place, self.path[-1], taken)
        place[key] = self.value
        return (*taken, key)

    def _key(self, place: Any, part: str, taken: Path) -> str | int:
        if isinstance(place, dict):
            return part
        if not isinstance(place, list):
            where = dotted(taken)
            raise RecipeError(f"{self.words}: {where} is {shown(place)}, not a table")
        if _INDEX.fullmatch(part) and int(part) < len(place):
            return int(part)
        named = {
            str(item["name"]): number
            for number, item in enumerate(place)
            if isinstance(item, dict) and "name" in item
        }
        if part in named:
            return named[part]
        written = self.path[: len(taken)]
        if whole := whole_keys(place, part, at=written):
            hint = f"did you mean {whole[0]}?"
        else:
            hint = suggestion(part, [*map(str, range(len(place))), *named])
        raise RecipeError(f"{self.words}: no element {shown(part)} in {dotted(written)}; {hint}")


def apply_settings(settings: Iterable[Setting], data: dict[str, Any]) -> dict[Path, str]:
    """Apply every setting in turn; return the words behind each path that was set."""
    return {setting.apply(data): setting.words for setting in settings}
