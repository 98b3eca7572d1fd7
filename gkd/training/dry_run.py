"""A few batches through every network of an experiment, before anything is trained."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from torch import nn

from gkd.cache.teacher_cache import TeacherCache
from gkd.data import Batch
from gkd.data.sampled_batch import SampledBatch
from gkd.distillation.distiller import Distiller
from gkd.errors import GkdError, ParameterError, RecipeError
from gkd.errors.causes import raised_at
from gkd.recipe.training import TrainingRecipe
from gkd.training.data_module import neighbour_loader
from gkd.training.devices import Devices
from gkd.training.doubtful_data import doubtful_data
from gkd.training.doubts import (
    CompleteGraphs,
    doubtful_answers,
    doubtful_terms,
    late_parameters,
    unread_data,
)
from gkd.training.experiment import Experiment
from gkd.training.feature_space_recorder import epochs_left_out
from gkd.training.repeatability import answers_at_random, hidden_state, require_repeatable
from gkd.training.sampling import counts_sampled_edges, looks_further, require_sampling
from gkd.training.sharing import differences
from gkd.training.trackers import require_installed

_FIRST = "the first batch"


def dry_run(
    experiment: Experiment, devices: Devices, methods: Collection[str] | None = None
) -> list[str]:
    """Take batches through the teacher and through every method, and throw all away.

    Mistakes show here, before hours of training. The batches are the first one, one of the smallest
    samples, and one of as few as the last of an epoch has, where these are others.

    Args:
        experiment: to try.
        devices: to compute on.
        methods: names of those to try; by default all.

    Returns:
        What the user should know before it begins.

    Raises:
        RecipeError: something fails, at the place of the recipe that asked for it.
    """
    run = _DryRun(experiment, devices)
    run.check_data()
    run.try_methods(run.try_teacher(), methods)
    return [*dict.fromkeys([*run.notes, *run.graphs.notes])]


class _DryRun:
    """What the networks are tried on, and what there is to say of them."""

    def __init__(self, experiment: Experiment, devices: Devices) -> None:
        self.experiment = experiment
        self.devices = devices
        self.device = devices.torch_device
        self.recipe = experiment.recipe
        self.context = experiment.origins.context
        self.graphs = CompleteGraphs()
        self.notes: list[str] = []

    def check_data(self) -> None:
        """Check what needs no network, and choose the batches."""
        recipe, dataset = self.recipe, self.experiment.dataset
        if recipe.logging is not None:
            with self.context("logging", "to"):
                require_installed(recipe.logging)
        with self.context("dataset"):
            require_repeatable(dataset, self.devices.count)
        self.notes += self.check_training(recipe.training, "training")
        if recipe.teacher is not None and recipe.teacher.training is not None:
            training = recipe.teacher.training
            self.notes += self.check_training(training, "teacher", "training")
        if recipe.teacher is not None and recipe.teacher.precision is not None:
            with self.context("teacher", "precision"):
                self.devices.check(self.devices.count, recipe.teacher.precision)
        with self.context("dataset"):
            self.notes += doubtful_data(dataset, self.experiment.splits)
            dataset.set_epoch(0)
            samples = dataset.train
            nodes = [samples[index].num_nodes for index in range(len(samples))]
        self.by_size = sorted(range(len(nodes)), key=nodes.__getitem__)

    def first(self, training: TrainingRecipe) -> Batch:
        """Return the first batch of a training; a sampled one is the whole graph for the cache."""
        batch = next(self.experiment.batches(training, self.device))
        return batch.alone() if isinstance(batch, SampledBatch) else batch

    def check_training(self, training: TrainingRecipe, *path: str | int) -> list[str]:
        """Make sure that batches can be made as a part of the recipe says; return what is odd."""
        dataset, what = self.experiment.dataset, "training samples"
        size, count = training.batch_size, len(dataset.train)
        with self.context(*path):
            self.devices.check(size, self.recipe.precision)
            if training.sampling is not None:
                require_sampling(dataset, self.devices)
                count = len(neighbour_loader(dataset, training, seed=0).seeds)
                what = "seed nodes"
            elif count < size and training.drop_last:
                raise ParameterError(
                    f"drop_last: a batch_size of {size} is more than the {count} training samples, "
                    "so that every batch would be left out"
                )
        if count >= size:
            return []
        where = "teacher.training" if path[0] == "teacher" else "training"
        return [
            f"{where}.batch_size = {size} is more than the {count} {what}: an epoch is one step"
        ]

    def try_teacher(self) -> nn.Module | None:
        """Try the teacher's training, and return it."""
        recipe = self.recipe.teacher
        if recipe is None:
            return None
        with self.context("teacher", "cache"):
            self.experiment.cache_policy.check()
        teacher = self.experiment.teacher().to(self.device)
        self.notes += [f"teacher: {note}" for note in unread_data(teacher, self.experiment.dataset)]
        distiller = self.experiment.task_distiller(teacher)
        first = self.first(recipe.training or self.recipe.training)
        with self.trying(_FIRST, "teacher"), self.graphs.watched(first):
            distiller(first)
            if recipe.training is not None:
                found = looks_further(distiller, self.experiment, recipe.training, self.device)
                self.notes += [f"teacher: {note}" for note in found]
        if recipe.training is not None:
            self.try_others(distiller, recipe.training, first, "teacher")
        return teacher

    def try_methods(self, teacher: nn.Module | None, methods: Collection[str] | None) -> None:
        """Try the training of every method, and the pictures of feature spaces."""
        recipe, experiment, seed = self.recipe, self.experiment, self.recipe.seeds[0]
        # In memory, as nothing is to remain: what cannot be kept per sample shows here, too.
        cache = TeacherCache() if experiment.cache_policy.refusal is None else None
        for index, method in enumerate(recipe.methods):
            if methods is not None and method.name not in methods:
                continue
            training = recipe.training_of(method)
            if method.training:
                odd = self.check_training(training, "methods", index, "training")
                self.notes += [f"{method.name}: {note}" for note in odd]
            if recipe.feature_space is not None:
                late = epochs_left_out(recipe.feature_space, training.epochs)
                self.notes += [late] if late else []
            first = self.first(training)
            student = experiment.student(seed, method).to(self.device)
            unread = unread_data(student, experiment.dataset)
            self.notes += [f"student: {note}" for note in unread]
            others = experiment.others(seed, method)
            distiller = experiment.distiller(method, student, teacher, others, cache)
            distiller.to(self.device)
            with self.trying(_FIRST, "methods", index), self.graphs.watched(first):
                experiment.prepare(distiller, seed, first)
                known = list(distiller.parameters())
                self.notes += hidden_state(distiller, first)
                self.notes += answers_at_random(distiller, first)
                self.notes += doubtful_answers(distiller, first)
                found = doubtful_terms(distiller, first, training.epochs)
                found += late_parameters(distiller, known)
                found += looks_further(distiller, experiment, training, self.device)
                found += counts_sampled_edges(distiller, training)
            self.notes += [f"{method.name}: {note}" for note in found]
            self.try_others(distiller, training, first, "methods", index)
        if (space := experiment.feature_space()) is not None:
            assert teacher is not None
            with self.trying(_FIRST, "feature_space", "teacher"):
                space.seen_by(teacher, "teacher")
            with self.trying(_FIRST, "feature_space", "student"):
                space.seen_by(experiment.student(seed).to(self.device), "student")

    def try_others(
        self, distiller: Distiller, training: TrainingRecipe, first: Batch, *path: str | int
    ) -> None:
        """Take the batches after the first through ``distiller``, then what devices share."""
        for batch, what, advice in self.small_batches(training, path[0] == "teacher"):
            with self.trying(what, *path, advice=advice), self.graphs.watched(batch):
                distiller(batch)
        with self.trying(_FIRST, *path):
            self.notes += differences(distiller, first, self.devices.count)

    def small_batches(
        self, training: TrainingRecipe, of_teacher: bool
    ) -> Iterator[tuple[Batch, str, str]]:
        """Yield the smallest samples, and as few as a device ever has: batch, name, advice."""
        size, devices = training.batch_size, self.devices.count
        if training.sampling is not None:
            count = len(neighbour_loader(self.experiment.dataset, training, seed=0).seeds)
            if (left := count % size) and size < count and not training.drop_last:
                last = training.model_copy(update={"batch_size": left})
                what = f"the last batch of an epoch ({left} of {count} seeds, in batches of {size})"
                yield self.first(last), what, _leaves_out(of_teacher)
            return
        count = len(self.by_size)
        shared, left = min(size, count) // devices, count % size
        where = "teacher.training" if of_teacher else "training"
        trials = []
        if self.by_size[:size] != list(range(min(size, count))):  # the first batch was another
            trials.append((min(size, count), "a batch of the smallest samples", ""))
        if devices > 1 and shared:
            what = f"the share of one of {devices} devices of a batch of {size}"
            trials.append((shared, what, f"; raise {where}.batch_size"))
        if left and not training.drop_last:
            what = f"the last batch of an epoch ({left} of {count} samples, in batches of {size})"
            # With fewer samples than devices each takes all of them.
            trials.append((left // devices or left, what, _leaves_out(of_teacher)))
        for number, what, advice in trials:
            yield self.experiment.batch(self.by_size[:number], self.device), what, advice

    @contextmanager
    def trying(self, what: str, *path: str | int, advice: str = "") -> Iterator[None]:
        """Add the place of ``path`` to any error, to those of others' code where they happened."""
        with self.context(*path):
            try:
                yield
            except GkdError as error:
                if what != _FIRST:
                    raise RecipeError(f"{what}: {error}{advice}") from error
                raise
            except Exception as error:
                raise RecipeError(
                    f"{what} raised {type(error).__name__}: {error}{advice} [{raised_at(error)}]"
                ) from error


def _leaves_out(of_teacher: bool) -> str:
    where = "teacher.training" if of_teacher else "training"
    return f"; {where}.drop_last = true leaves it out"
