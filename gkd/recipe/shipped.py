"""The recipes that come with gkd, by name: without what it takes to read them."""

from importlib import resources
from importlib.resources.abc import Traversable

from gkd.errors import UnknownNameError, suggestion


def recipe_files() -> list[Traversable]:
    """Return the files of all recipes."""
    folder = resources.files("gkd") / "recipes"
    return [file for file in folder.iterdir() if file.name.endswith(".toml")]


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with gkd."""
    return sorted(file.name.removesuffix(".toml") for file in recipe_files())


def reproductions() -> list[str]:
    """Names of those that reproduce a table or a figure of the paper."""
    return [name for name in shipped_recipes() if name.startswith(("table", "figure"))]


def reproduction(name: str) -> str:
    """Return ``name`` if a table or figure of the paper is called so and has a recipe.

    Raises:
        UnknownNameError: none is, or no recipe reproduces it.
    """
    if name not in reproductions():
        hint = suggestion(name, reproductions())
        raise UnknownNameError(f"{name!r} cannot be reproduced by a recipe: {hint}")
    return name
