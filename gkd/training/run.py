"""Running a recipe from the first check to the report."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from torch import distributed, nn

from gkd.errors import GkdError
from gkd.hosting.host import Host
from gkd.recipe.file import RecipeFile
from gkd.recipe.model import MethodRecipe
from gkd.training.device import Placement
from gkd.training.dry_run import dry_run
from gkd.training.environment import environment
from gkd.training.experiment import Experiment, load_weights
from gkd.training.kept_teacher import FOLDER
from gkd.training.network import (
    Identity,
    NetworkTraining,
    Workplace,
    described,
    is_finished,
    write_network,
)
from gkd.training.run_directory import RunDirectory, new_folder, newest_folder
from gkd.training.scores import Scores

_FOLDER = "GKD_RUN_FOLDER"


@dataclass(frozen=True)
class Run:
    """One recipe in one folder.

    Args:
        file: the recipe.
        host: where components come from.
        directory: the run's folder.
        placement: device and number of devices.
        console: for progress.
        resumed: whether the folder is there already.
        first_process: whether this process writes the folder and tells the user what happens.
    """

    file: RecipeFile
    host: Host
    directory: RunDirectory
    placement: Placement
    console: Console
    resumed: bool = False
    first_process: bool = True

    def train(self) -> None:
        """Check everything, then train every network that is not finished.

        Raises:
            GkdError: a mistake in the recipe or the data, found before anything is trained.
            KeyboardInterrupt: the user interrupted; training again goes on.
        """
        with self.host.activated(), self._shared():
            experiment = Experiment(self.file, self.host)
            dry_run(experiment, self.placement)
            if self.first_process:
                self._open_folder()
            workplace = Workplace(
                experiment.dataset,
                self.placement,
                self.file.recipe.precision,
                self.console,
                self.host.notify,
                experiment.kept_teacher.cache(self.directory.folder),
                experiment.feature_space(),
            )
            teacher = self._teacher(experiment, workplace)
            for seed, method in self._students():
                folder = self.directory.student(method.name, seed)
                if is_finished(folder):
                    self.console.print(f"{method.name} seed {seed}: finished before")
                    continue
                self._student(experiment, workplace, teacher, method, seed)
            if self.first_process:
                shutil.rmtree(self.directory.folder / FOLDER, ignore_errors=True)

    @contextmanager
    def _shared(self) -> Iterator[None]:
        """Let the processes of further devices, which repeat the command, find the folder."""
        if self.placement.devices > 1:
            os.environ[_FOLDER] = str(self.directory.folder.resolve())
        try:
            yield
        finally:
            os.environ.pop(_FOLDER, None)
            if distributed.is_available() and distributed.is_initialized():
                distributed.destroy_process_group()  # or the interpreter may not come to its end

    def _students(self) -> Iterator[tuple[int, MethodRecipe]]:
        recipe = self.file.recipe
        return ((seed, method) for seed in recipe.seeds for method in recipe.methods)

    def _open_folder(self) -> None:
        """Begin the folder, or note in it that the run goes on."""
        now = environment(self.host, self.placement, self.file.recipe.seeds)
        if self.resumed:
            self.directory.resume(now)
        else:
            self.directory.start(self.file.recipe, now)
        self.say(f"run folder: {self.directory.folder}")

    def say(self, line: str) -> None:
        """Print a line as it is: a path is neither markup nor wrapped."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _teacher(self, experiment: Experiment, workplace: Workplace) -> nn.Module | None:
        recipe = self.file.recipe.teacher
        if recipe is None:
            return None
        folder = self.directory.teacher
        teacher = experiment.teacher()
        identity = Identity("teacher", "teacher", recipe.seed)
        if is_finished(folder):
            self.console.print("teacher: finished before")
            load_weights(teacher, folder / "weights.safetensors")
        elif recipe.weights is not None:
            self._describe_given(identity, folder, teacher, workplace)
        else:
            assert recipe.training is not None
            distiller = experiment.alone(teacher)
            NetworkTraining(identity, folder, distiller, recipe.training, workplace).run()
        if workplace.feature_space is not None and self.first_process:
            workplace.feature_space.write_trained(folder, teacher)
        return teacher.cpu()

    def _describe_given(
        self, identity: Identity, folder: Path, teacher: nn.Module, workplace: Workplace
    ) -> None:
        """Write the summary of a teacher that came trained."""
        dataset = workplace.dataset
        teacher.to(self.placement.torch_device)
        scores = Scores(dataset, batch_size=1)
        summary = {
            **described(identity, teacher, dataset, scores),
            "validation": scores(teacher, dataset.validation),
        }
        write_network(folder, teacher, summary)

    def _student(
        self,
        experiment: Experiment,
        workplace: Workplace,
        teacher: nn.Module | None,
        method: MethodRecipe,
        seed: int,
    ) -> None:
        recipe = self.file.recipe
        device = self.placement.torch_device
        student = experiment.student(seed, method).to(device)
        distiller = experiment.distiller(method, student, teacher, workplace.cache)
        distiller.to(device)
        experiment.prepare(distiller, seed, device)
        if distiller.teachers:
            batches = experiment.batches(device)
            if line := experiment.kept_teacher.fill(distiller, batches, device.type):
                self.say(line)
        identity = Identity("student", method.name, seed)
        folder = self.directory.student(method.name, seed)
        try:
            NetworkTraining(identity, folder, distiller, recipe.training, workplace).run()
        except GkdError as error:
            error.add_note(f"while training {identity.title}")
            raise


def opened_run(
    file: RecipeFile,
    host: Host,
    placement: Placement,
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
    if _FOLDER in os.environ:
        directory = RunDirectory(Path(os.environ[_FOLDER]))
        quiet = Console(quiet=True)
        return Run(file, host, directory, placement, quiet, resume, first_process=False)
    if resume:
        directory = RunDirectory(out or newest_folder(file.name))
        directory.check_recipe(file.recipe)
    else:
        directory = RunDirectory(out or new_folder(file.name))
        directory.check_new()
    return Run(file, host, directory, placement, console, resume)
