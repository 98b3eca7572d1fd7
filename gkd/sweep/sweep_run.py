"""Sweeping a recipe from the first check to the report."""

from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

from rich.console import Console

from gkd.errors import RecipeError
from gkd.evaluation.cost import parameter_count
from gkd.evaluation.splits import fingerprint
from gkd.hosting.host import Host
from gkd.recipe.file import RecipeFile
from gkd.sweep.outcome import Outcome
from gkd.sweep.space import with_values
from gkd.sweep.sweep_directory import SWEEP_FILE, SweepDirectory
from gkd.sweep.trials import Trials, searched
from gkd.training.devices import Devices
from gkd.training.dry_run import dry_run
from gkd.training.environment import environment
from gkd.training.executor import Executor
from gkd.training.experiment import Experiment
from gkd.training.networks import Job
from gkd.training.run_directory import new_folders, newest_folder
from gkd.training.run_lock import locked
from gkd.training.termination import terminable


@dataclass(frozen=True)
class SweepRun:
    """One sweep in one folder.

    Args:
        file: the recipe, with what to sweep.
        host: where components come from.
        directory: the sweep's folder.
        devices: what to compute on.
        console: for progress.
        executor: where the trials are trained.
        resumed: whether the folder is there already.
    """

    file: RecipeFile
    host: Host
    directory: SweepDirectory
    devices: Devices
    console: Console
    executor: Executor
    resumed: bool = False

    def search(self) -> Outcome:
        """Try the space, train the teacher, then every trial that is not finished.

        Several processes may do so in one folder at once.

        Raises:
            GkdError: a mistake in the recipe, the space or the data, found before anything is
                trained.
            FailedNetworks: the teacher was not trained, or a trial's process has died.
            KeyboardInterrupt: the user interrupted; searching again goes on.
        """
        trials = Trials(searched(self.file), self.host, self.directory, self.devices, self.console)
        with ExitStack() as stack:
            stack.enter_context(self.host.activated())
            stack.enter_context(terminable())
            notes = self._dry_run(trials)
            recipe = trials.file.recipe
            data = fingerprint(trials.experiment.dataset, trials.splits)
            now = environment(self.host, self.devices, recipe.seeds) | {"data": data}
            if self.resumed:
                self.directory.check_storage()
                if told := self.directory.resume(now):
                    trials.say(told)
            else:
                self.directory.start(self.file.recipe, now)
            trials.say(f"sweep folder: {self.directory.folder}")
            for note in notes:
                trials.say(note)
            # Who comes second waits for the teacher; then they search side by side.
            with locked(self.directory.folder, waiting=True):
                needed = {job.teacher for job in trials.jobs} - {None}
                teachers = [job for job in trials.jobs if job in needed]
                self.executor.train_all(
                    trials, [job for job in teachers if not trials.finished(job)]
                )
            self.executor.train_all(trials, _in_turn(trials))
            return Outcome.of(self.file, trials)

    def _dry_run(self, trials: Trials) -> list[str]:
        """Try the recipe, then for each method the ends of its ranges, and its choices."""
        notes = dry_run(trials.experiment, self.devices)
        for method, space in trials.spaces.items():
            for point in space.extremes:
                file = with_values(trials.file, point)
                experiment = trials.experiment.with_methods_of(file)
                try:
                    _require_one_size(trials.experiment, experiment, method)
                    dry_run(experiment, self.devices, [method])
                except RecipeError as error:
                    words = ", ".join(one.setting(value).words for one, value in point.items())
                    error.add_note(f"tried: {words}")
                    raise
        return notes


def _require_one_size(before: Experiment, now: Experiment, method: str) -> None:
    """Make sure that what is tried leaves a method's student as large as the recipe's.

    Raises:
        RecipeError: it does not.
    """
    methods = [
        next(one for one in experiment.recipe.methods if one.name == method)
        for experiment in (before, now)
    ]
    if methods[1].student_params == methods[0].student_params:
        return
    sizes = [
        parameter_count(experiment.student(0, one))
        for experiment, one in zip((before, now), methods, strict=True)
    ]
    if sizes[0] != sizes[1]:
        raise RecipeError(
            f"student.params: the student has {sizes[0]:,} parameters, and {sizes[1]:,} with "
            f"{methods[1].student_params}: methods are compared on students of one size; "
            "methods.NAME.student is one of a size of its own"
        )


def _in_turn(trials: Trials) -> list[Job]:
    """Return the trials that are left, of the methods in turn: they are equally far at any time."""
    left = [
        [
            Job(method, number)
            for number in range(len(trials.finished_trials(method)), trials.budget(method))
        ]
        for method in trials.spaces
    ]
    return [job for job in chain.from_iterable(zip_longest(*left)) if job is not None]


def open_sweep(
    file: RecipeFile,
    host: Host,
    devices: Devices,
    console: Console,
    executor: Executor,
    *,
    out: Path | None = None,
    resume: bool = False,
    storage: str | None = None,
) -> SweepRun:
    """Return the sweep with its folder: a new one, or, to resume, ``out`` or the newest one.

    Nothing is written before it searches.

    Raises:
        RecipeError: a new sweep's folder is in use, or there is nothing of this recipe to resume.
    """
    file = file.with_absolute_paths(host)
    if resume:
        folder = out or newest_folder(file.name + SweepDirectory.suffix, recipe_name=SWEEP_FILE)
        directory = SweepDirectory(folder)
        directory.check_recipe(file.recipe)
    else:
        folders = iter((out,)) if out else new_folders(file.name + SweepDirectory.suffix)
        directory = SweepDirectory(next(folders), folders)
        directory.check_new()
    directory.storage = storage
    return SweepRun(file, host, directory, devices, console, executor, resume)
