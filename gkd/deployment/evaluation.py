"""Networks of a run, scored once more on its data."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from gkd.errors import DataError
from gkd.evaluation.metric import Metric
from gkd.evaluation.scores import Scores
from gkd.evaluation.splits import fingerprint
from gkd.files import read_sealed_json
from gkd.hosting.host import create_host
from gkd.recipe.file import read_recipe
from gkd.training.experiment import Experiment
from gkd.training.run_directory import ENVIRONMENT, SUMMARY, WEIGHTS, RunDirectory
from gkd.training.weights import load_weights


@dataclass(frozen=True)
class Scored:
    """What a network reaches.

    Attributes:
        method: whose network it is; ``"teacher"``.
        seed: of its training.
        scores: by the metric's name.
        metrics: what their numbers mean.
    """

    method: str
    seed: int
    scores: dict[str, float]
    metrics: list[Metric]


def evaluate(run: Path, settings: Sequence[str], split: str, batch_size: int) -> list[Scored]:
    """Return what every finished network of a run reaches on a split of its data.

    Args:
        run: its folder.
        settings: over those of its recipe.
        split: whose rows count.
        batch_size: samples in each forward pass.

    Raises:
        DataError: it is no run's folder, or nothing is finished.
        GkdError: data or weights cannot be read.
    """
    recipe = run / RunDirectory.recipe_name
    if not run.exists():
        raise DataError(f"there is no folder {run}")
    if not recipe.is_file():
        raise DataError(f"{run} is no run's folder: it has no {recipe.name}")
    file = read_recipe(str(recipe), settings)
    experiment = Experiment(file, create_host().with_code(file.code))
    if not any(setting.startswith("dataset") for setting in settings):
        _warn_of_other_data(run, experiment)
    methods = {method.name: method for method in experiment.recipe.methods}
    scored = []
    for summary_file in sorted(run.glob(f"**/{SUMMARY}")):
        folder, summary = summary_file.parent, read_sealed_json(summary_file)
        method, seed = summary["method"], summary["seed"]
        taught = summary["network"] == "teacher"
        # Where each seed has data of its own, the folder of a teacher says whose.
        own = folder.name.removeprefix("seed-") if folder.name.startswith("seed-") else ""
        of_seed = experiment.for_seed(int(own)) if own.isdigit() else experiment
        network = of_seed.teacher() if taught else of_seed.student(seed, methods.get(method))
        load_weights(network, folder / WEIGHTS)
        with torch.no_grad():
            scores = Scores(of_seed.dataset, batch_size)
            found = dict(scores(network, split))
        scored.append(Scored(method, seed, found, scores.described))
    if not scored:
        raise DataError(f"{run} has no finished network: `gkd run --resume` goes on with it")
    return scored


def _warn_of_other_data(run: Path, experiment: Experiment) -> None:
    """Say so if the data are no longer those of the run; what it noted may be lost or older."""
    try:
        noted = read_sealed_json(run / ENVIRONMENT).get("data")
    except DataError:
        return
    if noted is not None and noted != (now := fingerprint(experiment.dataset)):
        warnings.warn(
            f"the data are not those of the run: by {ENVIRONMENT} they were "
            f"{noted}, and are {now}; scores are those on the data of now",
            stacklevel=2,
        )
