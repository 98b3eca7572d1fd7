"""Where the networks of a run are trained: here, one after another, or by workers."""

import pickle
import time
import warnings
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, TextIO, cast

import torch
from rich.console import Console

from gkd.errors import GkdError, ParameterError
from gkd.hosting.host import Host
from gkd.recipe.file import RecipeFile
from gkd.training.devices import Devices
from gkd.training.failures import FailedNetworks, ProcessDied, explained
from gkd.training.networks import Job, Networks
from gkd.training.ranks import is_of_others, wait_for_all
from gkd.training.run_directory import RunDirectory
from gkd.training.run_plan import RunPlan, clock

SECONDS_BETWEEN_LOOKS = 0.05

Failures = dict[Job, Exception]
"""What kept networks from being trained."""


class Executor(ABC):
    """Trains networks of a run, each after its teacher."""

    def train_all(self, networks: Networks, jobs: Sequence[Job], total: int | None = None) -> None:
        """Train ``jobs``, and say at the end which were not trained.

        Args:
            networks: of the run.
            jobs: teachers first.
            total: how many networks there are, with those that needed no more training.

        Raises:
            FailedNetworks: some were not trained; the others were.
        """
        if failures := self.train(networks, jobs):
            reasons = {networks.identity(job).title: explained(e) for job, e in failures.items()}
            count = len(jobs) if total is None else total
            raise FailedNetworks(reasons, count) from next(iter(failures.values()))

    @property
    @abstractmethod
    def threads(self) -> int:
        """Threads of torch in each process, which the last bits of results depend on."""

    @abstractmethod
    def train(self, networks: Networks, jobs: Sequence[Job]) -> Failures:
        """Train ``jobs``, teachers first among them; one that fails does not keep the others.

        Raises:
            KeyboardInterrupt: the user interrupted; training again goes on.
            ProcessDied: nobody is left to train.
        """


def _untrained_teacher(networks: Networks, job: Job) -> GkdError:
    assert job.teacher is not None
    return GkdError(f"its teacher is not trained ({networks.identity(job.teacher).title})")


class Serial(Executor):
    """Trains one network after another in this process."""

    @property
    def threads(self) -> int:
        """Those of this process."""
        return torch.get_num_threads()

    def train(self, networks: Networks, jobs: Sequence[Job]) -> Failures:
        """Train ``jobs`` in order."""
        failures: Failures = {}
        for job in jobs:
            if job.teacher in failures:
                failures[job] = _untrained_teacher(networks, job)
                continue
            title = networks.identity(job).title
            try:
                networks.train(job)
            except ProcessDied as error:
                raise ProcessDied(f"{title}: {error}") from error
            except OSError:  # of the machine, not of the network
                raise
            except Exception as error:
                if is_of_others(error):
                    raise ProcessDied(
                        f"{title}: a process that trains with this one has ended"
                    ) from error
                failures[job] = error
                if networks.devices.count > 1:  # other processes wait for this one
                    return failures
            wait_for_all()
        return failures


@dataclass(frozen=True)
class Assignment:
    """What a worker needs to train any network of a run, wherever it is.

    Args:
        file: the recipe.
        host: where components come from.
        directory: the run's folder, by its absolute path.
        devices: what a network is computed on.
        threads: of torch in each process.
        kind: of networks.
        plan: of the run.
    """

    file: RecipeFile
    host: Host
    directory: RunDirectory
    devices: Devices
    threads: int
    kind: type[Networks] = Networks
    plan: RunPlan | None = None


@dataclass(frozen=True)
class Answer:
    """What has become of a job.

    Args:
        error: what kept it from being done, in words; None where it is.
        died: whether that was the end of a process, so that it may be tried again.
        known: whether gkd explains the error, and the worker is as it was.
    """

    error: str | None = None
    died: bool = False
    known: bool = True

    @classmethod
    def of(cls, error: Exception) -> "Answer":
        """Return the answer of a worker in which training raised."""
        died = isinstance(error, ProcessDied)
        return cls(explained(error), died, isinstance(error, GkdError) and not died)


class Trainee:
    """Trains networks in the process of a worker.

    Args:
        assignment: what it trains, as it was sent: whatever this process lacks is an answer, too.
        say: is told the lines of its progress, and warnings.
        first_process: whether it writes the folder, where several processes train together.
    """

    def __init__(
        self, assignment: bytes, say: Callable[[object], object], first_process: bool = True
    ) -> None:
        warnings.showwarning = partial(_pass_on, say if first_process else None)
        self.assignment = assignment
        self.console = Console(file=cast(TextIO, _Lines(say)), width=200, quiet=not first_process)
        self.first_process = first_process
        self.networks: Networks | None = None

    def train(self, job: Job) -> Answer:
        """Train a network."""
        try:
            networks = self.networks = self.networks or self._unpacked()
            with networks.host.activated():
                networks.train(job)
        except Exception as error:
            return Answer.of(error)
        return Answer()

    def _unpacked(self) -> Networks:
        assignment: Assignment = pickle.loads(self.assignment)
        assignment.directory.check_visible()
        torch.set_num_threads(assignment.threads)
        networks = assignment.kind(
            assignment.file,
            assignment.host,
            assignment.directory,
            assignment.devices,
            self.console,
            self.first_process,
        )
        networks.plan = assignment.plan
        return networks


@dataclass(frozen=True)
class Warned:
    """A warning of another process, as ``warnings.showwarning`` takes it."""

    message: str
    category: type[Warning]
    filename: str
    lineno: int


def _pass_on(
    say: Callable[[object], object] | None,
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if say is not None:
        # One of somebody's own may be unknown where it is shown.
        known = category if category.__module__ == "builtins" else UserWarning
        say(Warned(str(message), known, filename, lineno))


def hear(networks: Networks, message: object) -> None:
    """Show what a worker says: a line of its progress, or a warning."""
    if isinstance(message, Warned):
        warnings.showwarning(message.message, message.category, message.filename, message.lineno)
    else:
        networks.say(str(message))


class _Lines:
    """A file whose lines somebody is told."""

    def __init__(self, say: Callable[[object], object]) -> None:
        self.say = say
        self.begun = ""

    def write(self, text: str) -> int:
        *lines, self.begun = (self.begun + text).split("\n")
        for line in lines:
            self.say(line)
        return len(text)

    def flush(self) -> None:
        """Nothing: a line is told when it is whole."""


class Worker(ABC):
    """Trains one network at a time, somewhere else."""

    @abstractmethod
    def begin(self, job: Job) -> None:
        """Let it train a network."""

    @abstractmethod
    def answer(self) -> Answer | None:
        """Return what has become of the network; None while it is trained."""

    @abstractmethod
    def stop(self) -> None:
        """End it, whatever it does."""


class Pool(Executor):
    """Several workers, each of which trains one network after another.

    Args:
        size: how many workers there are at most.
        threads: of torch in each of their processes.
        tries: how often a network is begun, or gone on with, whose worker has died; a run with a
            single try ends with the first death.
    """

    most: ClassVar[int] = 1
    """Workers that there are where nobody says how many."""

    def __init__(self, size: int, threads: int, tries: int = 3) -> None:
        self.size = size
        self.tries = tries
        self._threads = threads

    @property
    def threads(self) -> int:
        """Those of each worker's processes."""
        return self._threads

    @staticmethod
    @abstractmethod
    def usual_threads(processes: int) -> int:
        """Return how many threads each of so many processes has where nobody says it."""

    @abstractmethod
    def start(self, assignment: bytes, slot: int, networks: Networks) -> Worker:
        """Start a worker.

        Args:
            assignment: what it trains, pickled.
            slot: its number, below the pool's size.
            networks: those of this process, which tell the user what happens.
        """

    def train(self, networks: Networks, jobs: Sequence[Job]) -> Failures:
        """Train ``jobs``, as many at once as there are workers."""
        assignment = self._assignment(networks)
        queue = _Queue(networks, jobs, self.tries)
        workers: dict[int, Worker] = {}
        together = networks.devices.count > 1
        try:
            while queue.waiting or queue.running:
                for slot in range(min(self.size, len(jobs))):
                    if slot in queue.running:
                        continue
                    if (job := queue.next(slot)) is not None:
                        if slot not in workers:
                            workers[slot] = self.start(assignment, slot, networks)
                        workers[slot].begin(job)
                    elif slot in workers and not queue.waiting:
                        workers.pop(slot).stop()  # and leave the others what it had
                for slot in list(queue.running):
                    answer = workers[slot].answer()
                    if answer is not None:
                        # Who knows what else is wrong, or who waits for what did not happen.
                        if answer.error is not None and (together or not answer.known):
                            workers.pop(slot).stop()
                        queue.take(slot, answer)
                time.sleep(SECONDS_BETWEEN_LOOKS)
        finally:
            for worker in workers.values():
                worker.stop()
            networks.directory.remove_partial_files()  # of those that were stopped
        return queue.failures

    def _assignment(self, networks: Networks) -> bytes:
        assignment = Assignment(
            networks.file,
            networks.host,
            networks.directory.resolved(),
            networks.devices,
            self.threads,
            type(networks),
            networks.plan,
        )
        try:
            return pickle.dumps(assignment)
        except Exception as error:
            raise ParameterError(
                f"the run cannot be handed to other processes: {error}; register plugins by hand "
                "that can be pickled, or train one network after another on one device"
            ) from error


class _Queue:
    """Which networks wait, which are trained in which slot, and which failed."""

    def __init__(self, networks: Networks, jobs: Sequence[Job], tries: int) -> None:
        self.networks = networks
        self.waiting = list(jobs)
        self.running: dict[int, Job] = {}
        self.failures: Failures = {}
        self.tries = tries
        self.deaths: Counter[Job] = Counter()
        self.begun, self.trained = time.monotonic(), 0

    def next(self, slot: int) -> Job | None:
        """Return the next network, which now runs in a slot; None where all wait for teachers."""
        for job in list(self.waiting):
            if job.teacher in self.failures:
                self.waiting.remove(job)
                self.failures[job] = _untrained_teacher(self.networks, job)
            elif job.teacher not in {*self.waiting, *self.running.values()}:
                self.waiting.remove(job)
                self.running[slot] = job
                return job
        return None

    def _tell(self, job: Job) -> None:
        """Say how far the run is, where others train its networks."""
        plan = self.networks.plan
        if plan is None:
            return
        self.trained += plan.epochs(job)
        left = [*self.waiting, *self.running.values()]
        if left:
            rate = (time.monotonic() - self.begun) / max(1, self.trained)
            rest = clock(rate * sum(map(plan.epochs, left)))
            count = len(plan.networks)
            self.networks.say(
                f"{self.networks.identity(job).title} is trained: {count - len(left)} of {count} "
                f"networks, run ~{rest}"
            )

    def take(self, slot: int, answer: Answer) -> None:
        """Note what has become of the network in a slot."""
        job = self.running.pop(slot)
        if answer.error is None:
            self._tell(job)
            return
        title = self.networks.identity(job).title
        self.deaths[job] += answer.died
        if not answer.died:
            self.failures[job] = GkdError(answer.error)
        elif self.tries == 1:
            raise ProcessDied(f"{title}: {answer.error}")
        elif self.deaths[job] < self.tries:
            self.networks.say(f"{title}: {answer.error}; it is tried again")
            self.waiting.insert(0, job)
        else:
            self.failures[job] = ProcessDied(f"{answer.error}, in each of {self.tries} tries")
