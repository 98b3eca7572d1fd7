"""The parts of a recipe, built: dataset, models, distillers."""

import copy
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self
from weakref import WeakKeyDictionary

import torch
from pydantic_core import to_jsonable_python
from torch import nn

from gkd.cache.teacher_cache import TeacherCache
from gkd.data import AbstractDataset, Batch, collate
from gkd.data.rows import ALL, SEEDS
from gkd.data.sample import is_edge_index
from gkd.data.task import Task
from gkd.distillation.distiller import Distiller
from gkd.distillation.inputs import Inputs, NetworkInputs, inputs_or
from gkd.distillation.layer_by_layer import EDGES_PER_PASS, declared_edges
from gkd.distillation.logits import declared_logits
from gkd.distillation.task_choice import find_task
from gkd.distillation.teachers import SOLE_TEACHER
from gkd.distillation.term import Term
from gkd.errors import NAMED, DataError, ParameterError
from gkd.evaluation.scores import Scores
from gkd.evaluation.splits import SPLITS, require_separate_splits
from gkd.hosting.host import Host
from gkd.recipe.file import RecipeFile
from gkd.recipe.model import MethodRecipe, StudentRecipe, TeacherRecipe
from gkd.recipe.training import TrainingRecipe
from gkd.training.cache_policy import CachePolicy
from gkd.training.data_module import neighbour_loader
from gkd.training.feature_space_recorder import FeatureSpace
from gkd.training.model_record import ModelRecord, arrays_of
from gkd.training.precision import dtype_of
from gkd.training.repeatability import Separateness
from gkd.training.seeds import derived_seed, set_random_state
from gkd.training.teacher_precision import require_as_good
from gkd.training.weights import load_weights


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
        self._records: WeakKeyDictionary[nn.Module, ModelRecord] = WeakKeyDictionary()
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

    def batches(self, training: TrainingRecipe, device: torch.device) -> Iterator[Batch]:
        """Training samples of epoch 0 in their own order, as a training batches them.

        Of neighbourhoods that are sampled from one graph, the first.
        """
        if training.sampling is not None:
            alone = training.model_copy(update={"workers": 0})  # which one batch does not pay for
            with self.origins.context("dataset"):
                loader = neighbour_loader(self.dataset, alone, seed=0)
                yield next(iter(loader)).to(device)
            return
        size, count = training.batch_size, len(self.dataset.train)
        for start in range(0, count, size):
            yield self.batch(range(start, min(start + size, count)), device)

    def batch(self, indices: Iterable[int], device: torch.device) -> Batch:
        """Training samples of epoch 0 as a batch."""
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
        if method is None or (method.student is None and not method.student_params):
            return self._model(("student",), self.recipe.student, seed)
        path = ("methods", self.recipe.methods.index(method))
        if method.student is not None:
            return self._model((*path, "student"), method.student, seed)
        params = {**self.recipe.student.params, **(method.student_params or {})}
        own = self.recipe.student.model_copy(update={"params": params})
        return self._model((*path, "student_params"), own, seed, "student")

    def others(self, seed: int, method: MethodRecipe) -> dict[str, nn.Module]:
        """Networks of a method beside student and teacher, by name.

        Peers, which learn with the student, as initialised; teachers of its own with their weights.
        """
        path = ("methods", self.recipe.methods.index(method))
        found = {
            name: self._model((*path, "peers", name), recipe, seed)
            for name, recipe in method.peers.items()
        }
        for name, given in method.teachers.items():
            found[name] = self._model((*path, "teachers", name), given, seed)
            with self.origins.context(*path, "teachers", name, "weights"):
                load_weights(found[name], Path(given.weights))
        return found

    def distiller(
        self,
        method: MethodRecipe,
        student: nn.Module,
        teacher: nn.Module | None,
        others: Mapping[str, nn.Module],
        cache: TeacherCache | None = None,
    ) -> Distiller:
        """Distiller of a method, its adapters not yet built; the baseline has no teacher."""
        index = self.recipe.methods.index(method)
        sampled = self.recipe.training_of(method).sampling is not None
        terms = []
        for position, recipe in enumerate(method.terms):
            given = recipe.model_dump(exclude_none=True)
            if sampled and given["rows"] == ALL:
                given["rows"] = SEEDS  # said, a loss gives each its value where it can
            with self.origins.context("methods", index, "terms", position):
                terms.append(Term(**given))
        with self.origins.context("methods", index):
            # A teacher that nothing is compared with would run for nothing in every step.
            teachers = dict(others)
            if teacher is not None and method.needs_teacher:
                teachers = {SOLE_TEACHER: teacher, **others}
            return self._distiller(
                teachers,
                student,
                terms,
                trained=list(method.peers),
                task_weight=method.task_weight,
                ema=method.ema,
                teacher_cache=cache,
                teacher_autocast=self._teacher_dtype,
            )

    @property
    def _teacher_dtype(self) -> torch.dtype | None:
        teacher = self.recipe.teacher
        return None if teacher is None or teacher.precision is None else dtype_of(teacher.precision)

    def require_precise(self, teacher: nn.Module, device: torch.device) -> None:
        """Make sure that a trained teacher is as good in the precision that it teaches in.

        Raises:
            ParameterError: its validation is worse.
        """
        recipe = self.recipe.teacher
        assert recipe is not None
        if recipe.precision in (None, self.recipe.precision):
            return
        size = 1 if recipe.training is None else recipe.training.batch_size
        scores = Scores(self.dataset, size)
        with self.origins.context("teacher", "precision"):
            require_as_good(
                teacher.to(device), scores, str(recipe.precision), self.recipe.precision, device
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

    def prepare(self, distiller: Distiller, seed: int, batch: Batch) -> None:
        """Build a distiller's adapters for batches such as this, the same for the same seed."""
        set_random_state(derived_seed(seed, "adapters"))
        distiller.prepare(batch)

    def feature_space(self) -> FeatureSpace | None:
        """Feature spaces to look at, where the recipe wants a picture of them."""
        recipe = self.recipe.feature_space
        if recipe is None:
            return None
        with self.origins.context("feature_space"):
            return FeatureSpace.of(recipe, self.dataset)

    def _model(
        self,
        path: tuple[str | int, ...],
        recipe: TeacherRecipe | StudentRecipe,
        seed: int,
        role: str | None = None,
    ) -> nn.Module:
        role = role or str(path[-1])
        given = recipe.params
        widths = self.dataset.num_features, self.dataset.num_classes
        sizes = dict(zip(("in_channels", "out_channels"), widths, strict=True))
        with self.origins.context(*path, "name"):
            accepted = self.host.signature("model", recipe.name).parameters
        with self.origins.context(*path):
            # The widths are the dataset's, unless the recipe gives them or the model has none.
            params = {name: size for name, size in sizes.items() if name in accepted} | given
            # As data sets call them; a default is left alone, as it may mean something else.
            for name, size in zip(("num_features", "num_classes"), widths, strict=True):
                if name in accepted and accepted[name].default is inspect.Parameter.empty:
                    params.setdefault(name, size)
            lacking = [
                name
                for name, parameter in accepted.items()
                if parameter.kind in NAMED
                and parameter.default is parameter.empty
                and name not in params
            ]
            if lacking and params.keys() <= accepted.keys():
                raise ParameterError(
                    f"model {recipe.name!r} needs {', '.join(lacking)}: give them in params; those "
                    "called in_channels and out_channels get the numbers of features and outputs "
                    f"of the data, here {widths[0]} and {widths[1]}"
                )
            set_random_state(derived_seed(seed, "weights", role))
            model: nn.Module = self.host.create("model", recipe.name, **params)
            self._separateness.require(model, recipe.name)
            # Said to the model itself, so that training, scores and cost all call it so.
            for name in ("inputs", "logits", EDGES_PER_PASS):
                said = getattr(recipe, name)
                if said is None:
                    continue
                if isinstance(getattr(model, name, None), nn.Module):
                    raise ParameterError(
                        f"{name}: the model has a sub-module of this name, so that it cannot be "
                        f"told its {name}; rename that"
                    )
                setattr(model, name, said)
            inputs = inputs_or(model, self.dataset.inputs)
            called_with = NetworkInputs(inputs, model, role).attributes
            divisible = not called_with or any(map(is_edge_index, called_with))
            if recipe.edges_per_pass is not None and not divisible:
                raise ParameterError(
                    f"{EDGES_PER_PASS}: the model is called with {', '.join(called_with)}, and "
                    "what is divided are edges that come as edge_index; leave it out"
                )
            self._records[model] = self._record(model, recipe.name, params, inputs)
        return model

    def record(self, network: nn.Module) -> ModelRecord:
        """Return what rebuilds a network that was made here."""
        return self._records[network]

    def _record(
        self, model: nn.Module, name: str, params: Mapping[str, Any], inputs: Inputs
    ) -> ModelRecord:
        source, sample = self.host.component("model", name).source, self.dataset.train[0]
        task = self.dataset.task
        return ModelRecord(
            model=name,
            distribution=source.release,
            params=to_jsonable_python(params, fallback=str),
            inputs=to_jsonable_python(inputs),
            logits=declared_logits(model),
            edges_per_pass=declared_edges(model),
            task=None if isinstance(task, Task) else to_jsonable_python(task, fallback=str),
            arrays=arrays_of(model, inputs, sample),
            nodes=sample.num_nodes,
        )
