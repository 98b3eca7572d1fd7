"""Workers that are actors of a ray cluster, on as many machines as it has."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from gkd.errors import ParameterError
from gkd.files import remove_partial_files
from gkd.training.executor import Answer, Failures, Pool, Trainee, Worker, hear
from gkd.training.networks import Job, Networks


class RayPool(Pool):
    """Actors of the cluster that ``RAY_ADDRESS`` names or this machine belongs to.

    Without a cluster, one is started on this machine, and ends with the run. The run's folder and
    the data must be under the same paths on all machines.
    """

    most = sys.maxsize

    @staticmethod
    def usual_threads(processes: int) -> int:
        """One: nothing is known of the cluster yet."""
        return 1

    def train(self, networks: Networks, jobs: Sequence[Job]) -> Failures:
        """Train ``jobs``, as many at once as there are workers and room for them."""
        if networks.devices.count > 1:
            raise ParameterError("--executor ray: each network has one device; leave --devices out")
        ray = _imported_ray()
        found = ray.is_initialized()
        if not found:
            _connect(ray)
        try:
            self.size = min(self.size, room_of(ray, networks.devices.kind, self.threads))
            return super().train(networks, jobs)
        finally:
            if not found:
                ray.shutdown()
            remove_partial_files(networks.directory.folder)  # of actors that took a while to end

    def start(self, assignment: bytes, slot: int, networks: Networks) -> Worker:
        """Start an actor."""
        resources = _resources(networks.devices.kind, self.threads)
        return Actor(assignment, resources, partial(hear, networks))


def room_of(ray: Any, device: str, threads: int) -> int:
    """Return how many workers the machines of a cluster have room for.

    Args:
        ray: connected.
        device: kind of device of each worker.
        threads: of each worker.

    Raises:
        ParameterError: there is none.
    """
    needed = _resources(device, threads)
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = sum(
        min(int(has.get(name, 0) // number) for name, number in needed.items()) for has in machines
    )
    if not room:
        what = " and ".join(f"{number} {name}" for name, number in needed.items())
        raise ParameterError(
            f"--executor ray: no machine of the cluster has {what}; each worker takes so much "
            "(--threads, --device)"
        )
    return room


class Actor(Worker):
    """One actor.

    Args:
        assignment: what it trains, pickled.
        resources: what it takes of a machine.
        say: is told what it prints.
    """

    def __init__(
        self, assignment: bytes, resources: Mapping[str, int], say: Callable[[object], None]
    ) -> None:
        ray = _imported_ray()
        from ray.util.queue import Queue

        self.ray = ray
        self.say = say
        self.lines = Queue(actor_options={"num_cpus": 0})
        kept = {name: value for name, value in os.environ.items() if name.startswith("GKD_")}
        remote = ray.remote(Remote).options(
            num_cpus=resources["CPU"],
            num_gpus=resources.get("GPU", 0),
            max_restarts=0,
            runtime_env={"env_vars": kept | {"OMP_NUM_THREADS": str(resources["CPU"])}},
        )
        self.actor = remote.remote(assignment, self.lines)
        self.place = self.actor.place.remote()
        self.running: Any = self.place

    def begin(self, job: Job) -> None:
        """Let it train a network."""
        self.running = self.actor.train.remote(job)

    def answer(self) -> Answer | None:
        """Return what has become of the network; None while it is trained."""
        done, _ = self.ray.wait([self.running], timeout=0)
        if self.lines.size():
            for line in self.lines.get_nowait_batch(self.lines.size()):
                self.say(line)
        if not done:
            return None
        try:
            answer: Answer = self.ray.get(self.running)
        except self.ray.exceptions.RayError:
            return Answer(f"its process{self._place()} has ended", died=True, known=False)
        return answer

    def stop(self) -> None:
        """Kill it, and the one that keeps its lines."""
        with suppress(self.ray.exceptions.RayError):
            self.ray.kill(self.actor)
            # Until it is gone, the folder is not free for another run.
            self.ray.wait([self.actor.place.remote(), self.running], num_returns=2, timeout=10)
            self.lines.shutdown(force=True)

    def _place(self) -> str:
        with suppress(self.ray.exceptions.RayError):
            pid, host = self.ray.get(self.place, timeout=1)
            return f" (pid {pid} on {host})"
        return ""


class Remote:
    """What an actor does."""

    def __init__(self, assignment: bytes, lines: Any) -> None:
        self.trainee = Trainee(assignment, lines.put)

    def place(self) -> tuple[int, str]:
        """Return where it is."""
        return os.getpid(), socket.gethostname()

    def train(self, job: Job) -> Answer:
        """Train a network."""
        return self.trainee.train(job)


def _resources(device: str, threads: int) -> dict[str, int]:
    return {"CPU": threads} | ({"GPU": 1} if device == "cuda" else {})


def _imported_ray() -> Any:
    # What ray would otherwise send to its makers, and warn of.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise ParameterError(
            "--executor ray needs the package ray: pip install 'gkd[ray]'"
        ) from error
    return ray


def _connect(ray: Any) -> None:
    """Connect to the cluster; SIGTERM stays ours, which ray would turn into an exit."""
    handler = signal.getsignal(signal.SIGTERM)
    ray.init(log_to_driver=False, logging_level="error", include_dashboard=False)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)
