"""Promises that other tests put to the test, counted here."""

import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random
from xml.etree import ElementTree

from trials import Outcome

TESTS = Path(__file__).resolve().parent.parent


def devices(amount: int, chance: Random, folder: Path) -> Outcome:
    """Run the tests of several devices, and of several machines."""
    return _tests(folder, "training/test_training_devices.py", "training/test_training_machines.py")


def executors(amount: int, chance: Random, folder: Path) -> Outcome:
    """Run the tests of networks that are trained at once, by processes that are killed."""
    return _tests(
        folder,
        "training/test_training_jobs.py",
        "training/test_run_folders.py",
        "cli/test_cli_run.py",
        "sweep/test_sweep_run.py",
    )


def fuzz(amount: int, chance: Random, folder: Path) -> Outcome:
    """Give every reader ``amount`` damaged files."""
    words = ["--inputs", str(amount), "--seed", str(chance.randrange(2**32))]
    words += ["--finds", str(folder / "finds")]
    done = subprocess.run(
        [sys.executable, str(TESTS / "fuzz"), *words], capture_output=True, text=True, check=False
    )
    found = re.search(r"^(\d+) inputs in .* minutes, (\d+) finds$", done.stdout, re.MULTILINE)
    if found is None:
        return Outcome(0, [f"fuzz ended with {done.returncode}: {done.stderr[-400:]}"])
    finds = re.findall(r"^  (\d+ × .*)$", done.stdout, re.MULTILINE)
    return Outcome(int(found[1]), finds, {"finds": int(found[2])})


def _tests(folder: Path, *patterns: str) -> Outcome:
    files = sorted({str(path) for pattern in patterns for path in TESTS.glob(pattern)})
    report = folder / "report.xml"
    words = ["-q", "-p", "no:cacheprovider", f"--junitxml={report}", *files]
    subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=TESTS.parent,
        env={**os.environ, "GKD_RELIABILITY": "1"},
        capture_output=True,
        check=False,
    )
    if not report.is_file():
        return Outcome(0, [f"pytest did not run {files}"])
    cases = list(ElementTree.parse(report).iter("testcase"))
    outcome = Outcome(len(cases))
    for case in cases:
        if case.find("failure") is not None or case.find("error") is not None:
            outcome.broken.append(f"{case.get('classname')}::{case.get('name')}")
        outcome.count("skipped", case.find("skipped") is not None)
    return outcome
