"""Many damaged files for every reader, in processes that may die of them."""

import contextlib
import multiprocessing
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from readers import READERS
from reading_law import SECONDS, Find, Trial, settle

# Wall-clock time on a machine that others use, too: of one input, and of what is loaded before.
_PATIENCE, _BEFORE = 6 * SECONDS, 60 * SECONDS


@dataclass
class Outcome:
    """What became of the inputs of one reader.

    Args:
        inputs: how many there were.
        read: how many were read; all others were refused.
        finds: what broke the law: each kind and place once, with the number and the input.
        times: how often each of them was seen.
    """

    inputs: int = 0
    read: int = 0
    finds: dict[tuple[str, str], tuple[Find, int, bytes]] = field(default_factory=dict)
    times: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, find: Find, index: int, content: bytes) -> None:
        """Note a find; of several alike the smallest input stays."""
        key = find.kind, find.place
        self.times[key] = self.times.get(key, 0) + 1
        if key not in self.finds or len(content) < len(self.finds[key][2]):
            self.finds[key] = find, index, content


def campaign(names: list[str], inputs: int, seed: int, jobs: int) -> Iterator[tuple[str, Outcome]]:
    """Yield the outcome of every reader, as they are done."""
    with ThreadPoolExecutor(jobs) as pool:
        waiting = {pool.submit(examine, name, inputs, seed): name for name in names}
        for future in as_completed(waiting):
            yield waiting[future], future.result()


def examine(name: str, inputs: int, seed: int) -> Outcome:
    """Let one reader read many damaged files, in a process that is begun again where it ends."""
    outcome, start = Outcome(inputs), 0
    while start < inputs:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=work, args=(name, seed, start, inputs, theirs), daemon=True
        )
        process.start()
        theirs.close()
        index, content, answer, patience = start, b"", None, _BEFORE
        with contextlib.suppress(EOFError, OSError):
            while True:
                if not ours.poll(patience):
                    answer = Find("slow", f"no answer for {patience} s")
                    break
                match ours.recv():
                    case "begin", index, content:
                        patience = _PATIENCE
                    case "read", _, _:
                        outcome.read += 1
                    case "find", find, content:
                        outcome.add(find, index, content)
                    case "end", _, _:
                        return outcome
                    case "broken", what, _:
                        outcome.add(Find("whole", f"what is whole is not read: {what}"), 0, b"")
                        return outcome
        process.kill()
        process.join()
        outcome.add(answer or Find("death", f"exit code {process.exitcode}"), index, content)
        start = index + 1
    return outcome


def work(name: str, seed: int, start: int, stop: int, parent: Connection) -> None:
    """Read in this process, and tell what happens."""
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(prefix="gkd-fuzz-"))
    _watch(parent)
    try:
        try:
            trial = Trial(READERS[name], folder)
        except Exception as error:
            parent.send(("broken", f"{type(error).__name__}: {error}", b""))
            return
        for index in range(start, stop):
            content = trial.content(seed, index)
            parent.send(("begin", index, content if len(content) < 2**20 else b""))
            find = trial.judge(content)
            if find is not None:
                parent.send(("find", find, content))
            elif trial.was_read:
                parent.send(("read", index, b""))
            if index % 200 == 0:
                settle()
        parent.send(("end", stop, b""))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _watch(parent: Connection) -> None:
    """End with the parent, which may be killed."""
    process = multiprocessing.parent_process()
    assert process is not None

    def wait() -> None:
        process.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
