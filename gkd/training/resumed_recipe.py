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
    name_or_path: str | Path,
    settings: Iterable[str],
    folder: Path | None,
    space: Iterable[str] = (),
    kind: type[RunDirectory] = RunDirectory,
) -> RecipeFile:
    """Read the recipe of a run, or a sweep, without the settings that it was begun with.

    Of a recipe that comes with gkd, the run's own is taken in its place. A file of somebody's own
    may have been changed since: what it says is kept, for the run to be compared with, and what it
    does not say is the run's.

    Args:
        name_or_path: of the recipe that the run was begun with.
        settings: ``KEY=VALUE`` over it.
        folder: of the run; None for the newest of the recipe.
        space: ``KEY=DOMAIN`` over its own of what a sweep tries.
        kind: of folder.

    Raises:
        RecipeError: there is no run, or one of another recipe, or a key or value is wrong.
        DataError: the recipe in the folder is damaged.
    """
    settings, space = list(settings), list(space)
    given = read_recipe(name_or_path, settings, space)
    try:
        directory = kind(
            folder or newest_folder(given.name + kind.suffix, recipe_name=kind.recipe_name)
        )
        directory.check_begun()
    except RecipeError:
        if is_first():
            raise
        return given  # on a machine without the folder, of which the first process is told
    own = directory.folder / directory.recipe_name
    then = directory.recipe()
    if given.recipe.title != (title := then.get("title", given.recipe.title)):
        raise RecipeError(
            f"--resume: {directory.folder} is a {kind.command} of {title!r}, not of "
            f"{given.recipe.title!r}; `gkd {kind.command} {own} --out {directory.folder} --resume` "
            f"goes on with it, and another --out without --resume begins a new {kind.command}"
        )
    if given.folder is None:  # it comes with gkd
        return replace(read_recipe(own, settings, space), name=given.name, folder=None)
    with suppress(RecipeError):  # the two do not go together: what differs is named by the run
        return read_recipe(name_or_path, settings, space, beneath=then)
    return given
