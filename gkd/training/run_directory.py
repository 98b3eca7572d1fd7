"""The folder of a run: where it is, what is in it, whether it may be gone on with."""

import json
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gkd.errors import RecipeError
from gkd.files import write_json, write_text
from gkd.recipe.file import resolved_toml
from gkd.recipe.model import BASELINE, FORMER_BASELINE, Recipe

RUNS = Path("runs")
"""Parent of the folders of runs that were not given one."""

_RECIPE = "recipe.toml"
_ENVIRONMENT = "environment.json"


def new_folder(name: str, runs: Path = RUNS) -> Path:
    """Folder that is not there yet, named after the recipe and the time."""
    stem = f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    candidates = [runs / stem, *(runs / f"{stem}-{number}" for number in range(2, 1000))]
    return next(folder for folder in candidates if not folder.exists())


def newest_folder(name: str, runs: Path = RUNS) -> Path:
    """Folder of the newest run of the recipe ``name``.

    Raises:
        RecipeError: there is none.
    """
    folders = [path.parent for path in runs.glob(f"{name}-*/{_RECIPE}")]
    if not folders:
        raise RecipeError(f"--resume: no run of {name!r} in {runs.resolve()}; name it by --out")
    # By name, which is by time: looking into a run must not make it the newest.
    return max(folders, key=lambda folder: folder.name)


def method_folder(run: Path, method: str) -> Path:
    """Folder of a method's students, which older runs have under the baseline's former name."""
    folder = run / "students" / method
    former = run / "students" / FORMER_BASELINE
    return former if method == BASELINE and former.is_dir() and not folder.is_dir() else folder


class RunDirectory:
    """One run's folder.

    Args:
        folder: made by :meth:`start`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def teacher(self) -> Path:
        """Folder of the teacher, or of those of all seeds."""
        return self.folder / "teacher"

    def teacher_of(self, seed: int | None) -> Path:
        """Folder of the teacher of a seed that has its own; of all seeds', where that is None."""
        return self.teacher if seed is None else self.teacher / f"seed-{seed}"

    def student(self, method: str, seed: int) -> Path:
        """Folder of the student that a method trains with a seed."""
        return method_folder(self.folder, method) / f"seed-{seed}"

    def check_new(self) -> None:
        """Make sure that nothing is there yet.

        Raises:
            RecipeError: there is something in the folder already.
        """
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            run = (self.folder / _RECIPE).is_file()
            choice = "add --resume to go on with that run, or name" if run else "name"
            raise RecipeError(f"--out {self.folder}: already there; {choice} a new folder")

    def start(self, recipe: Recipe, environment: dict[str, Any]) -> None:
        """Make the folder, with the environment and the resolved recipe in it."""
        write_json(self.folder / _ENVIRONMENT, environment)
        write_text(self.folder / _RECIPE, resolved_toml(recipe))

    def resume(self, environment: dict[str, Any]) -> None:
        """Note that the run goes on, in an environment that may be another.

        Raises:
            RecipeError: the note of the first environment cannot be read.
        """
        path = self.folder / _ENVIRONMENT
        try:
            first = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RecipeError(f"--resume: {path} is missing or damaged: {error}") from error
        write_json(path, {**first, "resumed": [*first.get("resumed", []), environment]})

    def check_recipe(self, recipe: Recipe) -> None:
        """Make sure that the run in the folder is one of ``recipe``.

        Raises:
            RecipeError: it is no run, or one of another recipe; the message names what differs.
        """
        path = self.folder / _RECIPE
        if not path.is_file():
            raise RecipeError(f"--resume: {self.folder} is not a run: it has no {_RECIPE}")
        try:
            then = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RecipeError(f"--resume: {path} is damaged: {error}") from error
        with suppress(ValidationError):  # what the recipe left out has since become a setting
            then = tomllib.loads(resolved_toml(Recipe.model_validate(then)))
        now = tomllib.loads(resolved_toml(recipe))
        if changes := _changes(then, now):
            listing = "\n".join(f"  {change}" for change in changes)
            raise RecipeError(
                f"--resume: the recipe is not that of the run in {self.folder}:\n{listing}\n"
                f"resume with `gkd run {path} --out {self.folder} --resume`, or start a new run"
            )


def _changes(then: Any, now: Any, path: str = "") -> list[str]:
    """Sentences about every value that differs."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        pairs = [(str(key), then.get(key), now.get(key)) for key in {**then, **now}]
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        pairs = [(str(i), a, b) for i, (a, b) in enumerate(zip(then, now, strict=True))]
    else:
        return [] if then == now else [f"{path} was {then!r}, is {now!r}"]
    return [line for key, a, b in pairs for line in _changes(a, b, f"{path}.{key}".lstrip("."))]
