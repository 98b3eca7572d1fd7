"""The recipes that come with gkd, by name: without what it takes to read them."""

import re
from collections.abc import Iterable
from importlib import resources
from importlib.resources.abc import Traversable

from gkd.errors import UnknownNameError, suggestion


def recipe_files() -> list[Traversable]:
    """Return the files of all recipes."""
    return _toml_files(resources.files("gkd") / "recipes")


def counted_files() -> list[Traversable]:
    """Return the files of the paper's tables that are counted, not trained."""
    return _toml_files(resources.files("gkd") / "recipes" / "counted")


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with gkd."""
    return _names(recipe_files())


def counted_tables() -> list[str]:
    """Names of the paper's tables that are counted."""
    return _names(counted_files())


def shipped_recipe(name: str) -> Traversable:
    """Return the file of a recipe that comes with gkd.

    Raises:
        UnknownNameError: there is none of this name; the message names the nearest.
    """
    for file in recipe_files():
        if file.name == f"{name}.toml":
            return file
    hint = suggestion(name, shipped_recipes())
    raise UnknownNameError(f"no recipe that comes with gkd is called {name!r}: {hint}")


def reproductions() -> list[str]:
    """Names of the tables and figures of the paper that can be reproduced."""
    trained = [name for name in shipped_recipes() if name.startswith(("table", "figure"))]
    return sorted([*trained, *counted_tables()])


def reproduction(name: str) -> str:
    """Return ``name`` if a table or figure of the paper is called so and can be reproduced.

    Raises:
        UnknownNameError: none is, or it cannot.
    """
    known = reproductions()
    if name in known:
        return name
    parts = re.fullmatch(r"([a-z]*)[^a-z0-9]*(\d+)", name.lower())  # "2", "tab2", "Fig. 4"
    meant = [one for one in known if parts and one[-1:] == parts[2] and one.startswith(parts[1])]
    hint = f"did you mean {' or '.join(meant)}?" if meant else suggestion(name, known)
    raise UnknownNameError(f"{name!r} cannot be reproduced by a recipe: {hint}")


def _toml_files(folder: Traversable) -> list[Traversable]:
    return [file for file in folder.iterdir() if file.name.endswith(".toml")]


def _names(files: Iterable[Traversable]) -> list[str]:
    return sorted(file.name.removesuffix(".toml") for file in files)
