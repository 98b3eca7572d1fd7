"""Whether a run caches its teacher's outputs, and what the user is told about it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gkd.cache.teacher_cache import TeacherCache
from gkd.data import AbstractDataset
from gkd.data.sampled_batch import SampledBatch
from gkd.distillation.distiller import Distiller
from gkd.errors import ParameterError
from gkd.functional.memory import in_bytes
from gkd.recipe.model import Recipe
from gkd.training.precision import autocast

FOLDER = "teacher-cache"
"""Folder of a run with what memory has no room for; it goes when the run is finished."""


@dataclass
class CachePolicy:
    """What a recipe says about caching its teacher's outputs.

    Args:
        recipe: of the run.
        dataset: of the run.
    """

    recipe: Recipe
    dataset: AbstractDataset
    _told: str = ""

    @property
    def refusal(self) -> str | None:
        """Why nothing is cached; None where it is."""
        if self.recipe.teacher is None or self.recipe.teacher.cache is False:
            return "teacher.cache is off"
        # Also where it could be repeated: a student sees each augmented sample in one epoch only.
        if self.dataset.augmented:
            return "the training data is augmented at random"
        return None

    def check(self) -> None:
        """Make sure that a recipe that insists on the cache can have it.

        Raises:
            ParameterError: it cannot.
        """
        self.cache(Path())  # where its folder is none, here
        insists = self.recipe.teacher is not None and self.recipe.teacher.cache is True
        if insists and self.refusal is not None:
            raise ParameterError(
                f"the teacher cannot be cached: {self.refusal}, so that its outputs for a "
                "sample hold in no other epoch; turn the augmentation off in [dataset], or leave "
                "cache out, and the teacher runs in every step"
            )

    def cache(self, folder: Path) -> TeacherCache | None:
        """Return the cache for a run, None where nothing is cached.

        Args:
            folder: of the run.
        """
        teacher = self.recipe.teacher
        if teacher is None or self.refusal is not None:
            return None
        # The sample ids are those of the data set, and the weights do not tell the whole model.
        parts = [self.recipe.dataset.model_dump(), teacher.name, teacher.params]
        key = json.dumps(parts, sort_keys=True, default=str)
        if teacher.cache_folder is not None:
            return TeacherCache(0, teacher.cache_folder, key, teacher.cache_half)
        return TeacherCache(
            teacher.cache_mebibytes * 2**20, folder / FOLDER, key, teacher.cache_half
        )

    def fill(self, distiller: Distiller, batches: Iterable[object], device: str) -> str | None:
        """Fill a distiller's cache from ``batches``, or take it away where there is no room.

        Args:
            distiller: with teachers.
            batches: of all training samples, the same always: a teacher's outputs for a sample
                differ in the last bits with the rest of its batch, and a resumed run must not
                notice.
            device: kind of device, such as ``"cpu"``.

        Returns:
            What to tell the user; None where it is what was told last.
        """
        cache = distiller.teacher_cache
        # As in the training steps: another precision gives other outputs.
        with autocast(self.recipe.precision, device):
            lacking = None
            if cache is not None:
                lacking = next((each for each in batches if not distiller.remember(each)), None)
            if cache is None:
                line = f"teacher runs in every step: {self.refusal}"
            elif lacking is None:
                total = len(self.dataset.train)
                places = [(cache.num_bytes, "in memory"), (cache.num_bytes_in_files, "in files")]
                sizes = [f"{in_bytes(size)} {place}" for size, place in places if size]
                line = f"teacher cache: {total} of {total} samples, {', '.join(sizes)}"
            else:
                # A cache of some samples only: the order of each epoch would decide which outputs
                # are computed anew, in which batch, and a resumed run would differ.
                distiller.teacher_cache = None
                cache.clear()
                room = "neither memory nor disk has room for its outputs"
                line = f"teacher runs in every step: {room}"
                if isinstance(lacking, SampledBatch):
                    line += "; it sees the sampled neighbourhoods alone, not the whole graph"
        news, self._told = line != self._told, line
        return line if news else None
