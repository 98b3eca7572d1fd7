"""The folders of a sweep and of its trials."""

import hashlib
import json
from pathlib import Path
from typing import Any

from gkd.errors import RecipeError
from gkd.recipe.model import TeacherRecipe
from gkd.training.run_directory import RunDirectory

SWEEP_FILE = "sweep.toml"


class SweepDirectory(RunDirectory):
    """One sweep's folder.

    Attributes:
        storage: URL of the database that keeps the trials; None for a file in the folder.
    """

    recipe_name = SWEEP_FILE
    command = "sweep"
    suffix = "-sweep"
    free = ("sweep", "trials")
    storage: str | None = None

    @property
    def journal(self) -> Path:
        """File of the trials."""
        return self.folder / "trials.journal"

    def trial(self, method: str, number: int, teacher: Path | None = None) -> "TrialDirectory":
        """Return the folder of a method's trial, whose teacher is the sweep's or lies elsewhere."""
        folder = self.folder / "trials" / method / f"{number:04d}"
        return TrialDirectory(folder, self, teacher or self.teacher)

    def teacher_like(self, teacher: TeacherRecipe | None, own: TeacherRecipe | None) -> Path:
        """Return the folder of a trial's teacher: the sweep's, unless the trial has another.

        Args:
            teacher: of the trial.
            own: of the sweep's recipe.
        """
        if teacher is None or teacher == own:
            return self.teacher
        text = json.dumps(teacher.model_dump(), sort_keys=True, default=str)
        return self.folder / "teachers" / hashlib.sha256(text.encode()).hexdigest()[:16]

    def check_storage(self) -> None:
        """Make sure that the trials of the folder are where they are looked for.

        Raises:
            RecipeError: they are not.
        """
        here = self.journal.exists()
        if self.storage is not None and here:
            raise RecipeError(
                f"--storage {self.storage}: the trials of {self.folder} are in a file of its own; "
                "leave --storage out"
            )
        if self.storage is None and not here and (self.folder / "trials").exists():
            raise RecipeError(
                f"--resume: the trials of {self.folder} are in a database; name it by --storage"
            )

    def remove_partial_files(self) -> None:
        """Leave them: they may be another process's, and a trial removes its own."""


class TrialDirectory(RunDirectory):
    """The folder of one trial, whose teacher lies elsewhere."""

    def __init__(self, folder: Path, sweep: SweepDirectory, teacher: Path) -> None:
        super().__init__(folder)
        self._sweep, self._teacher = sweep, teacher

    @property
    def teacher(self) -> Path:
        """Folder of the teacher."""
        return self._teacher

    def recipe(self) -> dict[str, Any]:
        """Return the content of the sweep's recipe: what the trial tries is in no file."""
        return self._sweep.recipe()

    def student(self, method: str, seed: int) -> Path:
        """Folder of the trial's student of a seed."""
        return self.folder / f"seed-{seed}"
