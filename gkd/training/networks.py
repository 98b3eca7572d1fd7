"""The networks of a run: which there are, which are finished, and the training of any of them."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lightning.pytorch import Callback
from rich.console import Console
from torch import nn

from gkd.cache.teacher_cache import TeacherCache
from gkd.errors import DataError
from gkd.evaluation.scores import Scores
from gkd.evaluation.soft_targets import judgement
from gkd.evaluation.splits import SPLITS
from gkd.files import read_sealed_json
from gkd.hosting.host import Host
from gkd.recipe.file import RecipeFile
from gkd.recipe.model import MethodRecipe, TeacherRecipe
from gkd.training.devices import Devices
from gkd.training.experiment import Experiment
from gkd.training.network_training import (
    CHECKSUMS,
    Identity,
    NetworkTraining,
    RunContext,
    damage_of,
    is_finished,
    origin_of,
    write_network,
)
from gkd.training.progress import score_in_words
from gkd.training.provenance import MADE_BY, Provenance, given_weights, recipe_of
from gkd.training.run_directory import FEATURE_SPACE, SUMMARY, WEIGHTS, RunDirectory
from gkd.training.run_plan import RunPlan, Standing
from gkd.training.trackers import Tracking
from gkd.training.weights import load_weights


@dataclass(frozen=True)
class Job:
    """One network to train.

    Args:
        method: that trains it; None for a teacher.
        seed: of the run; None for the teacher of all seeds.
        teacher: what has to be trained before, if anything.
    """

    method: str | None
    seed: int | None
    teacher: "Job | None" = None


@dataclass
class KeptTeacher:
    """A teacher, once it is loaded, and what it says of the training samples."""

    cache: TeacherCache | None
    network: nn.Module | None = None


@dataclass
class Networks:
    """The networks of a run, each of which can be trained once its teacher is.

    Args:
        file: the recipe.
        host: where components come from; activated.
        directory: the run's folder.
        devices: what to compute on.
        console: for progress.
        first_process: whether this process writes the folder and tells the user what happens.
        tested: whether the test split is touched, and networks are scored on it.
        callbacks: further ones of Lightning, for every network.
        plan: of the run, for the progress; None where there is none.
        teachers: by seed, what is kept of teachers for networks that follow, also those of other
            instances; None where a seed's goes with the next one's.
    """

    file: RecipeFile
    host: Host
    directory: RunDirectory
    devices: Devices
    console: Console
    first_process: bool = True
    tested: bool = True
    callbacks: Sequence[Callback] = ()
    plan: RunPlan | None = None
    teachers: dict[int | None, KeptTeacher] | None = None
    _shared: "_Shared | None" = field(default=None, init=False, repr=False)

    @cached_property
    def experiment(self) -> Experiment:
        """What the recipe names."""
        return Experiment(self.file, self.host, self.splits)

    @property
    def splits(self) -> Sequence[str]:
        """Splits that are looked at."""
        return SPLITS if self.tested else tuple(split for split in SPLITS if split != "test")

    @cached_property
    def jobs(self) -> list[Job]:
        """All networks of the seeds that the recipe lists."""
        recipe = self.file.recipe
        return self.jobs_of(recipe.seeds, [method.name for method in recipe.methods])

    def jobs_of(self, seeds: Sequence[int], methods: Collection[str]) -> list[Job]:
        """Return the networks of some methods, seed by seed: runs that stop have whole comparisons.

        Args:
            seeds: of the students.
            methods: names of the methods.
        """
        recipe, found = self.file.recipe, []
        teacher = None
        # One teacher serves all seeds, unless each has data of its own.
        own = self._of_seed(seeds[0]).experiment is not self.experiment
        for seed in seeds:
            if recipe.teacher is not None and (own or teacher is None):
                teacher = Job(None, seed if own else None)
                found.append(teacher)
            for method in recipe.methods:
                if method.name in methods:
                    found.append(Job(method.name, seed, teacher if method.needs_teacher else None))
        return found

    def identity(self, job: Job) -> Identity:
        """Return what a network is called."""
        if job.method is not None:
            assert job.seed is not None
            return Identity("student", job.method, job.seed)
        seed = self._teacher_recipe.seed + (job.seed or 0)
        return Identity("teacher", "teacher", seed, job.seed is None)

    def folder(self, job: Job) -> Path:
        """Return the folder of a network."""
        if job.method is None:
            return self.directory.teacher_of(job.seed)
        assert job.seed is not None
        return self.directory.student(job.method, job.seed)

    def finished(self, job: Job) -> bool:
        """Whether a network needs no more training; one whose files are damaged is told, and does.

        Its checkpoints, where they are whole, finish it at once.

        Raises:
            RecipeError: what is there is another network.
        """
        folder = self.folder(job)
        looked_at = job.method is not None or self.file.recipe.feature_space is None
        if not is_finished(folder) or not (looked_at or (folder / FEATURE_SPACE).is_file()):
            return False
        damage = damage_of(folder)
        if damage is not None and self.first_process:
            self.say(f"{damage}; this network is finished again from its last checkpoint")
            (folder / SUMMARY).unlink()
        if damage is None:
            noted = read_sealed_json(folder / SUMMARY).get(MADE_BY, {})
            self.provenance(job).require(noted, str(folder / SUMMARY))
        return damage is None

    def provenance(self, job: Job) -> Provenance:
        """Return what a network is made by, its teacher as far as it is trained."""
        identity, teacher = self.identity(job), None
        if job.teacher is not None and is_finished(self.folder(job.teacher)):
            with suppress(DataError):  # then it is trained again
                summary = read_sealed_json(self.folder(job.teacher) / SUMMARY)
                teacher = summary.get(CHECKSUMS, {}).get(WEIGHTS)
        recipe = recipe_of(self.directory.recipe(), identity.method)
        teachers = {} if job.method is None else self.method(job.method).teachers
        return Provenance(identity.method, identity.seed, recipe, teacher, given_weights(teachers))

    def train(self, job: Job) -> None:
        """Train a network whose teacher is trained, and leave its folder complete.

        Raises:
            KeyboardInterrupt: the user interrupted; training again goes on.
        """
        if job.method is None:
            self._train_teacher(job)
        else:
            self._train_student(job)
        if self.plan is not None:
            self.plan.waiting.discard(job)

    def plan_of(self, jobs: Sequence[Job], waiting: Collection[Job] = ()) -> RunPlan:
        """Return the plan of some networks.

        Args:
            jobs: all of them, in order.
            waiting: those that this process trains one after another.
        """
        return RunPlan({job: (job.method or "", self._epochs(job)) for job in jobs}, set(waiting))

    def _epochs(self, job: Job) -> int:
        if job.method is not None:
            return self.file.recipe.training_of(self.method(job.method)).epochs
        training = None if self._teacher_recipe.weights else self._teacher_recipe.training
        return 0 if training is None else training.epochs

    def _standing(self, job: Job) -> Standing | None:
        return None if self.plan is None else self.plan.standing(job)

    def say(self, line: str) -> None:
        """Print a line as it is: a path is neither markup nor wrapped."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    @property
    def _tracking(self) -> Tracking | None:
        recipe, folder = self.file.recipe, self.directory.folder
        if recipe.logging is None or not self.tested:  # the networks of a sweep are too many
            return None
        settings = {
            "title": recipe.title or self.file.name,
            "dataset": recipe.dataset.name,
            "student": recipe.student.name,
            **({} if recipe.teacher is None else {"teacher": recipe.teacher.name}),
        }
        return Tracking(recipe.logging, folder.resolve().name, folder, settings)

    @property
    def _teacher_recipe(self) -> TeacherRecipe:
        assert self.file.recipe.teacher is not None
        return self.file.recipe.teacher

    def _of_seed(self, seed: int) -> "_Shared":
        """Return what the networks of a seed share; only the last seed's is kept."""
        if self._shared is None or self._shared.seed not in (None, seed):
            experiment = self.experiment.for_seed(seed)
            own = seed if experiment is not self.experiment else None
            teacher = None if self.teachers is None else self.teachers.get(own)
            if teacher is None:
                teacher = KeptTeacher(experiment.cache_policy.cache(self.directory.folder))
            if self.teachers is not None:
                self.teachers[own] = teacher
            context = RunContext(
                experiment.dataset,
                self.devices,
                self.file.recipe.precision,
                self.console,
                self.host.notify,
                teacher.cache,
                experiment.feature_space(),
                self.tested,
                self.callbacks,
                self._tracking,
            )
            self._shared = _Shared(own, experiment, context, teacher)
        return self._shared

    def _train_teacher(self, job: Job) -> None:
        shared = self._of_seed(self.file.recipe.seeds[0] if job.seed is None else job.seed)
        context, recipe = shared.context, self._teacher_recipe
        folder, identity = self.folder(job), self.identity(job)
        teacher = shared.experiment.teacher()
        if recipe.weights is None:
            assert recipe.training is not None
            distiller = shared.experiment.task_distiller(teacher)
            made_by = self.provenance(job)
            NetworkTraining(
                identity,
                folder,
                distiller,
                recipe.training,
                context,
                made_by,
                shared.experiment.record(teacher),
                self._standing(job),
            ).run()
        elif self.first_process:
            teacher.to(self.devices.torch_device)
            scores = Scores(context.dataset, batch_size=1)
            validation = scores(teacher, "validation")
            score = score_in_words(scores.main, validation[scores.main.name])
            place = "" if (standing := self._standing(job)) is None else f"{standing} "
            self.say(f"{place}{identity.title}: given weights, validation {score}")
            more = {
                MADE_BY: self.provenance(job).of_file(),
                **origin_of(Path(recipe.weights)),
                "validation": validation,
            }
            write_network(
                folder,
                identity,
                teacher,
                context.dataset,
                scores,
                more,
                shared.experiment.record(teacher),
                tested=self.tested,
            )
        if self.first_process:
            summary = read_sealed_json(folder / SUMMARY)
            if warning := judgement(summary.get("training", {})):
                self.say(f"{identity.title}: its soft targets are {warning}")
            if context.feature_space is not None:
                context.feature_space.write_trained(folder, teacher)

    def _train_student(self, job: Job) -> None:
        assert job.seed is not None
        method = self.method(job.method)
        shared, device = self._of_seed(job.seed), self.devices.torch_device
        experiment, context = shared.experiment, shared.context
        teacher = shared.teacher
        if job.teacher is not None and teacher.network is None:
            network = experiment.teacher()
            load_weights(network, self.folder(job.teacher) / WEIGHTS)
            experiment.require_precise(network, device)
            teacher.network = network
        student = experiment.student(job.seed, method).to(device)
        others = experiment.others(job.seed, method)
        distiller = experiment.distiller(method, student, teacher.network, others, context.cache)
        distiller.to(device)
        training = self.file.recipe.training_of(method)
        experiment.prepare(distiller, job.seed, next(experiment.batches(training, device)))
        if distiller.teachers:
            batches = experiment.batches(training, device)
            if line := experiment.cache_policy.fill(distiller, batches, device.type):
                self.say(line)
        NetworkTraining(
            self.identity(job),
            self.folder(job),
            distiller,
            training,
            context,
            self.provenance(job),
            experiment.record(student),
            self._standing(job),
        ).run()

    def method(self, name: str | None) -> MethodRecipe:
        """Return the method of that name."""
        return next(method for method in self.file.recipe.methods if method.name == name)


@dataclass
class _Shared:
    """What the networks of a seed share, or of all seeds where that is None."""

    seed: int | None
    experiment: Experiment
    context: RunContext
    teacher: KeptTeacher
