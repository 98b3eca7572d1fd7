"""One batch through everything, so that mistakes show before hours of training."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from gkd.errors import GkdError, RecipeError
from gkd.training.device import Placement
from gkd.training.experiment import Experiment


def dry_run(experiment: Experiment, placement: Placement) -> None:
    """Take one batch through the teacher and through every method, and throw all away.

    Raises:
        RecipeError: something fails, at the place of the recipe that asked for it.
    """
    recipe, origins, device = experiment.recipe, experiment.origins, placement.torch_device
    with origins.context("training"):
        placement.check(recipe.training.batch_size, recipe.precision)
    batch = next(experiment.batches(device))
    teacher = None
    if recipe.teacher is not None:
        if recipe.teacher.training is not None:
            with origins.context("teacher", "training"):
                placement.check(recipe.teacher.training.batch_size, recipe.precision)
        with origins.context("teacher", "cache"):
            experiment.kept_teacher.check()
        teacher = experiment.teacher().to(device)
        with _error_context(experiment, "teacher"):
            experiment.alone(teacher)(batch)
    for index, method in enumerate(recipe.methods):
        student = experiment.student(recipe.seeds[0], method).to(device)
        distiller = experiment.distiller(method, student, teacher)
        with _error_context(experiment, "methods", index):
            experiment.prepare(distiller, recipe.seeds[0], device)
            distiller(batch)
    if (space := experiment.feature_space()) is not None:
        assert teacher is not None
        networks = {"teacher": teacher, "student": experiment.student(recipe.seeds[0]).to(device)}
        for role, network in networks.items():
            with _error_context(experiment, "feature_space", role):
                space.seen_by(network, getattr(space.recipe, role))


@contextmanager
def _error_context(experiment: Experiment, *path: str | int) -> Iterator[None]:
    """Add the place of ``path`` to any error, and to those of others' code where they happened."""
    with experiment.origins.context(*path):
        try:
            yield
        except GkdError:
            raise
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            raise RecipeError(
                f"the first batch raised {type(error).__name__}: {error} "
                f"[{frame.filename}:{frame.lineno}]"
            ) from error
