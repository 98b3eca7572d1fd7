"""The trials of a sweep: claimed by one process each, trained seed by seed, ended when hopeless."""

import math
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean

import optuna
from filelock import FileLock
from lightning.pytorch import Callback, LightningModule, Trainer
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState
from rich.console import Console

from gkd.errors import NonFiniteError, RecipeError
from gkd.evaluation.metric import Metric
from gkd.evaluation.scores import Scores
from gkd.evaluation.splits import fingerprint
from gkd.files import read_sealed_json, remove_partial_files
from gkd.recipe.file import RecipeFile
from gkd.recipe.sections import SweepRecipe
from gkd.sweep.sampler import Sampler
from gkd.sweep.space import Space, spaces, with_values
from gkd.sweep.study import (
    SURPLUS,
    open_storage,
    pruner,
    study_name,
    suggest,
    values_of,
)
from gkd.sweep.sweep_directory import SweepDirectory, TrialDirectory
from gkd.sweep.trial_progress import progress_line
from gkd.training.cache_policy import FOLDER as TEACHER_CACHE
from gkd.training.epoch_log import EpochLog
from gkd.training.failures import ProcessDied, explained
from gkd.training.network_training import Identity
from gkd.training.networks import Job, KeptTeacher, Networks
from gkd.training.run_directory import SUMMARY
from gkd.training.run_lock import locked

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
PLACE, SEEDS, ERROR = "place", "seeds", "error"  # attributes of a trial

_STEPS_PER_SEED = 1_000_000  # of Optuna's: the epochs of the next seed come after all of this one's


class HopelessTrial(Exception):
    """A trial that the others have left behind."""


def searched(file: RecipeFile) -> RecipeFile:
    """Return the recipe with what the search trains: its seeds, and no pictures."""
    sweep = file.recipe.sweep
    assert sweep is not None
    changed = {"seeds": list(sweep.seeds), "max_seeds": None, "feature_space": None}
    # Not validated again: that the seeds of the search are not those of the verdict, this was.
    return replace(file, recipe=file.recipe.model_copy(update=changed))


@dataclass
class Trials(Networks):
    """The networks of a sweep: its teachers, and the students of every trial.

    A job of a method is a trial of it, whichever is next: one that a process has left, or a new
    one while the budget lasts. The recipe is that of :func:`searched`.
    """

    tested: bool = False
    _kept: dict[int | None, KeptTeacher] = field(default_factory=dict, init=False, repr=False)
    _taught_by: Path | None = field(default=None, init=False, repr=False)
    _begun: dict[str, "optuna.Study"] = field(default_factory=dict, init=False, repr=False)

    @property
    def sweep(self) -> SweepRecipe:
        """What to search."""
        assert self.file.recipe.sweep is not None
        return self.file.recipe.sweep

    @property
    def sweep_directory(self) -> SweepDirectory:
        """The sweep's folder."""
        assert isinstance(self.directory, SweepDirectory)
        return self.directory

    @cached_property
    def spaces(self) -> dict[str, Space]:
        """What is tried, by method."""
        return {space.method: space for space in spaces(self.file, self.host)}

    @cached_property
    def metric(self) -> Metric:
        """What is searched for."""
        return Scores(self.experiment.dataset, 1).main

    @cached_property
    def storage(self) -> BaseStorage:
        """What keeps the trials."""
        return open_storage(self.sweep_directory)

    def budget(self, method: str) -> int:
        """Return how many trials a method has: as many as any other, if it has so many values."""
        return int(min(self.sweep.trials, self.spaces[method].size))

    def study(self, method: str) -> "optuna.Study":
        """Return the search of a method.

        Raises:
            RecipeError: it was begun on other data.
        """
        if method not in self._begun:
            recipe = self.file.recipe
            training = next(recipe.training_of(m) for m in recipe.methods if m.name == method)
            optuna.logging.set_verbosity(optuna.logging.ERROR)
            study = optuna.create_study(
                study_name=study_name(recipe, method),
                storage=self.storage,
                sampler=Sampler(self.spaces[method], self.sweep.seed),
                pruner=pruner(self.sweep, training.epochs),
                direction="minimize" if self.metric.lower_is_better else "maximize",
                load_if_exists=True,
            )
            data = fingerprint(self.experiment.dataset, self.splits)
            if (known := study.user_attrs.get("data", data)) != data:
                raise RecipeError(
                    f"the data are not those of the trials that are there: they were {known}, and "
                    f"are {data}; bring them back, or start a new sweep"
                )
            study.set_user_attr("data", data)
            self._begun[method] = study
        return self._begun[method]

    def begun(self, method: str) -> list[FrozenTrial]:
        """Return the trials of a method, as many as its budget has, in order."""
        every = self.study(method).get_trials(deepcopy=False)
        counted = [trial for trial in every if not trial.user_attrs.get(SURPLUS)]
        return sorted(counted, key=lambda trial: trial.number)

    def finished_trials(self, method: str) -> list[FrozenTrial]:
        """Return those that need no more training."""
        return [trial for trial in self.begun(method) if trial.state in FINISHED]

    def identity(self, job: Job) -> Identity:
        """Return what a network, or a trial, is called."""
        if job.method is None:
            return super().identity(job)
        return Identity("student", f"{job.method}: a trial", job.seed or 0, sole=True)

    def train(self, job: Job) -> None:
        """Train a teacher, or the next trial of a method, if there is one left.

        Raises:
            KeyboardInterrupt: the user interrupted; training again goes on.
        """
        if job.method is None:
            super().train(job)
            return
        with self._claimed(job.method) as trial:
            if trial is not None:
                self._run(job.method, trial)

    @contextmanager
    def _claimed(self, method: str) -> Iterator[Trial | None]:
        """Hold a trial that no other process has; None where none is left."""
        with ExitStack() as held:
            with FileLock(self.directory.folder / ".claims.lock"):
                trial = self._left_behind(method, held) or self._next(method, held)
            yield trial

    def _left_behind(self, method: str, held: ExitStack) -> Trial | None:
        for known in self.begun(method):
            # Without a place it was begun a moment before its process ended: here, or anywhere.
            place = known.user_attrs.get(PLACE)
            here = place == self._place or (place is None and self.sweep_directory.storage is None)
            if known.state != TrialState.RUNNING or not here:
                continue
            try:
                held.enter_context(self._locked(method, known.number))
            except RecipeError:  # a process trains it
                continue
            return self._with_values(method, Trial(self.study(method), known._trial_id))
        return None

    def _next(self, method: str, held: ExitStack) -> Trial | None:
        budget = self.budget(method)
        if len(self.begun(method)) >= budget:
            return None
        trial = self._with_values(method, self.study(method).ask())
        # Processes that share a database alone may begin the last trial at once.
        if [one.number for one in self.begun(method)].index(trial.number) >= budget:
            trial.set_user_attr(SURPLUS, True)
            self.study(method).tell(trial, state=TrialState.FAIL)
            return None
        held.enter_context(self._locked(method, trial.number))
        return trial

    def _with_values(self, method: str, trial: Trial) -> Trial:
        for one in self.spaces[method].dimensions:
            if trial.number > 0 or one.own_is_inside:
                suggest(trial, one)
        trial.set_user_attr(PLACE, self._place)
        return trial

    @property
    def _place(self) -> str:
        return f"{socket.gethostname()}:{self.directory.folder.resolve()}"

    @contextmanager
    def _locked(self, method: str, number: int) -> Iterator[None]:
        folder = self.sweep_directory.trial(method, number).folder
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            remove_partial_files(folder)
            yield

    def _run(self, method: str, trial: Trial) -> None:
        """Train a trial's students, and say what came of it."""
        study, value = self.study(method), None
        try:
            value = self._mean_of_seeds(method, trial)
            state = TrialState.COMPLETE
        except HopelessTrial:
            state = TrialState.PRUNED
        except NonFiniteError as error:
            trial.set_user_attr(ERROR, str(error))
            state = TrialState.PRUNED
        except (OSError, ProcessDied):  # of the machine: it is gone on with
            raise
        except Exception as error:  # of the trial: the others are trained, and the report has it
            trial.set_user_attr(ERROR, explained(error))
            state = TrialState.FAIL
        study.tell(trial, value, state=state)
        self._forget_networks(method, trial.number)
        begun = {name: self.begun(name) for name in self.spaces}
        budgets = {name: self.budget(name) for name in self.spaces}
        self.say(progress_line(method, trial.number, begun, budgets, self.metric))

    def _mean_of_seeds(self, method: str, trial: Trial) -> float:
        """Return the validation metric of the selected epochs, the mean over the seeds.

        Raises:
            HopelessTrial: the others have left it behind.
            NonFiniteError: there is none.
        """
        networks, watch = self._networks(method, trial)
        jobs = [job for job in self.jobs if job.method == method]
        found: dict[str, float] = {}
        for position, job in enumerate(jobs):
            watch.begin(position, list(found.values()))
            if not networks.finished(job):
                networks.train(job)
            summary = read_sealed_json(networks.folder(job) / SUMMARY)
            value = float(summary["validation"][self.metric.name])
            if not math.isfinite(value):
                name = f"validation {self.metric.name}"
                raise NonFiniteError(f"{name} is {value} with seed {job.seed}")
            found[str(job.seed)] = value
            trial.set_user_attr(SEEDS, found)
            watch.end(value, last=job is jobs[-1])
        return fmean(found.values())

    def _networks(self, method: str, trial: Trial) -> "tuple[Networks, Watch]":
        space = self.spaces[method]
        values = values_of(space, trial.params)
        file = with_values(
            self.file,
            {one: values[one.key] for one in space.dimensions if one.key in trial.params},
        )
        teacher = self.sweep_directory.teacher_like(file.recipe.teacher, self.file.recipe.teacher)
        if teacher != self._taught_by:
            self._taught_by, self._kept = teacher, {}
        directory = self.sweep_directory.trial(method, trial.number, teacher)
        if teacher != self.sweep_directory.teacher:
            # Without the watch: what it tells of an epoch is the student's.
            self._train_teachers(method, self._quiet_networks(file, directory))
        watch = Watch(trial, self.metric)
        networks = self._quiet_networks(file, directory)
        networks.callbacks, networks.teachers = [watch], self._kept
        return networks, watch

    def _quiet_networks(self, file: RecipeFile, directory: TrialDirectory) -> Networks:
        console = Console(quiet=True, force_terminal=False)
        networks = Networks(file, self.host, directory, self.devices, console, tested=False)
        networks.experiment = self.experiment.with_methods_of(file)
        return networks

    def _train_teachers(self, method: str, networks: Networks) -> None:
        """Train the teachers of trials like this one, unless another such trial has."""
        folder = networks.directory.teacher
        folder.parent.mkdir(exist_ok=True)
        with FileLock(f"{folder}.lock"):
            for job in {job.teacher for job in networks.jobs if job.method == method}:
                if job is not None and not networks.finished(job):
                    networks.train(job)

    def _forget_networks(self, method: str, number: int) -> None:
        """Remove what takes room: the summaries and the curves of a trial stay."""
        folder = self.sweep_directory.trial(method, number).folder
        for file in [*folder.rglob("*.ckpt"), *folder.rglob("*.safetensors")]:
            file.unlink(missing_ok=True)
        for place in folder.glob(TEACHER_CACHE):
            shutil.rmtree(place, ignore_errors=True)
        # Targets of other trials' kernels take room, too: where memory was too small, the next one
        # begins anew.
        for cache in (teacher.cache for teacher in self._kept.values()):
            if cache is not None and cache.folder is not None and cache.num_bytes_in_files:
                cache.clear()
                shutil.rmtree(cache.folder, ignore_errors=True)


class Watch(Callback):
    """Tells a trial how its students do, and ends it when it is hopeless; never the first one.

    What is told after an epoch is the mean over the seeds so far, of the running one that epoch's
    value. Not its best so far: an untrained network may do better by chance than a good one that
    has begun to learn.

    Args:
        trial: to tell.
        metric: to tell of.
    """

    def __init__(self, trial: Trial, metric: Metric) -> None:
        self.trial = trial
        self.metric = metric
        known = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        self._told = set(known)
        self._position = 0
        self._before: list[float] = []

    def begin(self, position: int, before: Sequence[float]) -> None:
        """Begin a seed, after those with these values."""
        self._position, self._before = position, list(before)

    def end(self, value: float, *, last: bool) -> None:
        """End a seed with its value."""
        self._tell(_STEPS_PER_SEED - 1, value, deciding=not last)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell what the epoch has."""
        (log,) = [one for one in trainer.callbacks if isinstance(one, EpochLog)]  # type: ignore[attr-defined]
        name = f"validation/{self.metric.name}"
        if log.rows and name in log.rows[-1]:
            ended = trainer.current_epoch + 1 == trainer.max_epochs
            self._tell(trainer.current_epoch, log.rows[-1][name], deciding=not ended)

    def _tell(self, step: int, value: float, *, deciding: bool) -> None:
        step += self._position * _STEPS_PER_SEED
        if step not in self._told:
            self._told.add(step)
            self.trial.report(fmean([*self._before, value]), step)
        if deciding and self.trial.number > 0 and self.trial.should_prune():
            raise HopelessTrial
