"""A long run on generated shapes with workers, whose memory is sampled all the time."""

import signal
import statistics
import subprocess
import time
from pathlib import Path
from random import Random

from trials import Outcome, begin

_SECONDS = 2.0  # between two samples
_PATIENCE = 600.0  # seconds for the end of a run on a busy machine
_ALLOWED_MEBIBYTES = 16.0  # beside 3 %: what a heap grows by before it is reused


def soaks(amount: int, chance: Random, folder: Path) -> Outcome:
    """Train for ``amount`` minutes; memory after the first fifth is to stay where it is."""
    settings = (
        "training.workers=2",
        "feature_space.sample='test/helix/0'",
        "teacher.training.epochs=2",
        "training.epochs=1000000",
        "training.validate_every=5",
        "dataset.train_per_class=20",
        "dataset.validation_per_class=5",
        "dataset.test_per_class=5",
    )
    words = ["run", "demo", "--out", str(folder / "run"), "--seed", str(chance.randrange(1000))]
    words += [word for setting in settings for word in ("--set", setting)]
    log = folder / "log"
    process = begin(words, log)
    samples: list[float] = []
    began = time.monotonic()
    while time.monotonic() - began < 60 * amount and process.poll() is None:
        time.sleep(_SECONDS)
        samples.append(_mebibytes(process.pid))
    outcome = Outcome(len(samples))
    if process.poll() is not None:
        outcome.broken.append(f"ended with {process.returncode}: {log.read_text()[-400:]!r}")
        return outcome
    process.send_signal(signal.SIGTERM)
    try:
        if (status := process.wait(_PATIENCE)) != 143:
            outcome.broken.append(f"SIGTERM ends it with {status}")
    except subprocess.TimeoutExpired:
        process.kill()
        outcome.broken.append(f"SIGTERM has not ended it after {_PATIENCE:g} s")
    warm = samples[len(samples) // 5 :]
    third = max(1, len(warm) // 3)
    first, last = statistics.median(warm[:third]), statistics.median(warm[-third:])
    outcome.figures = {
        "minutes": amount,
        "epochs": sum(1 for _ in (folder / "run").rglob("metrics.csv").__next__().open()) - 1,
        "mebibytes_after_warm_up": round(first),
        "mebibytes_at_the_end": round(last),
        "mebibytes_at_most": round(max(samples)),
    }
    if last > 1.03 * first + _ALLOWED_MEBIBYTES:
        outcome.broken.append(f"memory rises from {first:.0f} to {last:.0f} MiB")
    return outcome


def _mebibytes(root: int) -> float:
    """Memory of a process and all below it: what several of them share counts once.

    Without that of files, of libraries above all: they are shared with whatever else runs on the
    machine, and a process seems to grow when its neighbours end.
    """
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue  # it ended meanwhile
        children.setdefault(parent, []).append(int(status.parent.name))
    total, waiting = 0.0, [root]
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, [])
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(
            int(line.split()[1])
            for line in rollup.splitlines()
            if line.startswith(("Pss_Anon:", "Pss_Shmem:"))
        )
    return total / 1024
