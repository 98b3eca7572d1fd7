"""The folders of a sweep and of its trials."""

from pathlib import Path
from typing import Any

from gkd.errors import RecipeError
from gkd.training.run_directory import RunDirectory

SWEEP_FILE = "sweep.toml"


class SweepDirectory(RunDirectory):
    """One sweep's folder.

    Attributes:
        storage: URL of the database that keeps the trials; None for a file in the folder.
    """

    recipe_name = SWEEP_FILE
    command = "sweep"
    free = ("sweep", "trials")
    storage: str | None = None

    @property
    def journal(self) -> Path:
        """File of the trials."""
        return self.folder / "trials.journal"

    def trial(self, method: str, number: int) -> "TrialDirectory":
        """Return the folder of a method's trial."""
        return TrialDirectory(self.folder / "trials" / method / f"{number:04d}", self)

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
    """The folder of one trial, whose teacher is that of the sweep."""

    def __init__(self, folder: Path, sweep: SweepDirectory) -> None:
        super().__init__(folder)
        self._sweep = sweep

    @property
    def teacher(self) -> Path:
        """Folder of the teacher."""
        return self._sweep.teacher

    def recipe(self) -> dict[str, Any]:
        """Return the content of the sweep's recipe: what the trial tries is in no file."""
        return self._sweep.recipe()

    def student(self, method: str, seed: int) -> Path:
        """Folder of the trial's student of a seed."""
        return self.folder / f"seed-{seed}"
