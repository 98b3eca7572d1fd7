"""The checks by name: what each promises, and how often it is tried in ``make reliability``."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from begun_at_once import begun_at_once
from flipped_bits import flipped_bits
from full_disks import full_disks
from killed_runs import interrupted_runs, killed_runs
from loads import loads
from soaks import soaks
from suites import devices, executors, fuzz
from trials import Outcome


@dataclass(frozen=True)
class Check:
    """One promise, and what tries it.

    Args:
        promise: in words.
        run: called with an amount, a source of chance and an empty folder.
        amount: tries, or minutes, of the whole check.
    """

    promise: str
    run: Callable[[int, Random, Path], Outcome]
    amount: int


CHECKS = {
    "kills": Check("a run that is killed at any moment ends as one that was not", killed_runs, 100),
    "interrupts": Check("signals that end a run keep it, and say so", interrupted_runs, 30),
    "bit-flips": Check(
        "no damaged file of a run changes its result in silence", flipped_bits, 1000
    ),
    "starts": Check("runs that begin at once have folders of their own", begun_at_once, 100),
    "full-disk": Check("a full disk is one sentence, and loses nothing", full_disks, 20),
    "fuzz": Check("no damaged input ends in a traceback, a hang or another result", fuzz, 10_000),
    "devices": Check("two devices compute what one computes", devices, 1),
    "executors": Check("networks trained at once are those trained in turn", executors, 1),
    "load": Check("large and odd batches take bounded time and memory", loads, 1),
    "soak": Check("the memory of a long run with workers stays flat", soaks, 60),
}
