"""Several networks at once: by workers of their own, equal to those trained one after another."""

import os
import re
import signal
import sys
import warnings
from io import StringIO
from pathlib import Path

import pytest
from long_tests import LONG
from rich.console import Console
from test_training_resume import assert_equal, everything
from tiny_plugin import Blobs, Mapped, TinyPlugin
from torch.utils.data import get_worker_info

from gkd import ParameterError, hookimpl
from gkd.files import read_sealed_json
from gkd.report.results import run_results
from gkd.training.devices import Devices
from gkd.training.executor import Answer, Pool, Serial, Worker
from gkd.training.executors import executor_for
from gkd.training.failures import FailedNetworks, ProcessDied, end_in_words
from gkd.training.process_pool import ProcessPool
from gkd.training.ray_pool import room_of
from gkd.training.termination import Terminated


class Brittle(Mapped):
    """Fails after the first batch, which the dry run sees."""

    calls = 0

    def forward(self, student, teacher):
        type(self).calls += 1
        if type(self).calls > 3:
            raise ParameterError("brittle: broken")
        return super().forward(student, teacher)


class Mortal(Blobs):
    """Samples of which one kills the process that prepares it for another, where a file says so."""

    def __init__(self, fatal: str, **sizes) -> None:
        super().__init__(**sizes)
        self.fatal = Path(fatal)

    def sample(self, split, index, epoch=0):
        if index == 3 and get_worker_info() is not None and self.fatal.exists():
            self.fatal.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().sample(split, index, epoch)


class Unlucky(TinyPlugin):
    """Kills its process, in which a student is trained, as often as there are files to remove."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    @hookimpl
    def gkd_losses(self):
        return {"mapped": Mapped, "brittle": Brittle}

    @hookimpl
    def gkd_datasets(self):
        return {"blobs": Blobs, "mortal": Mortal}

    @hookimpl
    def gkd_step(self, event):
        super().gkd_step(event)
        if event.epoch == 4 and (self.folder / "warns").exists():
            warnings.warn("the last epoch", RuntimeWarning, stacklevel=1)
        if event.epoch == 3:
            for file in self.folder.glob(f"kill-{os.environ.get('LOCAL_RANK', '*')}"):
                file.unlink(missing_ok=True)
                os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def plugin(tmp_path) -> Unlucky:
    return Unlucky(tmp_path)


def test_networks_trained_at_once_equal_those_trained_in_turn(
    opened, train_once, plugin, recipe_path, tmp_path
):
    whole = train_once("seeds=[4]")
    recipe_path.write_text(
        recipe_path.read_text()
        + '[[methods]]\nname = "fails"\nterms = [{ loss = "brittle", weight = 1.0, '
        'student = "hidden", teacher = "hidden" }]\n'
    )
    (tmp_path / "kill-1").touch()
    (tmp_path / "warns").touch()
    heard = Console(file=StringIO(), width=300)
    run = opened("seeds=[4]", console=heard, executor=ProcessPool(2, threads=1))
    with (
        pytest.warns(RuntimeWarning, match="the last epoch"),
        pytest.raises(FailedNetworks, match="1 of 4 networks are not trained") as caught,
    ):
        run.train()
    assert "fails seed 4: term 'brittle': brittle: broken" in str(caught.value)
    said = heard.file.getvalue()
    assert "was killed by SIGKILL, as by a system that is out of memory; it is tried" in said
    assert said.count("epoch 5/5") == 2
    assert plugin.events == []  # nothing was trained here
    assert_equal(everything(whole), everything(run))
    assert not list(run.directory.folder.rglob("*partial*"))


@LONG
@pytest.mark.parametrize("rank", [0, 1])
def test_of_processes_that_train_together_the_one_that_was_killed_is_named(
    opened, tmp_path, rank
) -> None:
    (tmp_path / f"kill-{rank}").touch()
    with pytest.raises(ProcessDied) as caught:
        opened("seeds=[0]", devices=Devices("cpu", 2)).train()
    words = rf"baseline seed 0: its process {rank} \(pid \d+\) was killed by SIGKILL, as by"
    assert re.match(words, str(caught.value))
    resumed = opened("seeds=[0]", resume=True)
    resumed.train()
    found = run_results(resumed.directory.folder)
    assert not found.missing
    assert found.protocol["device"] == "2 × cpu, then 1 × cpu, precision 32-true"


def test_a_killed_process_that_prepares_batches_is_named(opened, tmp_path) -> None:
    fatal = tmp_path / "fatal"
    fatal.touch()
    settings = ("seeds=[0]", "dataset.name=mortal", f"dataset.fatal={fatal}")
    settings += ("training.workers=1", "training.epochs=1")
    with pytest.raises(
        ProcessDied, match=r"baseline seed 0: a process that prepares .* was killed"
    ):
        opened(*settings).train()
    opened(*settings, resume=True).train()


class Scripted(Worker):
    """Answers at once what the test has written down for a method."""

    def __init__(self, answers: dict[str | None, list[Answer]], log: list[object]) -> None:
        self.answers = answers
        self.log = log

    def begin(self, job):
        self.job = job
        self.log.append(job.method)

    def answer(self):
        return self.answers.get(self.job.method, [Answer()]).pop(0)

    def stop(self):
        self.log.append("stopped")


class ScriptedPool(Pool):
    """Workers that do what the test says."""

    def __init__(self, answers, size=1, tries=3) -> None:
        super().__init__(size, 7, tries)
        self.answers = answers
        self.log: list[object] = []

    @staticmethod
    def usual_threads(processes):
        return 1

    def start(self, assignment, slot, networks):
        self.log.append("started")
        return Scripted(self.answers, self.log)


DIED = Answer("its process (pid 3) was killed by SIGKILL", died=True, known=False)


def test_what_dies_is_tried_again_so_often(opened):
    pool = ScriptedPool({"baseline": [DIED, DIED, DIED]})
    run = opened("seeds=[0]", executor=pool)
    with pytest.raises(FailedNetworks) as caught:
        run.train()
    noted = read_sealed_json(run.directory.folder / "environment.json")
    assert noted["hardware"]["threads"] == 7
    assert (
        "1 of 3 networks are not trained:\n"
        "  baseline seed 0: its process (pid 3) was killed by SIGKILL, in each of 3 tries"
    ) in str(caught.value)
    again = ["started", "baseline", "stopped"]
    assert pool.log == [
        "started",
        None,
        "baseline",
        "stopped",
        *again,
        *again,
        "started",
        "mapped",
        "stopped",
    ]


def test_a_single_try_ends_the_run(opened):
    pool = ScriptedPool({"baseline": [DIED]}, tries=1)
    with pytest.raises(ProcessDied, match=r"baseline seed 0: its process \(pid 3\) was killed"):
        opened("seeds=[0]", executor=pool).train()
    assert "mapped" not in pool.log


def test_without_their_teacher_networks_are_not_begun(opened):
    pool = ScriptedPool({None: [Answer("no room")]})
    with pytest.raises(FailedNetworks) as caught:
        opened(executor=pool).train()
    assert str(caught.value).splitlines() == [
        "3 of 5 networks are not trained:",
        "  teacher: no room",
        "  mapped seed 0: its teacher is not trained (teacher)",
        "  mapped seed 1: its teacher is not trained (teacher)",
    ]


def test_students_wait_for_their_teacher_alone(opened, monkeypatch):
    # Workers that say they are done leave no networks to be timed.
    monkeypatch.setattr("gkd.training.recipe_run.measure_latency", lambda networks: None)

    class Busy(Scripted):
        def answer(self):
            return None if self.job.method is None and len(self.log) < 3 else Answer()

    class BusyPool(ScriptedPool):
        def start(self, assignment, slot, networks):
            return Busy(self.answers, self.log)

    pool = BusyPool({}, size=2)
    opened(executor=pool).train()
    assert pool.log[:3] == [None, "baseline", "baseline"]


def test_an_interrupt_stops_all_workers(opened):
    class Interrupted(Scripted):
        def answer(self):
            if "baseline" in self.log:
                raise Terminated
            return None

    class InterruptedPool(ScriptedPool):
        def start(self, assignment, slot, networks):
            return Interrupted(self.answers, self.log)

    pool = InterruptedPool({}, size=2)
    run = opened("seeds=[0]", executor=pool)
    with pytest.raises(Terminated):
        run.train()
    assert pool.log == [None, "baseline", "stopped", "stopped"]
    opened("seeds=[0]", resume=True).train()


def test_executors_have_names_and_share_the_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("torch.get_num_threads", lambda: 8)
    one, two = Devices("cpu"), Devices("cpu", 2)
    assert isinstance(executor_for(one), Serial)
    found = executor_for(one, jobs=3)
    assert isinstance(found, ProcessPool)
    assert (found.size, found.threads, found.tries) == (3, 2, 3)
    together = executor_for(two)
    assert isinstance(together, ProcessPool)
    assert (together.size, together.threads, together.tries) == (1, 4, 1)
    assert executor_for(one, 3, "process", threads=5).threads == 5
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert executor_for(one, jobs=3).threads == 8
    with pytest.raises(ParameterError, match=r"no executor 'proces'; did you mean 'process'"):
        executor_for(one, 1, "proces")


@pytest.mark.parametrize(
    ("code", "words"),
    [(-9, "killed by SIGKILL, as by"), (-63, "killed by signal 63"), (1, "exit status 1")],
)
def test_ends_of_processes_in_words(code, words):
    assert words in end_in_words(code)


@LONG
@pytest.mark.parametrize("kills", [0, 1])
def test_a_cluster_of_two_workers_trains_as_one_process(
    opened, train_once, plugin, tmp_path, monkeypatch, kills
):
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    whole = train_once("seeds=[4]")
    if kills:
        (tmp_path / "kill-1").touch()
    heard = Console(file=StringIO(), width=300)
    run = opened("seeds=[4]", console=heard, executor=executor_for(Devices("cpu"), 2, "ray"))
    run.train()
    said = heard.file.getvalue()
    told = r"seed 4: its process \(pid \d+ on .+\) has ended; it is tried again"
    assert len(re.findall(told, said)) == kills
    assert said.count("epoch 5/5") == 2
    assert plugin.events == []
    assert_equal(everything(whole), everything(run))


def test_what_a_cluster_has_no_room_for_is_said(monkeypatch):
    ray = pytest.importorskip("ray")
    small = {"Alive": True, "Resources": {"CPU": 5.0, "GPU": 1.0}}
    monkeypatch.setattr(ray, "nodes", lambda: [small, small | {"Alive": False}, small])
    assert room_of(ray, "cpu", threads=2) == 4
    assert room_of(ray, "cuda", threads=2) == 2
    with pytest.raises(ParameterError, match="no machine of the cluster has 6 CPU and 1 GPU"):
        room_of(ray, "cuda", threads=6)


def test_networks_of_several_devices_are_not_for_clusters(opened):
    executor = executor_for(Devices("cpu", 2), 2, "ray")
    with pytest.raises(ParameterError, match="each network has one device"):
        opened(devices=Devices("cpu", 2), executor=executor).train()
