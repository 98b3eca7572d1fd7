"""Running a recipe from the first check to the last network."""

import gc
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from torch import distributed, nn

from gkd.errors import GkdError
from gkd.evaluation.scores import Scores
from gkd.evaluation.soft_targets import judgement
from gkd.evaluation.splits import fingerprint
from gkd.hosting.host import Host
from gkd.recipe.file import RecipeFile
from gkd.recipe.model import MethodRecipe
from gkd.training.cache_policy import FOLDER
from gkd.training.devices import Devices
from gkd.training.environment import environment
from gkd.training.experiment import Experiment
from gkd.training.network_training import (
    Identity,
    NetworkTraining,
    RunContext,
    damage_of,
    describe,
    is_finished,
    write_network,
)
from gkd.training.run_directory import RunDirectory, new_folders, newest_folder
from gkd.training.run_lock import locked
from gkd.training.termination import terminable
from gkd.training.weights import load_weights

_FOLDER = "GKD_RUN_FOLDER"


@dataclass(frozen=True)
class Run:
    """One recipe in one folder.

    Args:
        file: the recipe.
        host: where components come from.
        directory: the run's folder.
        devices: what to compute on.
        console: for progress.
        resumed: whether the folder is there already.
        first_process: whether this process writes the folder and tells the user what happens.
    """

    file: RecipeFile
    host: Host
    directory: RunDirectory
    devices: Devices
    console: Console
    resumed: bool = False
    first_process: bool = True

    def train(self) -> None:
        """Check everything, then train every network that is not finished.

        Raises:
            GkdError: a mistake in the recipe or the data, found before anything is trained.
            KeyboardInterrupt: the user interrupted; training again goes on.
        """
        recipe = self.file.recipe
        with ExitStack() as stack:
            stack.enter_context(self.host.activated())
            stack.enter_context(terminable())
            if self.resumed and self.first_process:
                stack.enter_context(locked(self.directory.folder))
            experiment = Experiment(self.file, self.host)
            notes = experiment.dry_run(self.devices)
            if self.first_process:
                data = fingerprint(experiment.dataset)
                now = environment(self.host, self.devices, recipe.seeds) | {"data": data}
                if self.resumed:
                    if told := self.directory.resume(now):
                        self.say(told)
                else:
                    self.directory.start(recipe, now)
                    stack.enter_context(locked(self.directory.folder))
                self.say(f"run folder: {self.directory.folder}")
            for note in notes:
                self.say(note)
            stack.enter_context(shared_folder(self.directory.folder, self.devices.count))
            context, teacher = None, None
            # Seed by seed: a run that is stopped early has whole comparisons.
            for seed in recipe.seeds:
                own = experiment.for_seed(seed)
                # One teacher serves all seeds, unless each has data of its own.
                if context is None or own is not experiment:
                    context = self.context(own)
                    teacher = self.teacher(own, context)
                for method in recipe.methods:
                    if self.finished(self.directory.student(method.name, seed)):
                        self.console.print(f"{method.name} seed {seed}: finished before")
                    else:
                        self.train_student(own, context, teacher, method, seed)
            if self.first_process:
                shutil.rmtree(self.directory.folder / FOLDER, ignore_errors=True)

    def say(self, line: str) -> None:
        """Print a line as it is: a path is neither markup nor wrapped."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def finished(self, folder: Path) -> bool:
        """Whether a network needs no more training; one whose files are damaged is told, and does.

        Its checkpoints, where they are whole, finish it at once.
        """
        if not is_finished(folder):
            return False
        damage = damage_of(folder)
        if damage is not None and self.first_process:
            self.say(f"{damage}; this network is finished again from its last checkpoint")
            (folder / "summary.json").unlink()
        return damage is None

    def context(self, experiment: Experiment) -> RunContext:
        """Return what the networks of an experiment share."""
        return RunContext(
            experiment.dataset,
            self.devices,
            self.file.recipe.precision,
            self.console,
            self.host.notify,
            experiment.cache_policy.cache(self.directory.folder),
            experiment.feature_space(),
        )

    def teacher(self, experiment: Experiment, context: RunContext) -> nn.Module | None:
        """Trained teacher, on the CPU; None where the recipe has none."""
        recipe = self.file.recipe.teacher
        if recipe is None:
            return None
        folder = self.directory.teacher_of(experiment.seed)
        teacher = experiment.teacher()
        identity = Identity("teacher", "teacher", experiment.teacher_seed, experiment.seed is None)
        if self.finished(folder):
            self.console.print(f"{identity.title}: finished before")
            load_weights(teacher, folder / "weights.safetensors")
        elif recipe.weights is not None:
            teacher.to(self.devices.torch_device)
            scores = Scores(context.dataset, batch_size=1)
            summary = {
                **describe(identity, teacher, context.dataset, scores),
                "validation": scores(teacher, "validation"),
            }
            write_network(folder, teacher, summary)
        else:
            assert recipe.training is not None
            distiller = experiment.task_distiller(teacher)
            NetworkTraining(identity, folder, distiller, recipe.training, context).run()
        if self.first_process:
            summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
            if warning := judgement(summary.get("training", {})):
                self.say(f"{identity.title}: its soft targets are {warning}")
            if context.feature_space is not None:
                context.feature_space.write_trained(folder, teacher)
        return teacher.cpu()

    def train_student(
        self,
        experiment: Experiment,
        context: RunContext,
        teacher: nn.Module | None,
        method: MethodRecipe,
        seed: int,
    ) -> None:
        """Train the student of one method and seed."""
        device = self.devices.torch_device
        student = experiment.student(seed, method).to(device)
        peers = experiment.peers(seed, method)
        distiller = experiment.distiller(method, student, teacher, peers, context.cache)
        distiller.to(device)
        experiment.prepare(distiller, seed, device)
        if distiller.teachers:
            batches = experiment.batches(device)
            if line := experiment.cache_policy.fill(distiller, batches, device.type):
                self.say(line)
        identity = Identity("student", method.name, seed)
        folder = self.directory.student(method.name, seed)
        try:
            NetworkTraining(identity, folder, distiller, self.file.recipe.training, context).run()
        except GkdError as error:
            error.add_note(f"while training {identity.title}")
            raise


@contextmanager
def shared_folder(folder: Path, processes: int) -> Iterator[None]:
    """Let the processes of further devices, which repeat the command, find the run's folder."""
    if processes > 1:
        os.environ[_FOLDER] = str(folder.resolve())
    try:
        yield
    finally:
        os.environ.pop(_FOLDER, None)
        if distributed.is_available() and distributed.is_initialized():
            # Or the interpreter may not come to its end; a group that a circle of objects holds
            # would outlive it, and end the process by SIGABRT.
            gc.collect()
            distributed.destroy_process_group()


def open_run(
    file: RecipeFile,
    host: Host,
    devices: Devices,
    console: Console,
    *,
    out: Path | None = None,
    resume: bool = False,
) -> Run:
    """Run with its folder: a new one, or, to resume, ``out`` or the newest of this recipe.

    Nothing is written before the run trains.

    Raises:
        RecipeError: a new run's folder is in use, or there is nothing of this recipe to resume.
    """
    file = file.with_absolute_paths(host)
    if _FOLDER in os.environ:
        directory = RunDirectory(Path(os.environ[_FOLDER]))
        quiet = Console(quiet=True)
        return Run(file, host, directory, devices, quiet, resume, first_process=False)
    if resume:
        directory = RunDirectory(out or newest_folder(file.name))
        directory.check_recipe(file.recipe)
    else:
        folders = iter((out,)) if out else new_folders(file.name)
        directory = RunDirectory(next(folders), folders)
        directory.check_new()
    return Run(file, host, directory, devices, console, resume)
