"""Values given over a recipe's own: ``--set training.epochs=3``."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gkd.errors import RecipeError, shown, suggestion
from gkd.recipe.lines import Path
from gkd.recipe.origins import dotted

_LONGEST = 200  # characters of a setting, in messages
_INDEX = re.compile(r"\d{1,9}", re.ASCII)


@dataclass(frozen=True)
class Setting:
    """A value for a path, and the words it was given in."""

    path: tuple[str, ...]
    value: Any
    text: str

    @classmethod
    def of(cls, text: str) -> "Setting":
        """Read ``a.b=value``; the value is TOML, or a plain string where it is not.

        Raises:
            RecipeError: there is no ``=`` or no path before it.

        >>> Setting.of("training.epochs=3").value, Setting.of("dataset.root=./data").value
        (3, './data')
        """
        key, equals, value = text.partition("=")
        path = tuple(part.strip() for part in key.split("."))
        text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
        if not equals or not all(path):
            raise RecipeError(f"--set {text}: expected KEY=VALUE, such as training.epochs=3")
        value = value.strip()
        try:
            document = tomllib.loads(f"value = {value}")
        except (ValueError, RecursionError):  # no TOML, or no number that a computer has
            document = {}
        # Not "1\nb = 2", which would be a value and another key.
        return cls(path, document["value"] if len(document) == 1 else value, text)

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
            raise RecipeError(f"--set {self.text}: {where} is {shown(place)}, not a table")
        if _INDEX.fullmatch(part) and int(part) < len(place):
            return int(part)
        names = [str(item.get("name")) for item in place if isinstance(item, dict)]
        if part in names:
            return names.index(part)
        known = [*map(str, range(len(place))), *names]
        raise RecipeError(
            f"--set {self.text}: no element {shown(part)} in {dotted(taken)}; "
            f"{suggestion(part, known)}"
        )


def apply_settings(settings: Iterable[Setting], data: dict[str, Any]) -> dict[Path, str]:
    """Apply every setting in turn; return the words behind each path that was set."""
    return {setting.apply(data): setting.text for setting in settings}
