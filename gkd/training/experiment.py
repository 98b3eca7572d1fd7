"""The parts of a recipe, built and tried out: dataset, models, distillers."""

import copy
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from gkd.cache.teacher_cache import TeacherCache
from gkd.data import AbstractDataset, Batch, collate
from gkd.distillation.distiller import Distiller
from gkd.distillation.inputs import NetworkInputs, inputs_or
from gkd.distillation.task_choice import find_task
from gkd.distillation.teachers import SOLE_TEACHER
from gkd.distillation.term import Term
from gkd.errors import DataError, GkdError, ParameterError, RecipeError
from gkd.evaluation.splits import SPLITS, require_separate_splits
from gkd.hosting.host import Host
from gkd.recipe.file import RecipeFile
from gkd.recipe.model import MethodRecipe, StudentRecipe, TeacherRecipe, TrainingRecipe
from gkd.training.cache_policy import CachePolicy
from gkd.training.devices import Devices
from gkd.training.doubts import CompleteGraphs, doubtful_labels, doubtful_terms
from gkd.training.feature_space_recorder import FeatureSpace
from gkd.training.repeatability import Separateness, require_repeatable
from gkd.training.seeds import derived_seed, set_random_state
from gkd.training.sharing import differences
from gkd.training.weights import load_weights

_FIRST = "the first batch"


class Experiment:
    """Builds what a recipe names; errors name the line of the recipe that asked for it.

    Args:
        file: the recipe.
        host: where components come from.
        splits: that are looked at; a search leaves out the test split.

    Raises:
        RecipeError: the dataset cannot be made, or lacks data.

    Attributes:
        dataset: what is trained and tested on.
        seed: whose data this is; None where it is that of all seeds.
    """

    def __init__(self, file: RecipeFile, host: Host, splits: Sequence[str] = SPLITS) -> None:
        self.recipe = file.recipe
        self.origins = file.origins
        self.host = host
        self.splits = splits
        recipe = self.recipe.dataset
        with self.origins.context("dataset", "name"):
            host.component("dataset", recipe.name)
        with self.origins.context("dataset"):
            self.dataset: AbstractDataset = host.create("dataset", recipe.name, **recipe.params)
            self._require_splits()
        self._take_task()
        self.seed: int | None = None
        self._separateness = Separateness()
        self.cache_policy = CachePolicy(self.recipe, self.dataset)

    def _require_splits(self) -> None:
        for split in self.splits:
            if len(getattr(self.dataset, split)) == 0:
                raise DataError(f"the dataset {self.recipe.dataset.name!r} has no {split} samples")
        if self.dataset.rows:
            require_separate_splits(self.dataset, self.splits)

    def _take_task(self) -> None:
        """Let the recipe's task take the place of the dataset's own, and make sure of either."""
        place = "dataset" if self.recipe.task is None else "task"
        with self.origins.context(place), self.host.activated():
            if self.recipe.task is not None:
                self.dataset.task = self.recipe.task
            find_task(self.dataset.task)

    def for_seed(self, seed: int) -> Self:
        """Return the experiment on one seed's data: itself, where all seeds have the same."""
        with self.origins.context("dataset"):
            dataset = self.dataset.for_seed(seed)
            if dataset is self.dataset:
                return self
            other = copy.copy(self)
            other.dataset, other.seed = dataset, seed
            other._require_splits()
        other._take_task()
        other.cache_policy = replace(self.cache_policy, dataset=dataset)
        return other

    def with_methods_of(self, file: RecipeFile) -> Self:
        """Return the experiment on the same data whose methods are those of another recipe."""
        other = copy.copy(self)
        other.recipe, other.origins = file.recipe, file.origins
        other.cache_policy = replace(self.cache_policy, recipe=file.recipe)
        return other

    def batches(self, device: torch.device) -> Iterator[Batch]:
        """Training samples of epoch 0 in their own order, batched as for a student."""
        size, count = self.recipe.training.batch_size, len(self.dataset.train)
        for start in range(0, count, size):
            yield self._batch(range(start, min(start + size, count)), device)

    def _batch(self, indices: Iterable[int], device: torch.device) -> Batch:
        self.dataset.set_epoch(0)
        samples = self.dataset.train
        with self.origins.context("dataset"):
            return collate([samples[index] for index in indices]).to(device)

    @property
    def teacher_seed(self) -> int:
        """Seed of the teacher's training: where each seed has a teacher, they differ."""
        assert self.recipe.teacher is not None
        return self.recipe.teacher.seed + (self.seed or 0)

    def teacher(self) -> nn.Module:
        """Teacher as initialised, or with the weights that the recipe names."""
        recipe = self.recipe.teacher
        assert recipe is not None
        model = self._model(("teacher",), recipe, self.teacher_seed)
        if recipe.weights is not None:
            with self.origins.context("teacher", "weights"):
                load_weights(model, Path(recipe.weights))
        return model

    def student(self, seed: int, method: MethodRecipe | None = None) -> nn.Module:
        """Student as initialised: the same for every method of a seed that has none of its own."""
        if method is None or method.student is None:
            return self._model(("student",), self.recipe.student, seed)
        path = ("methods", self.recipe.methods.index(method), "student")
        return self._model(path, method.student, seed)

    def peers(self, seed: int, method: MethodRecipe) -> dict[str, nn.Module]:
        """Networks that learn with a method's student, as initialised, by name."""
        path = ("methods", self.recipe.methods.index(method), "peers")
        return {
            name: self._model((*path, name), recipe, seed) for name, recipe in method.peers.items()
        }

    def distiller(
        self,
        method: MethodRecipe,
        student: nn.Module,
        teacher: nn.Module | None,
        peers: Mapping[str, nn.Module],
        cache: TeacherCache | None = None,
    ) -> Distiller:
        """Distiller of a method, its adapters not yet built; the baseline has no teacher."""
        index = self.recipe.methods.index(method)
        terms = []
        for position, recipe in enumerate(method.terms):
            with self.origins.context("methods", index, "terms", position):
                terms.append(Term(**recipe.model_dump(exclude_none=True)))
        with self.origins.context("methods", index):
            # A teacher that nothing is compared with would run for nothing in every step.
            teachers = dict(peers)
            if teacher is not None and method.needs_teacher:
                teachers = {SOLE_TEACHER: teacher, **peers}
            return self._distiller(
                teachers,
                student,
                terms,
                trained=list(peers),
                task_weight=method.task_weight,
                ema=method.ema,
                teacher_cache=cache,
            )

    def task_distiller(self, network: nn.Module) -> Distiller:
        """Distiller that trains a network by its task, without a teacher."""
        return self._distiller({}, network)

    def _distiller(
        self,
        teachers: Mapping[str, nn.Module],
        student: nn.Module,
        terms: Sequence[Term] = (),
        **options: Any,
    ) -> Distiller:
        networks = {"student": student, **teachers}
        return Distiller(
            teachers,
            student,
            terms,
            task=self.dataset.task,
            inputs={
                name: inputs_or(network, self.dataset.inputs) for name, network in networks.items()
            },
            mask=self.dataset.rows.get("train"),
            **options,
        )

    def prepare(self, distiller: Distiller, seed: int, device: torch.device) -> None:
        """Build a distiller's adapters, the same for the same seed."""
        set_random_state(derived_seed(seed, "adapters"))
        distiller.prepare(next(self.batches(device)))

    def feature_space(self) -> FeatureSpace | None:
        """Feature spaces to look at, where the recipe wants a picture of them."""
        recipe = self.recipe.feature_space
        if recipe is None:
            return None
        with self.origins.context("feature_space"):
            return FeatureSpace.of(recipe, self.dataset)

    def _model(
        self, path: tuple[str | int, ...], recipe: TeacherRecipe | StudentRecipe, seed: int
    ) -> nn.Module:
        given = recipe.params
        sizes = {"in_channels": self.dataset.num_features, "out_channels": self.dataset.num_classes}
        with self.origins.context(*path, "name"):
            accepted = self.host.signature("model", recipe.name).parameters
        with self.origins.context(*path):
            # The widths are the dataset's, unless the recipe gives them or the model has none.
            params = {name: size for name, size in sizes.items() if name in accepted} | given
            set_random_state(derived_seed(seed, "weights", path[-1]))
            model: nn.Module = self.host.create("model", recipe.name, **params)
            self._separateness.require(model, recipe.name)
            # Said to the model itself, so that training, scores and cost all call it so.
            for name, said in (("inputs", recipe.inputs), ("logits", recipe.logits)):
                if said is None:
                    continue
                if isinstance(getattr(model, name, None), nn.Module):
                    raise ParameterError(
                        f"{name}: the model has a sub-module of this name, so that it cannot be "
                        f"told its {name}; rename that"
                    )
                setattr(model, name, said)
            NetworkInputs(inputs_or(model, self.dataset.inputs), model, str(path[-1]))
        return model

    def dry_run(self, devices: Devices, methods: Collection[str] | None = None) -> list[str]:
        """Take two batches through the teacher and through every method, and throw all away.

        Mistakes show here, before hours of training. The second batch has as few samples as the
        last of an epoch, where that has fewer than the others.

        Args:
            devices: to compute on.
            methods: names of those to try; by default all.

        Returns:
            What the user should know before it begins.

        Raises:
            RecipeError: something fails, at the place of the recipe that asked for it.
        """
        recipe, device = self.recipe, devices.torch_device
        notes: list[str] = []
        with self.origins.context("dataset"):
            require_repeatable(self.dataset, devices.count)
        with self.origins.context("training"):
            notes += self._check_training(recipe.training, devices, "training")
        with self.origins.context("dataset"):
            notes += doubtful_labels(self.dataset, self.splits)
        batch, graphs = next(self.batches(device)), CompleteGraphs()
        by_size = self._by_size()
        teacher = None
        if recipe.teacher is not None:
            if recipe.teacher.training is not None:
                with self.origins.context("teacher", "training"):
                    training = recipe.teacher.training
                    notes += self._check_training(training, devices, "teacher.training")
            with self.origins.context("teacher", "cache"):
                self.cache_policy.check()
            teacher = self.teacher().to(device)
            distiller = self.task_distiller(teacher)
            with self._trying(_FIRST, "teacher"), graphs.watched(batch):
                distiller(batch)
            if recipe.teacher.training is not None:
                training = recipe.teacher.training
                self._try_small_batches(distiller, training, devices, by_size, graphs, "teacher")
                with self._trying(_FIRST, "teacher"):
                    notes += differences(distiller, batch, devices.count)
        # In memory, as nothing is to remain: what cannot be kept per sample shows here, too.
        cache = TeacherCache() if self.cache_policy.refusal is None else None
        for index, method in enumerate(recipe.methods):
            if methods is not None and method.name not in methods:
                continue
            training = recipe.training_of(method)
            student = self.student(recipe.seeds[0], method).to(device)
            peers = self.peers(recipe.seeds[0], method)
            distiller = self.distiller(method, student, teacher, peers, cache).to(device)
            with self._trying(_FIRST, "methods", index), graphs.watched(batch):
                self.prepare(distiller, recipe.seeds[0], device)
                found = doubtful_terms(distiller, batch, training.epochs)
                notes += [f"{method.name}: {note}" for note in found]
            place = ("methods", index)
            if method.training:
                with self.origins.context(*place, "training"):
                    told = self._check_training(training, devices, "training")
                    notes += [f"{method.name}: {note}" for note in told]
            self._try_small_batches(distiller, training, devices, by_size, graphs, *place)
            with self._trying(_FIRST, *place):
                notes += differences(distiller, batch, devices.count)
        if (space := self.feature_space()) is not None:
            assert teacher is not None
            with self._trying(_FIRST, "feature_space", "teacher"):
                space.seen_by(teacher, "teacher")
            with self._trying(_FIRST, "feature_space", "student"):
                space.seen_by(self.student(recipe.seeds[0]).to(device), "student")
        return [*dict.fromkeys([*notes, *graphs.notes])]

    def _check_training(
        self, training: TrainingRecipe, devices: Devices, where: str
    ) -> Iterator[str]:
        devices.check(training.batch_size, self.recipe.precision)
        size, count = training.batch_size, len(self.dataset.train)
        if count < size and training.drop_last:
            raise ParameterError(
                f"drop_last: a batch_size of {size} is more than the {count} training samples, so "
                "that every batch would be left out"
            )
        if count < size:
            yield (
                f"{where}.batch_size = {size} is more than the {count} training samples: an epoch "
                "is one step"
            )

    def _by_size(self) -> list[int]:
        """Return the indices of the training samples of epoch 0, those of fewest nodes first."""
        self.dataset.set_epoch(0)
        samples = self.dataset.train
        with self.origins.context("dataset"):
            nodes = [samples[index].num_nodes for index in range(len(samples))]
        return sorted(range(len(nodes)), key=nodes.__getitem__)

    def _try_small_batches(
        self,
        distiller: Distiller,
        training: TrainingRecipe,
        devices: Devices,
        by_size: Sequence[int],
        graphs: CompleteGraphs,
        *path: str | int,
    ) -> None:
        """Take the smallest samples through ``distiller``, and as few as a device ever has."""
        count, size = len(self.dataset.train), training.batch_size
        shared, left = min(size, count) // devices.count, count % size
        where = "teacher.training" if path[0] == "teacher" else "training"
        trials = []
        if list(by_size[:size]) != list(range(min(size, count))):  # the first batch was another
            trials.append((min(size, count), "a batch of the smallest samples", ""))
        if devices.count > 1 and shared:
            what = f"the share of one of {devices.count} devices of a batch of {size}"
            trials.append((shared, what, f"; raise {where}.batch_size"))
        if left and not training.drop_last:
            what = f"the last batch of an epoch ({left} of {count} samples, in batches of {size})"
            # With fewer samples than devices each takes all of them.
            least = left // devices.count or left
            trials.append((least, what, f"; {where}.drop_last = true leaves it out"))
        for number, what, advice in trials:
            batch = self._batch(by_size[:number], devices.torch_device)
            with self._trying(what, *path, advice=advice), graphs.watched(batch):
                distiller(batch)

    @contextmanager
    def _trying(self, what: str, *path: str | int, advice: str = "") -> Iterator[None]:
        """Add the place of ``path`` to any error, to those of others' code where they happened."""
        with self.origins.context(*path):
            try:
                yield
            except GkdError as error:
                if what != _FIRST:
                    raise RecipeError(f"{what}: {error}{advice}") from error
                raise
            except Exception as error:
                frame = traceback.extract_tb(error.__traceback__)[-1]
                raise RecipeError(
                    f"{what} raised {type(error).__name__}: {error}{advice} "
                    f"[{frame.filename}:{frame.lineno}]"
                ) from error
