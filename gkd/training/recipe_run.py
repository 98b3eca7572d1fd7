"""Running a recipe from the first check to the last network."""

import shutil
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from gkd.evaluation.splits import SPLITS, fingerprint
from gkd.hosting.host import Host
from gkd.recipe.data_words import data_words
from gkd.recipe.file import RecipeFile
from gkd.training.cache_policy import FOLDER
from gkd.training.devices import Devices
from gkd.training.dry_run import dry_run
from gkd.training.environment import environment
from gkd.training.executor import Executor, Serial
from gkd.training.executors import executor_for
from gkd.training.latency_file import measure_latency
from gkd.training.networks import Job, Networks
from gkd.training.ranks import agreement, by_torchrun, is_first, joined, of_first
from gkd.training.run_directory import RunDirectory, new_folders, newest_folder
from gkd.training.run_lock import locked
from gkd.training.termination import terminable

Undecided = Callable[[Path, Sequence[int]], Sequence[str]]
"""Names the methods without a verdict, given a run's folder and the seeds to look at."""


@dataclass(frozen=True)
class Run:
    """One recipe in one folder.

    Args:
        file: the recipe.
        host: where components come from.
        directory: the run's folder.
        devices: what to compute on.
        console: for progress.
        executor: where the networks are trained.
        resumed: whether the folder is there already.
        first_process: whether this process writes the folder and tells the user what happens.
    """

    file: RecipeFile
    host: Host
    directory: RunDirectory
    devices: Devices
    console: Console
    executor: Executor
    resumed: bool = False
    first_process: bool = True

    def train(self, undecided: Undecided | None = None) -> None:
        """Check everything, then train every network that is not finished.

        Args:
            undecided: says which methods have no verdict yet; for recipes with ``max_seeds``.

        Raises:
            GkdError: a mistake in the recipe or the data, found before anything is trained.
            FailedNetworks: some were not trained; the others were.
            ProcessDied: a process was killed; training again goes on.
            KeyboardInterrupt: the user interrupted; training again goes on.
        """
        recipe = self.file.recipe
        networks = Networks(
            self.file, self.host, self.directory, self.devices, self.console, self.first_process
        )
        with ExitStack() as stack:
            stack.enter_context(self.host.activated())
            stack.enter_context(terminable())
            stack.enter_context(joined())
            if not self.first_process:  # which has the same
                stack.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
            with agreement(self.devices.torch_device):
                self._begin(networks, stack)
            if by_torchrun():
                self.directory.folder = of_first(self.directory.folder.resolve())
            with agreement(self.devices.torch_device):
                self.directory.check_visible()
            self._train(networks, networks.jobs)
            if recipe.max_seeds is not None and undecided is not None:
                self._train_more_seeds(networks, recipe.max_seeds, undecided)
            if self.first_process:
                # Now that no other network is trained beside them.
                measure_latency(networks)
                shutil.rmtree(self.directory.folder / FOLDER, ignore_errors=True)

    def _train(self, networks: Networks, jobs: Sequence[Job]) -> None:
        unfinished = []
        for job in jobs:
            if of_first(self.first_process and networks.finished(job)):
                self.say(f"{networks.identity(job).title}: finished before")
            else:
                unfinished.append(job)
        alone = isinstance(self.executor, Serial)
        networks.plan = networks.plan_of(jobs, unfinished if alone else ())
        self.executor.train_all(networks, unfinished, len(jobs))

    def _train_more_seeds(self, networks: Networks, max_seeds: int, undecided: Undecided) -> None:
        """Train the undecided methods, and all that are baselines, with one seed after another."""
        recipe, seeds = self.file.recipe, list(self.file.recipe.seeds)
        plain = [method.name for method in recipe.methods if not method.terms]
        while len(seeds) < max_seeds:
            first = self.first_process
            left = of_first(undecided(self.directory.folder, seeds) if first else ())
            if not left:
                break
            self.say(f"undecided after {len(seeds)} seeds: {', '.join(left)}")
            seeds.append(max(seeds) + 1)
            jobs = networks.jobs_of(seeds[-1:], {*left, *plain})
            self._train(networks, [job for job in jobs if job not in networks.jobs])  # the teacher

    def _begin(self, networks: Networks, stack: ExitStack) -> None:
        """Check everything, then make the folder, or look at what is there; it is then locked."""
        if self.resumed and self.first_process:
            stack.enter_context(locked(self.directory.folder))
        self.say(f"reading {data_words(self.file.recipe.dataset.model_dump())}")
        experiment = networks.experiment
        self.say("trying every network on a batch")
        notes = dry_run(experiment, self.devices)
        if not self.first_process:
            return
        dataset, seeds = experiment.dataset, self.file.recipe.seeds
        now = {
            **environment(self.host, self.devices, seeds, self.executor.threads),
            "data": fingerprint(dataset),
            "samples": {split: len(getattr(dataset, split)) for split in SPLITS},
            "classes": dataset.num_classes,
        }
        if self.resumed:
            if told := self.directory.resume(now):
                self.say(told)
        else:
            self.directory.start(self.file.recipe, now)
            stack.enter_context(locked(self.directory.folder))
        self.say(f"run folder: {self.directory.folder}")
        for note in notes:
            self.say(f"warning: {note}")

    def say(self, line: str) -> None:
        """Print a line as it is: a path is neither markup nor wrapped."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


def open_run(
    file: RecipeFile,
    host: Host,
    devices: Devices,
    console: Console,
    *,
    out: Path | None = None,
    resume: bool = False,
    executor: Executor | None = None,
) -> Run:
    """Run with its folder: a new one, or, to resume, ``out`` or the newest of this recipe.

    Nothing is written before the run trains. Without an executor, networks are trained one after
    another.

    Raises:
        RecipeError: a new run's folder is in use, or there is nothing of this recipe to resume.
    """
    file = file.with_absolute_paths(host)
    executor = executor or executor_for(devices)
    if not is_first():
        quiet = Console(quiet=True)
        return Run(file, host, RunDirectory(Path()), devices, quiet, executor, resume, False)
    if resume:
        directory = RunDirectory(out or newest_folder(file.name))
        directory.check_recipe(file.recipe)
    else:
        folders = iter((out,)) if out else new_folders(file.name)
        directory = RunDirectory(next(folders), folders)
        directory.check_new()
    return Run(file, host, directory, devices, console, executor, resume)
