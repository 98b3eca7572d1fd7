"""A disk that fills up while a run writes to it: one sentence, then the run goes on."""

import math
import resource
import subprocess
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from random import Random

from trials import Outcome, arguments, finish, results, resumed


def full_disks(amount: int, chance: Random, folder: Path) -> Outcome:
    """Let ``amount`` runs meet a limit: of the size of a file, and of a small disk of their own."""
    outcome = Outcome()
    whole = folder / "whole"
    if finish(arguments(whole), folder / "whole-log") != 0:
        raise RuntimeError((folder / "whole-log").read_text(encoding="utf-8"))
    expected = results(whole)
    sizes = [path.stat().st_size for path in whole.rglob("*") if path.is_file()]
    while outcome.tried < amount:
        run, log = folder / f"run-{outcome.tried}", folder / f"log-{outcome.tried}"
        if outcome.tried % 2:
            bound = int(math.exp(chance.uniform(math.log(500), math.log(max(sizes)))))
            outcome.count("file_limits")
            _try(run, log, expected, outcome, preexec_fn=_file_limit(bound))
        else:
            bound = chance.randrange(16, max(17, sum(sizes) // 1024))
            with _small_disk(folder / f"disk-{outcome.tried}", bound) as mounted:
                if mounted is None:
                    outcome.figures["disks"] = "cannot be mounted here"
                    _try(run, log, expected, outcome, preexec_fn=_file_limit(bound * 64))
                else:
                    outcome.count("disks")
                    _try(mounted / "run", log, expected, outcome, grow=mounted)
        outcome.tried += 1
    return outcome


def _try(
    run: Path,
    log: Path,
    expected: object,
    outcome: Outcome,
    grow: Path | None = None,
    preexec_fn: Callable[[], None] | None = None,
) -> None:
    status = finish(arguments(run), log, preexec_fn=preexec_fn)
    text = log.read_text(encoding="utf-8", errors="replace")
    if status not in (0, 2) or "Traceback" in text:
        outcome.broken.append(f"{run}: exit {status}: {text[-400:]!r}")
    outcome.count("met", status == 2)
    if grow is not None:
        subprocess.run(["mount", "-o", "remount,size=64m", str(grow)], check=True)
    if finish(resumed(run), log) != 0 or results(run) != expected:
        outcome.broken.append(f"{run}: cannot be gone on with: {log.read_text()[-400:]!r}")


def _file_limit(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@contextmanager
def _small_disk(place: Path, kibibytes: int):
    """A disk in memory; None where this process may not mount one."""
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(place)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
