"""The folder of a run: where it is, what is in it, whether it may be gone on with."""

import copy
import shutil
import socket
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from pydantic import ValidationError

from gkd.errors import DataError, RecipeError
from gkd.files import (
    parse_toml,
    read_sealed_json,
    read_sealed_text,
    remove_partial_files,
    write_sealed_json,
    write_sealed_text,
)
from gkd.recipe.differences import differences
from gkd.recipe.file import resolved_toml
from gkd.recipe.model import BASELINE, FORMER_BASELINE, Recipe
from gkd.training.code_checksums import changed_code

RUNS = Path("runs")
"""Parent of the folders of runs that were not given one."""

WEIGHTS = "weights.safetensors"
"""File of a finished network."""

SUMMARY = "summary.json"
"""File that says that a network is finished, and what it reached."""

FEATURE_SPACE = "feature_space.json"
"""File of the distances in a network's feature space, where the recipe wants them looked at."""

ENVIRONMENT = "environment.json"
"""File that says where, when and on which data a run was begun, and gone on with."""

_RECIPE = "recipe.toml"
_SHOWN = 5  # values of a recipe that differ


def require_folder(folder: Path) -> None:
    """Make sure that the folder of a network is still there: made anew, it would lack the run.

    Raises:
        DataError: it is not.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder} is gone: a run's folder must not be moved or removed while it trains; where "
            "it was moved, `--resume --out` goes on with it there"
        )


def new_folders(name: str, runs: Path = RUNS) -> Iterator[Path]:
    """Yield folders named after the recipe and the time that are not there yet."""
    stem = f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    candidates = chain([runs / stem], (runs / f"{stem}-{number}" for number in count(2)))
    return (folder for folder in candidates if not folder.exists())


def newest_folder(name: str, runs: Path = RUNS, recipe_name: str = _RECIPE) -> Path:
    """Folder of the newest run of the recipe ``name``.

    Raises:
        RecipeError: there is none.
    """
    folders = [path.parent for path in runs.glob(f"{name}-*/{recipe_name}")]
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
        others: to be taken in its place where another run is quicker to make it.

    Attributes:
        recipe_name: name of the file of the resolved recipe.
        command: of gkd that writes such folders.
        suffix: of the recipe's name in the folder's.
        free: key of the recipe that a resumed run may have another value of.
    """

    recipe_name = _RECIPE
    command = "run"
    suffix = ""
    free: tuple[str, ...] = ()

    def __init__(self, folder: Path, others: Iterator[Path] | None = None) -> None:
        self.folder = folder
        self._others = iter(()) if others is None else others

    def resolved(self) -> Self:
        """Return the same folder by its absolute path, as other processes need it."""
        other = copy.copy(self)
        other.folder, other._others = self.folder.resolve(), iter(())
        return other

    def remove_partial_files(self) -> None:
        """Remove what killed processes left in the middle of writing."""
        remove_partial_files(self.folder)

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
            RecipeError: there is something in the folder already, or it is the current one.
        """
        if self.folder.resolve() == Path.cwd():
            # It would be exchanged under the feet of this process and of the user's shell.
            raise RecipeError(f"--out {self.folder}: the folder that gkd is run in; name a new one")
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            run = (self.folder / self.recipe_name).is_file()
            choice = "add --resume to go on with that run, or name" if run else "name"
            raise RecipeError(f"--out {self.folder}: already there; {choice} a new folder")

    def start(self, recipe: Recipe, environment: dict[str, Any]) -> None:
        """Make the folder, with the environment and the resolved recipe in it.

        It comes into being whole, and to one run alone: it is filled under another name.

        Raises:
            RecipeError: another run made it meanwhile, or it cannot be made.
        """
        try:
            made = self.folder.with_name(f".{self.folder.name}-{uuid4().hex}")
            made.mkdir(parents=True)
        except OSError as error:
            raise RecipeError(
                f"{self.folder}: cannot be made: {error.strerror} ({error.filename})"
            ) from error
        try:
            write_sealed_json(made / ENVIRONMENT, environment)
            write_sealed_text(made / self.recipe_name, resolved_toml(recipe))
            while True:
                try:
                    made.rename(self.folder)  # takes the place of an empty folder, of no other
                    return
                except OSError as error:
                    another = next(self._others, None)
                    if another is None or not self.folder.exists():
                        raise RecipeError(
                            f"{self.folder}: another run made it meanwhile; name a new folder"
                        ) from error
                    self.folder = another
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def resume(self, environment: dict[str, Any]) -> str | None:
        """Note that the run goes on, in an environment that may be another.

        Returns:
            What to tell: the note of the first environment cannot be read, and is put aside; or
            the code of components is no longer what it was.

        Raises:
            RecipeError: the run's data were others.
        """
        path = self.folder / ENVIRONMENT
        try:
            first, told = read_sealed_json(path), None
            if not isinstance(first.get("resumed", []), list):
                raise DataError(f"{path} is damaged: its 'resumed' is no list")
        except DataError as error:
            first, told = {}, f"{error}; that the data are the same cannot be checked"
            if path.exists():
                path.replace(path.with_name(f"damaged-{ENVIRONMENT}"))
        then, now = (noted.get("data") for noted in (first, environment))
        if None not in (then, now) and then != now:
            raise RecipeError(
                f"--resume: the data are not those of the run in {self.folder}: by "
                f"{ENVIRONMENT} they were {then}, and are {now}; bring them back, or start a "
                "new run"
            )
        if changed := _changed_code(first, environment):
            told = (
                f"warning: changed since the run began: {'; '.join(changed)}; networks that are "
                "finished, and epochs that are over, were made by the code of before, and the rest "
                "will be by that of now: bring it back, or start a new run, unless it makes no "
                "difference to them"
            )
        # The checksums of all files again would say no more.
        again = {**environment, "changed_code": changed}
        again.pop("plugin_code", None)
        self.remove_partial_files()
        write_sealed_json(path, {**first, "resumed": [*first.get("resumed", []), again]})
        return told

    def check_visible(self) -> None:
        """Make sure that this machine has the run's folder.

        Raises:
            DataError: it has not.
        """
        if not self.folder.is_dir():
            raise DataError(
                f"{socket.gethostname()} has no {self.folder}: the run's folder and the data must "
                "be under the same paths on all machines"
            )

    def recipe(self) -> dict[str, Any]:
        """Return the content of the run's recipe, as it was resolved when the run began.

        Raises:
            DataError: it cannot be read.
        """
        path = self.folder / self.recipe_name
        try:
            return parse_toml(read_sealed_text(path))
        except ValueError as error:
            raise DataError(f"{path} is damaged: {error}") from error

    def check_begun(self) -> None:
        """Make sure that there is a run in the folder.

        Raises:
            RecipeError: there is none.
        """
        if not self.folder.is_dir():
            raise RecipeError(f"--resume: there is no folder {self.folder}")
        if not (self.folder / self.recipe_name).is_file():
            what = f"{self.folder} is no folder of gkd {self.command}"
            raise RecipeError(f"--resume: {what}: it has no {self.recipe_name}")

    def check_recipe(self, recipe: Recipe) -> None:
        """Make sure that the run in the folder is one of ``recipe``.

        Raises:
            RecipeError: it is no run, or one of another recipe; the message names what differs.
        """
        self.check_begun()
        path = self.folder / self.recipe_name
        try:
            then = parse_toml(read_sealed_text(path))
        except DataError:
            raise
        except ValueError as error:
            raise RecipeError(f"--resume: {path} is damaged: {error}") from error
        with suppress(ValidationError):  # what the recipe left out has since become a setting
            then = tomllib.loads(resolved_toml(Recipe.model_validate(then)))
        now = tomllib.loads(resolved_toml(recipe))
        for whole in (then, now):
            _remove(whole, self.free)
            # What others found, and where curves are shown, is not what is done here.
            for key in ("published", "logging"):
                whole.pop(key, None)
        if changes := _changes(then, now):
            more = [f"and {len(changes) - _SHOWN} more"] if len(changes) > _SHOWN else []
            listing = "\n".join(f"  {change}" for change in [*changes[:_SHOWN], *more])
            seeds = "; `gkd report` joins runs that differ by their seeds"
            raise RecipeError(
                f"--resume: the recipe is not that of the run in {self.folder}:\n{listing}\n"
                f"resume with `gkd {self.command} {path} --out {self.folder} --resume`, or start "
                f"a new {self.command}{seeds if then.get('seeds') != now.get('seeds') else ''}"
            )


def _changed_code(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in words which code is not that of an environment; older ones say less of it."""
    words: list[str] = []
    before, after = then.get("code"), now.get("code")
    if isinstance(before, dict) and isinstance(after, dict):
        words += [name for name in after if before.get(name, "") not in ("", after[name])]
    before, after = then.get("plugin_code"), now.get("plugin_code")
    if isinstance(before, dict) and isinstance(after, dict):
        words += changed_code(before, after)
    return words


def _remove(table: Any, path: tuple[str, ...]) -> None:
    for key in path[:-1]:
        table = table.get(key, {})
    for key in path[-1:]:
        table.pop(key, None)


def _changes(then: Any, now: Any) -> list[str]:
    """Sentences about every value that differs."""
    return [
        f"{key} was {'not given' if a is None else repr(a)}, "
        f"is {'not given' if b is None else repr(b)}"
        for key, a, b in differences(then, now)
    ]
