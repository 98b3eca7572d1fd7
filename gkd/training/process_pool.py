"""Workers that are processes of this machine, one for each device of a network."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from threading import Thread

import torch
from lightning.fabric.plugins.environments.lightning import find_free_network_port

from gkd.training.devices import Devices
from gkd.training.executor import Answer, Pool, Trainee, Worker, hear
from gkd.training.failures import end_in_words
from gkd.training.networks import Job, Networks

# How long to look for the end of a process when another has said that it failed: where one of
# several is killed, the others may know first.
GRACE = 2.0


class ProcessPool(Pool):
    """Processes of this machine."""

    @staticmethod
    def usual_threads(processes: int) -> int:
        """Share those of this process."""
        return max(1, torch.get_num_threads() // processes)

    def start(self, assignment: bytes, slot: int, networks: Networks) -> Worker:
        """Start the processes of one network."""
        return Processes(assignment, networks.devices, self.threads, slot, partial(hear, networks))


@dataclass
class Member:
    """One of the processes that train a network together."""

    process: BaseProcess
    connection: Connection
    answer: Answer | None = None


class Processes(Worker):
    """Processes that train one network together, each on a device.

    They are started anew (``spawn``), as threads of torch do not survive a fork, and end with
    this one, however it ends.

    Args:
        assignment: what they train, pickled.
        devices: one for each process.
        threads: of torch in each process.
        slot: which of several such workers this is.
        say: is told what they print.
    """

    def __init__(
        self,
        assignment: bytes,
        devices: Devices,
        threads: int,
        slot: int,
        say: Callable[[object], None],
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self.say = say
        self.failed_at: float | None = None
        self.members: list[Member] = []
        port = find_free_network_port()
        try:
            for rank in range(devices.count):
                ours, theirs = context.Pipe()
                process = context.Process(target=serve, args=(theirs,))
                self.members.append(Member(process, ours))
                with _environment(_variables(devices, threads, slot, rank, port)):
                    process.start()
                theirs.close()
                self._send(ours, (rank, assignment))
        except BaseException:
            self.stop()
            raise

    def begin(self, job: Job) -> None:
        """Let them train a network."""
        for member in self.members:
            member.answer = None
            self._send(member.connection, job)

    def answer(self) -> Answer | None:
        """Return what has become of the network; None while it is trained."""
        for member in self.members:
            self._listen(member)
        for number, member in enumerate(self.members):
            if not member.process.is_alive():
                self._listen(member)
                if member.answer is None or member.answer.error is None:
                    how = end_in_words(member.process.exitcode)
                    name = "its process" if len(self.members) == 1 else f"its process {number}"
                    return Answer(
                        f"{name} (pid {member.process.pid}) {how}", died=True, known=False
                    )
        answers = [member.answer for member in self.members]
        failed = [answer for answer in answers if answer is not None and answer.error is not None]
        if failed:
            if self.failed_at is None:
                self.failed_at = time.monotonic()
            if len(self.members) == 1 or time.monotonic() - self.failed_at > GRACE:
                # What is explained is a cause; that another was not there is an effect.
                return max(failed, key=lambda answer: (answer.died, answer.known))
            return None
        return Answer() if None not in answers else None

    def stop(self) -> None:
        """Kill them, and the processes that they started."""
        for member in self.members:
            process = member.process
            if process.pid is None:
                continue
            process.kill()
            if hasattr(os, "killpg"):
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.join()
            member.connection.close()

    def _listen(self, member: Member) -> None:
        with suppress(EOFError, OSError):  # it has ended, which is noticed elsewhere
            while member.connection.poll():
                message = member.connection.recv()
                if isinstance(message, Answer):
                    member.answer = message
                else:
                    self.say(message)

    @staticmethod
    def _send(connection: Connection, message: object) -> None:
        with suppress(OSError):  # it has ended, which is noticed elsewhere
            connection.send(message)


def _variables(devices: Devices, threads: int, slot: int, rank: int, port: int) -> dict[str, str]:
    """Return the environment of a process, as torch and Lightning read it."""
    variables = {"OMP_NUM_THREADS": str(threads)}
    if devices.kind == "cuda":
        total = torch.cuda.device_count()
        named = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(total)))
        names = named.split(",")
        own = [names[(slot * devices.count + number) % total] for number in range(devices.count)]
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(own)
    if devices.count > 1:
        variables |= {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "NODE_RANK": "0",
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(devices.count),
            "TORCHELASTIC_RUN_ID": "",
            # Of every network, each process would warn that some gradients may be missing.
            "TORCH_CPP_LOG_LEVEL": os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR"),
        }
    return variables


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Let a process that is started meanwhile have ``variables``, before it imports torch."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def serve(connection: Connection) -> None:
    """Train networks as the process at the other end says, until it is gone."""
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C is the other's to heed; and what is started here is killed with it
    Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError):
        rank, assignment = connection.recv()
        trainee = Trainee(assignment, connection.send, first_process=rank == 0)
        while True:
            connection.send(trainee.train(connection.recv()))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    if hasattr(os, "killpg"):
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)
