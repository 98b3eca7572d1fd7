"""Signals that end a process, at random times: the run goes on, and ends as one that was not."""

import signal
import time
from pathlib import Path
from random import Random

from trials import Outcome, arguments, begin, finish, results, resumed, some_jobs


def killed_runs(amount: int, chance: Random, folder: Path) -> Outcome:
    """Kill runs ``amount`` times in all, up to three times each."""
    outcome, log = Outcome(), folder / "log"
    whole, seconds = _uninterrupted(folder)
    while outcome.tried < amount:
        run = folder / f"run-{outcome.figures.get('runs', 0)}"
        outcome.count("runs")
        for _ in range(chance.randint(1, 3)):
            process = begin([*resumed(run), *some_jobs(chance)], log)
            time.sleep(chance.uniform(0.0, seconds))
            if process.poll() is not None:
                break
            process.kill()
            process.wait()
            outcome.tried += 1
            outcome.count("while_training", run.exists())
        _require_equal(run, whole, log, outcome)
    return outcome


def interrupted_runs(amount: int, chance: Random, folder: Path) -> Outcome:
    """Interrupt ``amount`` runs while they train."""
    outcome = Outcome()
    whole, seconds = _uninterrupted(folder)
    while outcome.tried < amount:
        run, log = folder / f"run-{outcome.tried}", folder / f"log-{outcome.tried}"
        number, status = chance.choice(
            [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
        )
        process = begin([*arguments(run), *some_jobs(chance)], log)
        while not run.exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, seconds / 2))
        process.send_signal(number)
        found = process.wait()
        outcome.tried += 1
        text = log.read_text(encoding="utf-8", errors="replace")
        if found == 0 and "report:" in text:
            outcome.count("finished_before")
        elif found != status or "resume with:" not in text or "Traceback" in text:
            outcome.broken.append(f"{number.name}: exit {found}, {text[-300:]!r}")
        _require_equal(run, whole, log, outcome)
    return outcome


def _uninterrupted(folder: Path) -> tuple[object, float]:
    """Results of the run that nothing disturbs, and how long it takes."""
    run, began = folder / "whole", time.monotonic()
    if finish(arguments(run), folder / "whole-log") != 0:
        raise RuntimeError((folder / "whole-log").read_text(encoding="utf-8"))
    return results(run), time.monotonic() - began


def _require_equal(run: Path, whole: object, log: Path, outcome: Outcome) -> None:
    """Let a run come to its end, and compare what it found."""
    status = finish(resumed(run), log)
    if status != 0:
        outcome.broken.append(
            f"{run.name}: resuming ends with {status}: {log.read_text()[-300:]!r}"
        )
    elif results(run) != whole:
        outcome.broken.append(f"{run.name}: other results than the run that was not stopped")
    elif left := [path.name for path in run.rglob(".*.partial")]:
        outcome.broken.append(f"{run.name}: left {left}")
