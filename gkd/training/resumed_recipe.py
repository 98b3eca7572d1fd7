"""The recipe of a run that is gone on with: the run's own, as its folder has it."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from gkd.errors import RecipeError
from gkd.recipe.file import RecipeFile, read_recipe
from gkd.training.ranks import is_first
from gkd.training.run_directory import RunDirectory, newest_folder


def recipe_to_resume(
    name_or_path: str | Path, settings: Iterable[str], folder: Path | None
) -> RecipeFile:
    """Read the recipe of a run without the settings that it was begun with.

    Of a recipe that comes with gkd, the run's own is taken in its place. A file of somebody's own
    may have been changed since: what it says is kept, for the run to be compared with, and what it
    does not say is the run's.

    Args:
        name_or_path: of the recipe that the run was begun with.
        settings: ``KEY=VALUE`` over it.
        folder: of the run; None for the newest of the recipe.

    Raises:
        RecipeError: there is no run, or one of another recipe, or a key or value is wrong.
        DataError: the recipe in the folder is damaged.
    """
    settings = list(settings)
    given = read_recipe(name_or_path, settings)
    try:
        directory = RunDirectory(folder or newest_folder(given.name))
        directory.check_begun()
    except RecipeError:
        if is_first():
            raise
        return given  # on a machine without the folder, of which the first process is told
    own = directory.folder / directory.recipe_name
    then = directory.recipe()
    if given.recipe.title != (title := then.get("title", given.recipe.title)):
        raise RecipeError(
            f"--resume: {directory.folder} is a run of {title!r}, not of {given.recipe.title!r}; "
            f"`gkd run {own} --out {directory.folder} --resume` goes on with it, and another --out "
            "without --resume begins a new run"
        )
    if given.folder is None:  # it comes with gkd
        return replace(read_recipe(own, settings), name=given.name, folder=None)
    with suppress(RecipeError):  # the two do not go together: what differs is named by the run
        return read_recipe(name_or_path, settings, beneath=then)
    return given
