"""What a network was made by: its files say it, so that another's cannot pass for them."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from gkd.errors import RecipeError
from gkd.recipe.model import GivenTeacherRecipe, with_current_names

MADE_BY = "made_by"
"""Key of summaries and checkpoints under which it stands."""

_OF_THE_RUN = (
    "title",
    "seeds",
    "max_seeds",
    "methods",
    "feature_space",
    "sweep",
    "published",
    "logging",
)
_OF_STUDENTS = ("student", "training")


@dataclass(frozen=True)
class Provenance:
    """What a network was made by.

    Args:
        method: that trains it; a teacher's is ``"teacher"``.
        seed: of its training.
        recipe: what :func:`recipe_of` gives.
        teacher: checksum of the weights of its teacher; None where it has none, or that is old.
        given: checksum of the files of further teachers' weights; None where there are none.
    """

    method: str
    seed: int
    recipe: str
    teacher: str | None = None
    given: str | None = None

    def of_file(self) -> dict[str, Any]:
        """Return what a file notes."""
        return asdict(self)

    def require(self, noted: Mapping[str, Any], what: str) -> None:
        """Make sure that a file is of this network; older ones do not say of which they are.

        Args:
            noted: in the file.
            what: what messages call the file.

        Raises:
            RecipeError: it is of another one.
        """
        if (difference := self.difference(noted)) is not None:
            raise RecipeError(
                f"{what} {difference}; bring back what was there, or move it away, and "
                f"{self.method} seed {self.seed} is trained anew"
            )

    def difference(self, noted: Mapping[str, Any]) -> str | None:
        """Return in words what a file notes otherwise, None where nothing."""
        method, seed = noted.get("method", self.method), noted.get("seed", self.seed)
        if (method, seed) != (self.method, self.seed):
            return f"is of {method} seed {seed}"
        if noted.get("recipe", self.recipe) != self.recipe:
            return "is of a run with another recipe"
        if None not in (self.teacher, noted.get("teacher")) and noted["teacher"] != self.teacher:
            return "was distilled from another teacher than that of this run"
        if None not in (self.given, noted.get("given")) and noted["given"] != self.given:
            return "was distilled from other teachers than the files of their weights hold now"
        return None


def given_weights(teachers: Mapping[str, GivenTeacherRecipe]) -> str | None:
    """Return a checksum of the files of teachers' weights, as they are now; None of no teachers."""
    found = hashlib.sha256()
    for path in (paths := [Path(one.weights) for one in teachers.values()]):
        with suppress(OSError):  # whoever reads it says what is wrong with it
            status = path.stat()
            found.update(_checksum(path.absolute(), status.st_size, status.st_mtime_ns))
    return found.hexdigest()[:16] if paths else None


@lru_cache(maxsize=64)
def _checksum(path: Path, size: int, changed: int) -> bytes:
    """Return the checksum of a file, which is read anew only where its size or time is another."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def recipe_of(recipe: Mapping[str, Any], method: str) -> str:
    """Return a hash of all in a run's recipe that a network of it follows from.

    Args:
        recipe: as the run's ``recipe.toml`` has it, which never changes: resolved anew, it would
            have what has become a setting since.
        method: name of the method; ``"teacher"`` of a teacher.
    """
    left_out = _OF_THE_RUN if method != "teacher" else (*_OF_THE_RUN, *_OF_STUDENTS)
    parts = {key: value for key, value in recipe.items() if key not in left_out}
    if method != "teacher":
        methods = with_current_names(recipe.get("methods", []))
        parts["method"] = next((one for one in methods if one.get("name") == method), {})
        if not parts["method"].get("terms"):
            parts.pop("teacher", None)
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
