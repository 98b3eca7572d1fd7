"""Many runs of one recipe, begun at the same moment without a folder of their own."""

import json
import multiprocessing
import os
import re
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path
from random import Random

from trials import PATIENCE, RECIPE, SETTINGS, Outcome

from gkd.cli import main
from gkd.recipe.file import read_recipe


def begun_at_once(amount: int, chance: Random, folder: Path) -> Outcome:
    """Begin ``amount`` runs at once, each with its own weight of the term."""
    import gkd.training.recipe_run  # noqa: F401  loaded once, before the processes part

    outcome = Outcome()
    # Forked, so that all of them begin within milliseconds.
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(amount)
    processes = [
        context.Process(target=_run, args=(number, folder, barrier)) for number in range(amount)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    folders = set()
    for number, process in enumerate(processes):
        outcome.tried += 1
        text = (folder / f"log-{number}").read_text(encoding="utf-8", errors="replace")
        found = re.search(r"^run folder: (.*)$", text, re.MULTILINE)
        if process.exitcode != 0 or found is None:
            outcome.broken.append(f"run {number}: exit {process.exitcode}: {text[-300:]!r}")
            continue
        own = folder / found[1]
        folders.add(own)
        recipe = read_recipe(own / "recipe.toml").recipe
        (method,) = (method for method in recipe.methods if method.name == "lsp")
        weights = {
            row["weight/lsp"]
            for summary in own.glob("students/lsp/*/summary.json")
            for row in json.loads(summary.read_text(encoding="utf-8"))["history"]
        }
        if method.terms[0].weight != 1.0 + number or weights != {1.0 + number}:
            outcome.broken.append(f"run {number}: {own} holds another run")
    outcome.figures["folders"] = len(folders)
    return outcome


def _run(number: int, folder: Path, barrier: Barrier) -> None:
    os.chdir(folder)
    log = (folder / f"log-{number}").open("w", encoding="utf-8")
    sys.stdout = sys.stderr = log
    settings = [*SETTINGS, "training.epochs=2", "teacher.training.epochs=1", "training.workers=0"]
    settings.append(f"methods.lsp.terms.0.weight={1.0 + number}")
    words = ["run", RECIPE, "--threads", "1"]
    words += [word for setting in settings for word in ("--set", setting)]
    barrier.wait()
    main(words)
